/**
 * Training steps with layers of eight-bit products, captured and not, on the CUDA device that the environment gives; prints losses beside those of the CPU, and what the steps
 * did, as JSON. A process of its own; see `cuda_routine_run.ts`.
 */
import "@pta/core/backend";
import {
  amp,
  autocast,
  backendOf,
  capture,
  manualSeed,
  nn,
  optim,
  randn,
  type Tensor,
} from "@pta/core";
import { cublasOf } from "../core/backend/cuda/cublas_open.ts";
import type { CudaBackend } from "../core/backend/cuda/mod.ts";
import { on } from "./devices.ts";

const STEPS = 6;

/** How the steps go. */
export interface Float8Kind {
  readonly scaling: "current" | "delayed";
  readonly low: boolean;
  readonly captured: boolean;
}

/** What came of one kind. */
export interface Float8Steps extends Float8Kind {
  /** Losses on the CPU, where products are emulated. */
  readonly want: readonly number[];
  readonly got: readonly number[];
  /** Calls of cuBLASLt with factors of eight bits. */
  readonly products: number;
  /** Reads of the device beside those of the losses. */
  readonly reads: number;
}

function losses(device: string, { scaling, low, captured }: Float8Kind): number[] {
  return on(device, () => {
    manualSeed(5);
    const model = new nn.Sequential(new nn.Linear(32, 48), new nn.GELU(), new nn.Linear(48, 16));
    nn.convertToFloat8(model, { scaling });
    const optimizer = new optim.SGD(model.parameters(), { lr: 0.5 });
    // Nine rows: no multiple of 16.
    const x = randn([9, 32]).realize(), y = randn([9, 16]).realize();
    const step = (x: Tensor, y: Tensor): Tensor => {
      optimizer.zeroGrad();
      const out = low ? autocast({}, () => model.forward(x)) : model.forward(x);
      const loss = nn.functional.mseLoss(out.float(), y);
      loss.backward();
      optimizer.step();
      return loss;
    };
    const run = captured ? capture(step) : step;
    return Array.from({ length: STEPS }, () => run(x, y).item());
  });
}

if (import.meta.main) {
  const cuda = backendOf("cuda") as CudaBackend, lt = cublasOf(cuda.runtime);
  let products = 0;
  if (lt !== undefined) {
    const { calls } = lt, { cublasLtMatmulDescSetAttribute: set } = calls;
    // Scales are set before each of them; the first of two attributes counts.
    calls.cublasLtMatmulDescSetAttribute = (descriptor, attribute, value, bytes) => {
      if (attribute === 17) products++;
      set(descriptor, attribute, value, bytes);
    };
  }
  const kinds: Float8Kind[] = (["current", "delayed"] as const).flatMap((scaling) =>
    [false, true].flatMap((low) => [false, true].map((captured) => ({ scaling, low, captured })))
  );
  const results = kinds.map((kind): Float8Steps => {
    const want = losses("cpu", kind), before = { products, reads: cuda.stats.reads };
    const got = losses("cuda", kind);
    return {
      ...kind,
      want,
      got,
      products: products - before.products,
      reads: cuda.stats.reads - before.reads - STEPS,
    };
  });
  console.log(JSON.stringify({ inHardware: amp.multipliesFloat8("cuda"), results }));
}
