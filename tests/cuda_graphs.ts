/** Where the kernels of the CUDA tests come from: the operator matrix, random graphs and a few models, run on the reference. */
import {
  type DType,
  grad,
  manualSeed,
  nn,
  optim,
  rand,
  randn,
  realize,
  type Tensor,
  tensor,
} from "@pta/core";
import { registerBackend } from "../core/runtime.ts";
import type { Case } from "./case.ts";
import { cases } from "./cases.ts";
import { Recorder, type Sample } from "./cuda_kernels.ts";
import { on } from "./devices.ts";
import { Dice, runProgram } from "./graph_fuzz.ts";

const device = "cuda-recorder";

/** Views of memory that inputs of the matrix are read through, with the shape of that memory. */
const layouts: readonly (readonly [readonly number[], (x: Tensor) => Tensor])[] = [
  [[], (x) => x],
  [[7], (x) => x],
  [[3, 5], (x) => x],
  [[4, 16], (x) => x],
  [[5, 3], (x) => x.transpose(0, 1)],
  [[2, 3, 4], (x) => x],
  [[4, 9], (x) => x.slice(1, 1, 9, 2)],
  [[3, 4], (x) => x.flip(0, 1)],
];
const partners: readonly (readonly number[][])[] = [[[3, 5], [5]], [[4, 1, 3], [5, 1]]];

function input(c: Case, which: number, shape: readonly number[], dice: Dice, dtype: DType): Tensor {
  const [low, high] = c.domains[which] ?? c.domains[0];
  const n = shape.reduce((a, b) => a * b, 1);
  const values = Float64Array.from({ length: n }, () => {
    const x = low + (high - low) * dice.next();
    return c.kind === "float" ? Math.fround(x) : Math.floor(x);
  });
  return tensor(values, { device, dtype, shape });
}

/** A sum in which every element counts differently. */
function weighted(t: Tensor): Tensor {
  const w = Float64Array.from({ length: t.numel }, (_, i) => 1 + 0.37 * Math.sin(3 * i + 1));
  return t.mul(tensor(w, { device, dtype: t.dtype, shape: t.shape })).sum();
}

const dtypesOf: Record<Case["kind"], readonly DType[]> = {
  float: ["float32", "float64", "bfloat16"],
  int: ["int32", "int64"],
  bool: ["bool"],
};

function runCase(c: Case): void {
  const dice = new Dice(c.name.length * 31 + c.name.charCodeAt(0));
  const arity = c.domains.length === 1 ? 1 : c.fn.length;
  const sets = [
    ...layouts.map(([shape, view]) => Array.from({ length: arity }, () => ({ shape, view }))),
    ...(c.broadcasts
      ? partners.map((p) => p.map((shape) => ({ shape, view: (x: Tensor) => x })))
      : []),
  ];
  for (const [n, set] of sets.entries()) {
    for (const dtype of dtypesOf[c.kind]) {
      // Two layouts are enough for the dtypes that differ in little more than their conversions.
      if ((dtype === "bfloat16" || dtype === "float64") && n !== 2 && n !== 3) continue;
      attempt(() => {
        const leaves = set.map((s, i) => input(c, i, s.shape, dice, dtype));
        const gradient = c.gradient && n > 0 && n < 5 && dtype !== "bfloat16";
        if (gradient) leaves.forEach((x) => x.requiresGrad_());
        const out = c.fn(...set.map((s, i) => s.view(leaves[i])));
        out.realize();
        if (gradient) realize(...grad(weighted(out), leaves));
      });
    }
  }
}

/** Some shapes, and some dtypes, are refused by some operations; that is not what is tested here. */
function attempt(run: () => void): void {
  try {
    run();
  } catch (error) {
    if (!(error instanceof TypeError || error instanceof RangeError)) throw error;
  }
}

function fuzz(seed: number): void {
  const dtype = seed % 2 === 0 ? "float32" : "float64";
  const length = 6 + (seed % 5) * 6;
  const { values } = runProgram(seed, { device, dtype, length, assigns: seed % 3 === 0 });
  realize(...values.map((v) => v.t));
}

const labels = (n: number, classes: number) =>
  tensor(Int32Array.from({ length: n }, (_, i) => (i * 7) % classes), { device });

/** One training step of each kind of model that matters. */
const models: Readonly<Record<string, () => void>> = {
  mlp: () => {
    const model = new nn.Sequential(new nn.Linear(20, 48), new nn.GELU(), new nn.Linear(48, 10));
    const optimizer = new optim.AdamW(model.parameters(), { lr: 1e-3 });
    for (let step = 0; step < 2; step++) {
      optimizer.zeroGrad();
      new nn.CrossEntropyLoss().forward(model.forward(randn([12, 20])), labels(12, 10)).backward();
      optimizer.step();
    }
  },
  attention: () => {
    const layer = new nn.TransformerEncoderLayer(16, 2, { dimFeedforward: 32, batchFirst: true });
    const embedding = new nn.Embedding(11, 16), head = new nn.Linear(16, 11);
    const all = [layer, embedding, head].flatMap((m) => [...m.parameters()]);
    const optimizer = new optim.SGD(all, { lr: 0.1, momentum: 0.9 });
    const x = embedding.forward(labels(24, 11).reshape(4, 6));
    const logits = head.forward(layer.forward(x)).reshape(24, 11);
    new nn.CrossEntropyLoss().forward(logits, labels(24, 11)).backward();
    optim.clipGradNorm_(all, 1);
    optimizer.step();
  },
  convolution: () => {
    const model = new nn.Sequential(
      new nn.Conv2d(3, 8, 3, { padding: 1 }),
      new nn.BatchNorm2d(8),
      new nn.ReLU(),
      new nn.MaxPool2d(2),
      new nn.Flatten(),
      new nn.Dropout(0.3),
      new nn.Linear(128, 5),
    );
    const optimizer = new optim.SGD(model.parameters(), { lr: 0.1 });
    new nn.CrossEntropyLoss().forward(model.forward(randn([4, 3, 8, 8])), labels(4, 5)).backward();
    optimizer.step();
  },
  "norms in 16 bits": () => {
    for (const dtype of ["bfloat16", "float16"] as const) {
      const norm = new nn.LayerNorm(64), rms = new nn.RMSNorm(64);
      const x = randn([40, 64]).requiresGrad_();
      const y = rms.forward(norm.forward(x.to(dtype).to("float32"))).to(dtype).softmax(-1);
      y.mul(rand([40, 64]).to(dtype)).sum().backward();
      realize(y, x.grad!, ...[norm, rms].flatMap((m) => [...m.parameters()].map((p) => p.grad!)));
    }
  },
  "wide rows": () => {
    for (const shape of [[3, 300], [2, 1500], [40, 40]]) {
      const x = randn(shape).requiresGrad_();
      const y = x.softmax(1).add(x.logSoftmax(0)).mul(x);
      y.sum().backward();
      realize(y, x.grad!);
    }
  },
};

/** Runs everything and returns each kernel with the data of its first launch. */
export function recordGraphs(fuzzed: number): Sample[] {
  const recorder = new Recorder();
  registerBackend(device, () => recorder);
  for (const fuse of [true, false]) {
    on(device, () => cases.forEach(runCase), { fuse });
    for (let seed = 1; seed <= fuzzed; seed++) on(device, () => fuzz(seed), { fuse });
    for (const model of Object.values(models)) {
      on(device, () => {
        manualSeed(3);
        model();
      }, { fuse });
    }
  }
  return [...recorder.samples.values()];
}
