/**
 * `deno task bench WORKLOAD --batch N --threads N --seconds S`: one JSON line with `ms_per_step`, the median over blocks of steps, and what it
 * ran on. `bench/torch` does the same work in PyTorch.
 */
import { parseArgs } from "@std/cli/parse-args";

const flags = parseArgs(Deno.args, {
  string: ["blas", "device", "dtype"],
  boolean: ["plain"],
  default: { batch: 0, threads: 1, seconds: 3, size: 1024 },
});
const workload = String(flags._[0] ?? "mlp");
// Before the library is loaded: it reads these when its backend opens.
Deno.env.set("PTA_THREADS", String(flags.threads));
if (flags.blas !== undefined) Deno.env.set("PTA_BLAS", flags.blas);
if (flags.device !== undefined) Deno.env.set("PTA_DEVICE", flags.device);
const {
  autocast,
  capture,
  backendOf,
  defaultDevice,
  manualSeed,
  nn,
  optim,
  rand,
  randn,
  randint,
  realize,
  stepScope,
} = await import("@pta/accelerated");
type Tensor = import("@pta/accelerated").Tensor;
const { cnn, GPT, gpt2, mlp, resnet, smallGPT } = await import("./models.ts");

/** One step to be timed and how many floating-point operations it takes, 0 when that says little. */
interface Work {
  step: () => void;
  flop: number;
  batch: number;
}

function training(
  optimizer: import("@pta/accelerated").optim.Optimizer,
  batches: [Tensor, Tensor][],
  loss: (x: Tensor, y: Tensor) => Tensor,
): () => void {
  const low = flags.dtype === "bfloat16" || flags.dtype === "float16" ? flags.dtype : undefined;
  const body = (x: Tensor, y: Tensor): Tensor => {
    optimizer.zeroGrad();
    const l = low === undefined ? loss(x, y) : autocast({ dtype: low }, () => loss(x, y));
    l.backward();
    optimizer.step();
    return l;
  };
  const step = flags.plain ? body : capture(body);
  let i = 0;
  return () => {
    using _scope = stepScope();
    const [x, y] = batches[i++ % batches.length];
    step(x, y);
  };
}

/** Forward and backward of leaves that gradients are left on. */
function forwardBackward(leaves: Tensor[], forward: () => Tensor, gradient: Tensor): () => void {
  realize(...leaves);
  const body = (): Tensor => {
    for (const leaf of leaves) leaf.grad = undefined;
    const y = forward();
    y.backward(gradient);
    realize(y, ...leaves.flatMap((leaf) => leaf.grad ?? []));
    return y;
  };
  const step = flags.plain ? body : capture(body);
  return () => {
    using _scope = stepScope();
    step();
  };
}

function gptWork(config: typeof smallGPT, batchSize: number, flopOfSample: number): Work {
  const batch = Number(flags.batch) || batchSize, model = new GPT(config);
  const { context, vocabulary } = config;
  const options = { lr: 3e-4, betas: [0.9, 0.95] as [number, number], weightDecay: 0.1 };
  const optimizer = new optim.AdamW(model.parameters(), options);
  const batches = Array.from({ length: 8 }, (): [Tensor, Tensor] => [
    randint(0, vocabulary, [batch, context], { dtype: "int32" }),
    randint(0, vocabulary, [batch, context], { dtype: "int32" }),
  ]);
  realize(...batches.flat());
  const loss = (x: Tensor, y: Tensor) =>
    nn.functional.crossEntropy(model.forward(x).reshape(-1, vocabulary), y.reshape(-1));
  return { step: training(optimizer, batches, loss), flop: batch * flopOfSample, batch };
}

function imageWork(
  depth: 18 | 50,
  batchSize: number,
  size: number,
  classes: number,
  flopOfSample: number,
): Work {
  const batch = Number(flags.batch) || batchSize, model = resnet(depth);
  const optimizer = new optim.SGD(model.parameters(), { lr: 0.01, momentum: 0.9 });
  const batches = Array.from({ length: 2 }, (): [Tensor, Tensor] => [
    rand([batch, 3, size, size]),
    randint(0, classes, [batch], { dtype: "int32" }),
  ]);
  realize(...batches.flat());
  const loss = (x: Tensor, y: Tensor) => nn.functional.crossEntropy(model.forward(x) as Tensor, y);
  return { step: training(optimizer, batches, loss), flop: batch * flopOfSample, batch };
}

