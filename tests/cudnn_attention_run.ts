/**
 * Attention of tensors on the CUDA device that the environment gives, against products and a softmax in float64 on the reference device, and training steps with it; prints what came
 * of it as JSON. A process of its own; see `cuda_routine_run.ts`.
 */
import "@pta/core/backend";
import {
  autocast,
  backendOf,
  capture,
  counters,
  type DType,
  grad,
  nn,
  noGrad,
  optim,
  Parameter,
  realize,
  type Tensor,
  tensor,
} from "@pta/core";
import { cudnnOf } from "../core/backend/cuda/cudnn_open.ts";
import type { CudaBackend } from "../core/backend/cuda/mod.ts";
import { numbers } from "./assert.ts";
import { on } from "./devices.ts";
import { Dice } from "./graph_fuzz.ts";

const F = nn.functional;

/** One call, what it was of, and how well it went. */
export interface Attended {
  readonly label: string;
  /** Routines that ran for the result and the gradients: two where cuDNN does it. */
  readonly routines: number;
  /** Kernels that ran beside them. */
  readonly kernels: number;
  /** Largest error of the result and of the gradients of query, key and value, against their largest element. */
  readonly errors: readonly number[];
}

/** Losses of training steps, by how the steps ran. */
export interface Trained {
  readonly want: readonly number[];
  readonly plain: readonly number[];
  readonly captured: readonly number[];
  readonly checkpointed: readonly number[];
  /** Routines and kernels of one step. */
  readonly launches: { readonly routines: number; readonly kernels: number };
}

/** All that is printed. */
export interface Report {
  readonly attended: readonly Attended[];
  /** Without gradients. */
  readonly inferred: readonly Attended[];
  readonly trained: Trained;
  readonly second: Attended;
  /** Plans that cuDNN made. */
  readonly plans: number;
}

interface Case {
  readonly query: readonly number[];
  readonly key: readonly number[];
  readonly value: readonly number[];
  readonly options: nn.functional.AttentionOptions;
  readonly dtype: DType;
}

const same = (shape: readonly number[], options: Case["options"], dtype: DType): Case => ({
  query: shape,
  key: shape,
  value: shape,
  options,
  dtype,
});
const causal = { isCausal: true }, shared = { isCausal: true, enableGqa: true };

const cases: Readonly<Record<string, Case>> = {
  "causal bfloat16": same([2, 3, 64, 16], causal, "bfloat16"),
  "causal float16": same([2, 2, 77, 8], causal, "float16"),
  "one query": {
    query: [2, 2, 1, 8],
    key: [2, 2, 5, 8],
    value: [2, 2, 5, 8],
    options: {},
    dtype: "bfloat16",
  },
  "other scale": same([1, 2, 65, 16], { scale: 0.4 }, "float16"),
  "three dimensions": same([4, 19, 8], causal, "bfloat16"),
  "five dimensions": same([2, 1, 2, 9, 8], {}, "float16"),
  "more keys": {
    query: [2, 2, 5, 16],
    key: [2, 2, 70, 16],
    value: [2, 2, 70, 8],
    options: causal,
    dtype: "bfloat16",
  },
  "more queries": {
    query: [1, 2, 33, 8],
    key: [1, 2, 7, 8],
    value: [1, 2, 7, 24],
    options: {},
    dtype: "float16",
  },
  "shared keys": {
    query: [2, 4, 21, 8],
    key: [2, 2, 21, 8],
    value: [2, 2, 21, 8],
    options: shared,
    dtype: "bfloat16",
  },
  "one key for all": {
    query: [2, 4, 10, 8],
    key: [2, 1, 13, 8],
    value: [2, 1, 13, 16],
    options: { enableGqa: true },
    dtype: "float16",
  },
};
/** Calls that are products and a softmax everywhere. */
const others: Readonly<Record<string, Case>> = {
  "one position": same([2, 2, 1, 8], causal, "bfloat16"),
  "size of 12": same([2, 2, 9, 12], causal, "bfloat16"),
  "float32": same([2, 2, 9, 8], causal, "float32"),
  "leading dimensions that differ": {
    query: [2, 2, 9, 8],
    key: [1, 2, 9, 8],
    value: [1, 2, 9, 8],
    options: {},
    dtype: "float16",
  },
};

const filled = (dice: Dice, shape: readonly number[], dtype: DType, device: string): Tensor =>
  tensor(
    Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => 2 * dice.next() - 1),
    { shape, device },
  ).to(dtype);

