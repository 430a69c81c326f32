/** What tests/cuda_graph_pool_test.ts has an emulated device do, in a process of its own: prints what came of it as JSON. */
import {
  backendOf,
  capture,
  manualSeed,
  nn,
  optim,
  rand,
  randint,
  setDefaultDevice,
  stepScope,
  type Tensor,
} from "@pta/accelerated";
import { graphPool } from "../core/backend/cuda/graph_pool.ts";
import type { CudaBackend } from "../core/backend/cuda/mod.ts";

/** What {@linkcode run} says of one training. */
interface Told {
  readonly captured: number[];
  readonly plain: number[];
  /** Graphs made and updated by it. */
  readonly made: number;
  readonly updated: number;
}

setDefaultDevice("cuda");
const { counts } = graphPool((backendOf("cuda") as CudaBackend).runtime);

/** Losses of six steps of a network of this size. */
function losses(seed: number, hidden: number, deep: boolean, isCaptured: boolean): number[] {
  manualSeed(seed);
  const middle = deep ? [new nn.Linear(hidden, hidden), new nn.Tanh()] : [];
  const model = new nn.Sequential(
    new nn.Linear(6, hidden),
    new nn.Tanh(),
    ...middle,
    new nn.Linear(hidden, 3),
  );
  const optimizer = new optim.AdamW(model.parameters(), { lr: 0.01 * seed });
  const lossFunc = new nn.CrossEntropyLoss();
  const body = (x: Tensor, t: Tensor) => {
    optimizer.zeroGrad();
    const loss = lossFunc.forward(model.forward(x), t);
    loss.backward();
    optimizer.step();
    return loss;
  };
  const captured = capture(body), step = isCaptured ? captured : body, out: number[] = [];
  for (let i = 0; i < 6; i++) {
    using _scope = stepScope();
    out.push(step(rand([8, 6]).realize(), randint(0, 3, [8]).realize()).item());
  }
  captured.dispose();
  return out;
}

function run(seed: number, hidden: number, deep: boolean): Told {
  const plain = losses(seed, hidden, deep, false), { made, updated } = counts;
  const captured = losses(seed, hidden, deep, true);
  return { captured, plain, made: counts.made - made, updated: counts.updated - updated };
}

console.log(JSON.stringify([
  run(1, 16, false),
  // The same network with other numbers at other addresses, then of another size: other arguments and numbers of blocks.
  run(2, 16, false),
  run(3, 24, false),
  // Other nodes.
  run(4, 16, true),
  run(5, 16, false),
  run(6, 24, true),
]));