const works: Record<string, () => Work> = {
  mlp: () => {
    const batch = Number(flags.batch) || 32, model = mlp();
    const optimizer = new optim.SGD(model.parameters(), { lr: 0.01, momentum: 0.9 });
    const batches = Array.from({ length: 8 }, (): [Tensor, Tensor] => [
      rand([batch, 784]),
      randint(0, 10, [batch], { dtype: "int32" }),
    ]);
    realize(...batches.flat());
    const loss = (x: Tensor, y: Tensor) => nn.functional.crossEntropy(model.forward(x), y);
    return { step: training(optimizer, batches, loss), flop: batch * 454400, batch };
  },
  gpt: () => gptWork(smallGPT, 16, 331.9e6),
  // 6 flop a parameter and token, and the attention: 12 * layers * width * context.
  gpt2: () => gptWork(gpt2, 8, 1024 * (6 * 124.4e6 + 12 * 12 * 768 * 1024)),
  // 3 times the forward pass: 0.56 and 4.1 billion multiply-adds an image.
  resnet18: () => imageWork(18, 128, 32, 10, 6 * 0.56e9),
  resnet50: () => imageWork(50, 64, 224, 1000, 6 * 4.1e9),
  cnn: () => {
    const batch = Number(flags.batch) || 64, model = cnn();
    const optimizer = new optim.SGD(model.parameters(), { lr: 0.01, momentum: 0.9 });
    const batches = Array.from({ length: 4 }, (): [Tensor, Tensor] => [
      rand([batch, 1, 28, 28]),
      randint(0, 10, [batch], { dtype: "int32" }),
    ]);
    realize(...batches.flat());
    const loss = (x: Tensor, y: Tensor) => nn.functional.crossEntropy(model.forward(x), y);
    // Forward, gradient of the input and of the weight; the first layer has no gradient of its input.
    const flop = batch * 2 * (2 * 28 * 28 * 32 * 9 + 3 * 14 * 14 * 64 * 288 + 3 * 31360);
    return { step: training(optimizer, batches, loss), flop, batch };
  },
  layer_norm: () => {
    const rows = Number(flags.batch) || 4096, layer = new nn.LayerNorm(768);
    const x = randn([rows, 768]).requiresGrad_(), g = randn([rows, 768]);
    return {
      step: forwardBackward([x, g, ...layer.parameters()], () => layer.forward(x), g),
      flop: 0,
      batch: rows,
    };
  },
  attention: () => {
    const batch = Number(flags.batch) || 8, shape = [batch, 8, 256, 64];
    const [q, k, v] = [0, 1, 2].map(() => randn(shape).requiresGrad_()), g = randn(shape);
    const step = forwardBackward(
      [q, k, v, g],
      () => nn.functional.scaledDotProductAttention(q, k, v),
      g,
    );
    return { step, flop: batch * 8 * 6 * 2 * 256 * 256 * 64, batch };
  },
  matmul: () => {
    const n = Number(flags.size);
    const a = randn([n, n]), b = randn([n, n]);
    realize(a, b);
    // Arguments of a captured step are copied in; a step without any reads its operands where they are.
    const step = capture(() => a.matmul(b));
    return { step: () => void step(), flop: 2 * n ** 3, batch: n };
  },
  pointwise: () => {
    const n = Number(flags.size) ** 2;
    const x = randn([n]), b = randn([n]), m = rand([n]);
    realize(x, b, m);
    const step = capture(() => x.add(b).gelu().mul(m));
    return { step: () => void step(), flop: 0, batch: n };
  },
};

const make = works[workload];
if (make === undefined) {
  console.error(`Cannot bench "${workload}": choose one of ${Object.keys(works).join(", ")}`);
  Deno.exit(2);
}
manualSeed(0);
const { step, flop, batch } = make();
const device = defaultDevice(), backend = backendOf(device);
/** Milliseconds of `count` steps, from one wait for the device to the next. */
const timed = (count: number): number => {
  const start = performance.now();
  for (let i = 0; i < count; i++) step();
  backend.synchronize();
  return performance.now() - start;
};
// A device runs ahead of nobody: steps are queued, so their time shows only in blocks that end with a wait.
let warm = 0, one = 0;
for (let total = 0; total < 700; total += one, warm++) one = timed(1);
await new Promise((resolve) => setTimeout(resolve, 20));
const perBlock = Math.max(1, Math.round(100 / (timed(Math.min(warm, 50)) / Math.min(warm, 50))));
const blocks: number[] = [], end = performance.now() + 1000 * Number(flags.seconds);
do blocks.push(timed(perBlock) / perBlock); while (performance.now() < end);
blocks.sort((a, b) => a - b);
const ms = blocks[blocks.length >> 1];
console.log(JSON.stringify({
  framework: "pta",
  workload,
  batch,
  threads: Number(flags.threads),
  ms_per_step: Number(ms.toPrecision(4)),
  ms_min: Number(blocks[0].toPrecision(4)),
  steps_per_s: Number((1000 / ms).toPrecision(4)),
  gflop_s: flop === 0 ? undefined : Number((flop / ms / 1e6).toPrecision(3)),
  device,
  backend: backend.name,
  blas: Deno.env.get("PTA_BLAS") ?? "auto",
  turbo: Deno.env.get("PTA_TURBO") === "1",
  versions: { deno: Deno.version.deno, v8: Deno.version.v8 },
}));
