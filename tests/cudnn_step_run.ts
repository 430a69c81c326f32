/**
 * Training steps with convolutions and max pooling, captured and not, in float32 and bfloat16, on the CUDA device that the environment gives; prints how far the losses are from those of the
 * reference device, as JSON. A process of its own; see `cuda_routine_run.ts`.
 */
import "@pta/core/backend";
import { backendOf, capture, nn, optim, Parameter, type Tensor, tensor } from "@pta/core";
import { cudnnOf } from "../core/backend/cuda/cudnn_open.ts";
import type { CudaBackend } from "../core/backend/cuda/mod.ts";
import { on } from "./devices.ts";
import { Dice } from "./graph_fuzz.ts";

const F = nn.functional;

/** Losses of six steps. */
function losses(device: string, dtype: "float32" | "bfloat16", captured: boolean): number[] {
  return on(device, () => {
    const dice = new Dice(5);
    const filled = (shape: number[]) =>
      tensor(
        Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => dice.next() - 0.5),
        { shape, device },
      );
    const first = new Parameter(filled([4, 2, 3, 3])), second = new Parameter(filled([3, 2, 3, 3]));
    const optimizer = new optim.SGD([first, second], { lr: 0.1 });
    const x = filled([2, 2, 8, 8]);
    const step = (input: Tensor): Tensor => {
      optimizer.zeroGrad();
      const hidden = F.conv2d(input.to(dtype), first.to(dtype), { padding: 1 }).relu();
      const pooled = F.maxPool2d(hidden, 2);
      const loss = F.conv2d(pooled.narrow(1, 0, 2), second.to(dtype), { stride: 2 }).to("float32")
        .mul(2)
        .square().mean();
      loss.backward();
      optimizer.step();
      return loss;
    };
    const run = captured ? capture(step) : step;
    return Array.from({ length: 6 }, () => run(x).item() as number);
  });
}

/** What came of one dtype. */
export interface Steps {
  readonly dtype: "float32" | "bfloat16";
  /** Plans that cuDNN made for it. */
  readonly plans: number;
  /** Losses on the reference device. */
  readonly want: readonly number[];
  readonly plain: readonly number[];
  readonly captured: readonly number[];
}

if (import.meta.main) {
  const plans = () => cudnnOf((backendOf("cuda") as CudaBackend).runtime).counts.built;
  const results = (["float32", "bfloat16"] as const).map((dtype): Steps => {
    const want = losses("ref", dtype, false), before = plans();
    const plain = losses("cuda", dtype, false), captured = losses("cuda", dtype, true);
    return { dtype, plans: plans() - before, want, plain, captured };
  });
  console.log(JSON.stringify(results));
}
