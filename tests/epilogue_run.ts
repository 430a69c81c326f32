/** Linear layers with activations on the CUDA device that the environment gives, beside the CPU; prints how far apart results are, as JSON. A process of its own; see `epilogue_test.ts`. */
import "@pta/core/backend";
import { backendOf, type DType } from "@pta/core";
import type { CudaBackend } from "../core/backend/cuda/mod.ts";
import { cublasOf } from "../core/backend/cuda/cublas_open.ts";
import { on } from "./devices.ts";
import { layerCases } from "./epilogue_cases.ts";

/** What came of the cases in one dtype. */
export interface Epilogues {
  readonly dtype: DType;
  /** Largest error of each case, relative to the largest value. */
  readonly errors: Readonly<Record<string, number>>;
  /** Products with a bias, by cuBLASLt. */
  readonly biased: number;
}

if (import.meta.main) {
  const cuda = backendOf("cuda") as CudaBackend, lt = cublasOf(cuda.runtime);
  // Wants what no library is there to do: kernels of our own stand in.
  if (Deno.args.includes("--own")) Object.assign(cuda, { wantsEpilogue: () => true });
  let biased = 0;
  if (lt !== undefined) {
    const { cublasLtMatmulDescSetAttribute: set, cublasLtMatmul: launch } = lt.calls;
    const having = new Set<bigint>();
    lt.calls.cublasLtMatmulDescSetAttribute = (descriptor, attribute, value, bytes) => {
      if (attribute === 8) having.add(descriptor);
      set(descriptor, attribute, value, bytes);
    };
    lt.calls.cublasLtMatmul = (handle, descriptor, ...rest) => {
      if (having.has(descriptor)) biased++;
      launch(handle, descriptor, ...rest);
    };
  }
  const results = (["float32", "bfloat16", "float16", "float64"] as DType[]).map(
    (dtype): Epilogues => {
      const errors: Record<string, number> = {}, before = biased;
      for (const [name, run] of Object.entries(layerCases)) {
        const [want, got] = ["cpu", "cuda"].map((device) => on(device, () => run(dtype)));
        const size = Math.max(...want.map(Math.abs));
        errors[name] = Math.max(...want.map((w, i) => Math.abs(w - got[i]))) / size;
      }
      return { dtype, errors, biased: biased - before };
    },
  );
  console.log(JSON.stringify(results));
}
