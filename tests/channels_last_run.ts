/**
 * Training steps of small residual networks on the CUDA device that the environment gives, captured and not; prints losses and parameters beside those of the reference device, and what
 * cuDNN planned, as JSON. A process of its own; see `cuda_routine_run.ts`.
 */
import "@pta/core/backend";
import {
  autocast,
  backendOf,
  capture,
  manualSeed,
  nn,
  optim,
  type Tensor,
  tensor,
} from "@pta/core";
import { cudnnOf } from "../core/backend/cuda/cudnn_open.ts";
import type { CudaBackend } from "../core/backend/cuda/mod.ts";
import { on } from "./devices.ts";
import { Dice } from "./graph_fuzz.ts";

const F = nn.functional;

/** Convolution, batch norm, ReLU and max pooling; a residual block that narrows the image; a mean over it. */
class Small extends nn.Module {
  readonly stem = new nn.Sequential(
    new nn.Conv2d(3, 8, 3, { padding: 1, bias: false }),
    new nn.BatchNorm2d(8),
    new nn.ReLU(),
    new nn.MaxPool2d(3, { stride: 2, padding: 1 }),
  );
  readonly main = new nn.Sequential(
    new nn.Conv2d(8, 16, 3, { stride: 2, padding: 1, bias: false }),
    new nn.BatchNorm2d(16),
    new nn.ReLU(),
    new nn.Conv2d(16, 16, 3, { padding: 1 }),
    new nn.BatchNorm2d(16),
  );
  readonly skip = new nn.Conv2d(8, 16, 1, { stride: 2, bias: false });
  readonly head = new nn.Linear(16, 4);
  override forward(x: Tensor): Tensor {
    const y = this.stem.forward(x) as Tensor;
    const z = (this.main.forward(y) as Tensor).add(this.skip.forward(y)).relu();
    return this.head.forward(F.adaptiveAvgPool2d(z, 1).flatten(1));
  }
}

/** What training left. */
export interface Trained {
  readonly losses: readonly number[];
  /** Parameters and running statistics at the end. */
  readonly state: readonly (readonly number[])[];
}

function train(device: string, low: "bfloat16" | undefined, captured: boolean): Trained {
  return on(device, () => {
    manualSeed(3);
    const model = new Small(), dice = new Dice(5);
    const optimizer = new optim.SGD(model.parameters(), { lr: 0.05, momentum: 0.9 });
    const filled = (shape: number[]) =>
      tensor(
        Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => dice.next() - 0.5),
        { shape, device },
      );
    const x = filled([4, 3, 12, 10]), y = tensor(Int32Array.of(0, 1, 2, 3), { device });
    const loss = (x: Tensor) => F.crossEntropy(model.forward(x), y);
    const step = (x: Tensor): Tensor => {
      optimizer.zeroGrad();
      const l = low === undefined ? loss(x) : autocast({ dtype: low }, () => loss(x));
      l.backward();
      optimizer.step();
      return l;
    };
    const run = captured ? capture(step) : step;
    const losses = Array.from({ length: 5 }, () => run(x).item() as number);
    const all = [...model.namedParameters(), ...model.namedBuffers()];
    return { losses, state: all.map(([, t]) => Array.from(t.data() as Float32Array, Number)) };
  });
}

/** What came of one precision. */
export interface Result {
  readonly low: string;
  readonly want: Trained;
  readonly plain: Trained;
  readonly captured: Trained;
  /** Plans that cuDNN made. */
  readonly plans: number;
  /** Convolutions, each once, that were given channels last. */
  readonly turned: number;
}

if (import.meta.main) {
  const built = () => {
    try {
      return cudnnOf((backendOf("cuda") as CudaBackend).runtime).counts.built;
    } catch {
      return 0;
    }
  };
  const backend = backendOf("cuda") as CudaBackend, ask = backend.channelsLast.bind(backend);
  const asked = new Set<string>();
  backend.channelsLast = (call) => {
    const wanted = ask(call);
    if (wanted && call.name.startsWith("convolution")) asked.add(JSON.stringify(call));
    return wanted;
  };
  const results = ([undefined, "bfloat16"] as const).map((low): Result => {
    const want = train("ref", low, false), before = built();
    const plain = train("cuda", low, false), captured = train("cuda", low, true);
    const turned = asked.size;
    asked.clear();
    return { low: low ?? "float32", want, plain, captured, plans: built() - before, turned };
  });
  console.log(JSON.stringify(results));
}
