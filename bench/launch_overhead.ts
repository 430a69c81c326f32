/**
 * `deno run -A bench/launch_overhead.ts [--samples 300] [--calls 1000]`: what a launch costs the host beside the driver's own time. The driver and the compiler are stubs
 * that do nothing (built with cc), so that only the way from TypeScript to the library is measured. Each number is the best of many short samples in
 * nanoseconds a call, for other work of the machine only ever makes a sample longer; `medians` tell how much of that there was. One JSON line.
 *
 * - `hand_kernel`: a hand-written kernel with three addresses, an int and a float written to the parameter block
 * - `printed_kernel`: a kernel of a plan with its buffers and extent
 * - `joined_kernels`: eight kernels of a captured step that have become one, whose arguments have been set
 * - `graph`: one launch of a CUDA graph
 * - `replay0`, `replay2`: a whole captured training step of an MLP under SGD, without arguments and with a batch of two tensors
 * - `replay2_of4`: the same with four steps in one launch, a step
 * - `many_kernels`: each of 40 kernels in turn, as a step without a graph launches them
 */
import { parseArgs } from "@std/cli/parse-args";
import {
  backendOf,
  capture,
  nn,
  optim,
  rand,
  randint,
  setDefaultDevice,
  type Tensor,
} from "@pta/accelerated";
import type { CudaBackend } from "../core/backend/cuda/mod.ts";
import { useStubs } from "../tests/cuda_stub.ts";

const flags = parseArgs(Deno.args, { default: { samples: 300, calls: 1000 } });
const samples = Number(flags.samples), calls = Number(flags.calls);

using stubs = useStubs();
if (stubs.reason !== undefined) {
  console.error(`Cannot measure without a C compiler: ${stubs.reason}`);
  Deno.exit(2);
}
setDefaultDevice("cuda");
const backend = backendOf("cuda") as CudaBackend, { runtime } = backend;

type Run = () => void;

/** Best and median nanoseconds a call. */
function measure(run: Run, perRun = 1): { best: number; median: number } {
  const each = Array.from({ length: samples }, () => {
    const start = performance.now();
    for (let i = 0; i < calls; i++) run();
    return 1e6 * (performance.now() - start) / calls / perRun;
  }).sort((a, b) => a - b);
  const round = (ns: number) => Math.round(ns * 10) / 10;
  return { best: round(each[0]), median: round(each[samples >> 1]) };
}

/** Launches of the kernels that a computation makes. */
function launchesOf(compute: () => void): Run[] {
  const made: Run[] = [], bind = backend.bind;
  backend.bind = (...args) => {
    const launch = bind.apply(backend, args);
    made.push(launch);
    return launch;
  };
  try {
    compute();
  } finally {
    backend.bind = bind;
  }
  return made;
}

const hand = runtime.launcher(
  'extern "C" __global__ void f(const float *x, const float *y, float *z, int n, float s) {}',
  "f",
  { grid: [64], block: [256] },
  [{ pointer: 2 ** 40 }, { pointer: 2 ** 41 }, { pointer: 2 ** 42 }, { i32: 16384 }, { f32: 0.5 }],
);
const [x, y] = [rand([64, 256]).realize(), rand([64, 256]).realize()];
const [printed] = launchesOf(() => x.mul(y).add(x).realize());
const many = Array.from({ length: 40 }, (_, i) => {
  const source = rand([16 + i, 256]).realize();
  return launchesOf(() => source.mul(i).realize())[0];
});
const { launches: [joined] } = backend.graph(many.slice(0, 8));
// What the backend knows nothing about stays as it is.
const { launches: [graph] } = backend.graph(many.slice(0, 8).map((launch) => () => launch()));

/** A captured step of an MLP: without arguments, with a batch, or as many with a batch each. */
function step(batches: 0 | 1 | 4): Run {
  const model = new nn.Sequential(new nn.Linear(64, 32), new nn.ReLU(), new nn.Linear(32, 10));
  const optimizer = new optim.SGD(model.parameters(), { lr: 0.1, momentum: 0.9 });
  const lossFunc = new nn.CrossEntropyLoss();
  const input = rand([32, 64]).realize(), label = randint(0, 10, [32]).realize();
  const body = (x: Tensor, t: Tensor) => {
    optimizer.zeroGrad();
    const loss = lossFunc.forward(model.forward(x), t);
    loss.backward();
    optimizer.step();
    return loss;
  };
  if (batches === 0) {
    const run = capture(() => body(input, label));
    return () => void run();
  }
  const run = capture(body);
  if (batches === 1) return () => void run(input, label);
  const all = Array.from({ length: batches }, (): [Tensor, Tensor] => [input, label]);
  return () => void run.steps(all);
}

const replay0 = step(0), replay2 = step(1), replay2Of4 = step(4);
for (let i = 0; i < 3; i++) {
  replay0();
  replay2();
  replay2Of4();
}
const graphsPerReplay = [replay0, replay2, replay2Of4].map((replay) => {
  const before = stubs.graphLaunches();
  replay();
  return stubs.graphLaunches() - before;
});

const measured = {
  hand_kernel: measure(hand),
  printed_kernel: measure(printed),
  many_kernels: measure(() => {
    for (let i = 0; i < many.length; i++) many[i]();
  }, many.length),
  joined_kernels: measure(joined),
  graph: measure(graph),
  replay0: measure(replay0),
  replay2: measure(replay2),
  replay2_of4: measure(replay2Of4, 4),
};
const pick = (which: "best" | "median") =>
  Object.fromEntries(Object.entries(measured).map(([name, m]) => [name, m[which]]));
console.log(JSON.stringify({
  unit: "ns",
  best_of: samples,
  calls,
  ...pick("best"),
  medians: pick("median"),
  graph_launches_per_replay: graphsPerReplay,
}));