/** Values that the dtype of a case can hold, also on the reference device. */
function leavesOf(c: Case, device: string): Tensor[] {
  const dice = new Dice(6), reference = device === "ref";
  return [c.query, c.key, c.value].map((shape) => {
    const x = filled(dice, shape, c.dtype, device);
    return (reference ? x.to("float64") : x).realize().requiresGrad_();
  });
}
/** A gradient that is the same on both devices. */
const seedOf = (y: Tensor, c: Case): Tensor =>
  filled(new Dice(9), y.shape, c.dtype, y.device).to(y.dtype);

const worst = (got: readonly number[], want: readonly number[]): number => {
  const most = Math.max(...want.map(Math.abs), 1e-30);
  return got.reduce((m, g, i) => Math.max(m, Math.abs(g - want[i]) / most || 0), 0);
};

function launchesOf(fn: () => void): { routines: number; kernels: number } {
  const before = { ...counters };
  fn();
  return {
    routines: counters.routines - before.routines,
    kernels: counters.kernels - before.kernels,
  };
}

/** Result and gradients, or gradients of gradients. */
function run(c: Case, device: string, second: boolean) {
  return on(device, () => {
    const leaves = leavesOf(c, device), [q, k, v] = leaves;
    const y = F.scaledDotProductAttention(q, k, v, c.options), gradOutputs = [seedOf(y, c)];
    realize(...gradOutputs);
    let results = [y, ...grad(y, leaves, { gradOutputs, createGraph: second })];
    if (second) {
      const sum = results.slice(1).map((g) => g.square().sum()).reduce((a, b) => a.add(b));
      results = [...results, ...grad(sum, leaves)];
    }
    const launches = launchesOf(() => realize(...results));
    return { values: results.map(numbers), launches };
  });
}

function attended(label: string, c: Case, second = false): Attended {
  const want = run(c, "ref", second).values, { values, launches } = run(c, "cuda", second);
  return { label, ...launches, errors: want.map((w, i) => worst(values[i], w)) };
}

/** A block of a transformer, trained in bfloat16; heads lie beside each other in one projection. */
function losses(device: string, how: "plain" | "captured" | "checkpointed") {
  return on(device, () => {
    const dice = new Dice(12), batch = 2, length = 11, heads = 2, size = 8, width = heads * size;
    const parameter = (...shape: number[]) =>
      new Parameter(filled(dice, shape, "float32", device).mul(0.4).realize());
    const projection = parameter(3 * width, width), back = parameter(width, width);
    const optimizer = new optim.SGD([projection, back], { lr: 0.5 });
    const x = filled(dice, [batch, length, width], "float32", device).realize();
    const block = (input: Tensor): Tensor => {
      const [q, k, v] = F.linear(input, projection).reshape(batch, length, 3, heads, size)
        .unbind(2).map((part) => part.transpose(1, 2));
      const y = F.scaledDotProductAttention(q, k, v, causal);
      return F.linear(y.transpose(1, 2).reshape(batch, length, width), back);
    };
    const step = (input: Tensor): Tensor => {
      optimizer.zeroGrad();
      const y = autocast(
        { dtype: "bfloat16" },
        () => how === "checkpointed" ? nn.checkpoint(block, input) : block(input),
      );
      const loss = y.to("float32").sub(input.roll(1, 1)).square().mean();
      loss.backward();
      optimizer.step();
      return loss;
    };
    const go = how === "captured" ? capture(step) : step;
    const all: number[] = [];
    let launches = { routines: 0, kernels: 0 };
    for (let i = 0; i < 6; i++) launches = launchesOf(() => all.push(go(x).item() as number));
    return { all, launches };
  });
}

/** A result without gradients. */
function inference(name: string): Attended {
  const c = cases[name];
  const result = (device: string) =>
    on(device, () =>
      noGrad(() => {
        const [q, k, v] = leavesOf(c, device);
        const y = F.scaledDotProductAttention(q, k, v, c.options);
        const launches = launchesOf(() => y.realize());
        return { values: numbers(y), launches };
      }));
  const want = result("ref").values, { values, launches } = result("cuda");
  return { label: `${name} without gradients`, ...launches, errors: [worst(values, want)] };
}

if (import.meta.main) {
  const all = Object.entries({ ...cases, ...others }).map(([label, c]) => attended(label, c));
  const plain = losses("cuda", "plain");
  const report: Report = {
    attended: all,
    // Of one query, as texts are written, it is products and a softmax.
    inferred: ["causal bfloat16", "one query"].map(inference),
    trained: {
      want: losses("ref", "plain").all,
      plain: plain.all,
      captured: losses("cuda", "captured").all,
      checkpointed: losses("cuda", "checkpointed").all,
      launches: plain.launches,
    },
    second: attended("gradients of gradients", cases["shared keys"], true),
    plans: Deno.env.get("PTA_CUDNN") === "off"
      ? 0
      : cudnnOf((backendOf("cuda") as CudaBackend).runtime).counts.built,
  };
  console.log(JSON.stringify(report));
}
