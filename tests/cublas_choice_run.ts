/** Products on the CUDA device that the environment gives; prints what cuBLASLt was asked, as JSON. A process of its own; see `cublas_choice_test.ts`. */
import "@pta/core/backend";
import { backendOf, ones, setDefaultDevice } from "@pta/core";
import { cublasOf } from "../core/backend/cuda/cublas_open.ts";
import type { CudaBackend } from "../core/backend/cuda/mod.ts";

/** What the products did. */
export interface Choices {
  /** Questions for an algorithm. */
  readonly asked: number;
  /** Products launched, those that are timed included. */
  readonly launched: number;
  /** An element of each result. */
  readonly results: readonly number[];
}

if (import.meta.main) {
  setDefaultDevice("cuda");
  const { calls } = cublasOf((backendOf("cuda") as CudaBackend).runtime)!;
  const { cublasLtMatmulAlgoGetHeuristic: ask, cublasLtMatmul: launch } = calls;
  let asked = 0, launched = 0;
  calls.cublasLtMatmulAlgoGetHeuristic = (...args) => {
    asked++;
    return ask(...args);
  };
  calls.cublasLtMatmul = (...args) => {
    launched++;
    launch(...args);
  };
  const results = [32, 48, 32].map((n) =>
    ones([16, 64]).matmul(ones([64, n])).sum().div(16 * n).item()
  );
  console.log(JSON.stringify({ asked, launched, results }));
}
