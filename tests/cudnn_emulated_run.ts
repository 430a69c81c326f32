/** Runs cuDNN graphs of the backend on the device that the environment gives, and prints what differs from plain loops, as JSON. A process of its own; see `cuda_routine_run.ts`. */
import {
  type AttentionGraph,
  attentionIds,
  attentionKey,
} from "../core/backend/cuda/cudnn_attention.ts";
import { CudnnAttention } from "../core/backend/cuda/cudnn_attention_launch.ts";
import { setFloat32MatmulPrecision } from "../core/matmul_precision.ts";
import {
  type ConvolutionGraph,
  convolutionKey,
  convolutionOperations,
} from "../core/backend/cuda/cudnn_convolution.ts";
import { cudnnOf } from "../core/backend/cuda/cudnn_open.ts";
import type { CudaBuffer } from "../core/backend/cuda/memory.ts";
import { CudaBackend } from "../core/backend/cuda/mod.ts";
import { cudaRoutines } from "../core/backend/cuda/routine_table.ts";
import type { Operand } from "../core/device.ts";
import { codecs, type DType, dtypes, roundTo } from "../core/dtype.ts";
import { contiguousStrides } from "../core/shape.ts";

const backend = new CudaBackend(), cudnn = cudnnOf(backend.runtime), failures: string[] = [];
let passed = 0;

let state = 12345;
/** Numbers from -1 to 1, the same ones each time. */
const next = () => (state = (state * 1103515245 + 12345) % 2 ** 31) / 2 ** 30 - 1;
const random = (dtype: DType, n: number) => Array.from({ length: n }, () => roundTo(dtype, next()));
const size = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1);

function upload(dtype: DType, numbers: readonly number[]): CudaBuffer {
  const buffer = backend.alloc(dtype, numbers.length) as CudaBuffer;
  const array = dtypes[dtype].array(numbers.length);
  numbers.forEach((x, i) => array[i] = codecs[dtype].encode(x) as never);
  backend.write(buffer, array);
  return buffer;
}
function download(buffer: CudaBuffer): number[] {
  const { decode } = codecs[buffer.dtype];
  return Array.from(backend.read(buffer, 0, buffer.length) as Iterable<number>, (x) => decode(x));
}
function compare(label: string, got: readonly number[], want: readonly number[], limit: number) {
  let worst = 0;
  got.forEach((g, i) =>
    worst = Math.max(
      worst,
      Math.abs(g - want[i]) / (1 + Math.abs(want[i])) || (g === want[i] ? 0 : Infinity),
    )
  );
  if (worst <= limit) passed++;
  else failures.push(`${label}: error ${worst}, limit ${limit}`);
}

// ---- attention

/** Result, statistics and gradients in float64; all tensors `[batch, head, position, element]`. */
function reference(
  g: AttentionGraph,
  scale: number,
  q: number[],
  k: number[],
  v: number[],
  grad: number[],
) {
  const { batch, heads, keyHeads, queries, keys, size: d, valueSize: w } = g;
  const out = new Array(batch * heads * queries * w).fill(0), stats: number[] = [];
  const dq = q.map(() => 0), dk = k.map(() => 0), dv = v.map(() => 0);
  for (let line = 0; line < batch * heads * queries; line++) {
    const i = line % queries, head = Math.floor(line / queries) % heads;
    const b = Math.floor(line / queries / heads);
    const from = (b * keyHeads + Math.floor(head * keyHeads / heads)) * keys;
    const seen = g.causal ? Math.min(keys, i + 1) : keys, s: number[] = [];
    for (let j = 0; j < seen; j++) {
      let dot = 0;
      for (let e = 0; e < d; e++) dot += q[line * d + e] * k[(from + j) * d + e];
      s.push(dot * scale);
    }
    const most = Math.max(...s), sum = s.reduce((t, x) => t + Math.exp(x - most), 0);
    const p = s.map((x) => Math.exp(x - most) / sum);
    stats.push(most + Math.log(sum));
    const dp = p.map((weight, j) => {
      let dot = 0;
      for (let e = 0; e < w; e++) {
        out[line * w + e] += weight * v[(from + j) * w + e];
        dv[(from + j) * w + e] += weight * grad[line * w + e];
        dot += grad[line * w + e] * v[(from + j) * w + e];
      }
      return dot;
    });
    const mean = dp.reduce((t, x, j) => t + x * p[j], 0);
    p.forEach((weight, j) => {
      const ds = weight * (dp[j] - mean) * scale;
      for (let e = 0; e < d; e++) {
        dq[line * d + e] += ds * k[(from + j) * d + e];
        dk[(from + j) * d + e] += ds * q[line * d + e];
      }
    });
  }
  return { out, stats, dq, dk, dv };
}

/** From `[batch, head, position, element]` to `[batch, position, head, element]`, as projections leave them. */
function beside(x: readonly number[], [_, h, s, d]: readonly number[], back = false): number[] {
  const to = new Array(x.length);
  for (let i = 0; i < x.length; i++) {
    const e = i % d, p = Math.floor(i / d) % s, head = Math.floor(i / d / s) % h;
    const other = ((Math.floor(i / d / s / h) * s + p) * h + head) * d + e;
    if (back) to[i] = x[other];
    else to[other] = x[i];
  }
  return to;
}

function attention(label: string, g: AttentionGraph, turned: boolean): void {
  const { batch, heads, keyHeads, queries, keys, size: d, valueSize: w, dtype } = g;
  const shapes = {
    query: [batch, heads, queries, d],
    key: [batch, keyHeads, keys, d],
    value: [batch, keyHeads, keys, w],
    out: [batch, heads, queries, w],
  };
  const strides = ([_, h, s, e]: number[]) => [s * h * e, e, h * e] as const;
  const graph: AttentionGraph = !turned ? g : {
    ...g,
    strides: {
      query: strides(shapes.query),
      key: strides(shapes.key),
      value: strides(shapes.value),
      out: strides(shapes.out),
    },
  };
  const [q, k, v, grad] = (["query", "key", "value", "out"] as const)
    .map((name) => random(dtype, size(shapes[name])));
  const lay = (x: number[], shape: number[]) => turned ? beside(x, shape) : x;
  const lie = (x: number[], shape: number[]) => turned ? beside(x, shape, true) : x;
  const scale = 1 / Math.sqrt(d), want = reference(g, scale, q, k, v, grad);
  const put = (x: number[], shape: number[]) => upload(dtype, lay(x, shape));
  const empty = (shape: number[]) => backend.alloc(dtype, size(shape)) as CudaBuffer;
  const buffers = {
    query: put(q, shapes.query),
    key: put(k, shapes.key),
    value: put(v, shapes.value),
    out: empty(shapes.out),
    stats: backend.alloc("float32", batch * heads * queries) as CudaBuffer,
    outGradient: put(grad, shapes.out),
    queryGradient: empty(shapes.query),
    keyGradient: empty(shapes.key),
    valueGradient: empty(shapes.value),
  };
  const at = Object.fromEntries(Object.entries(buffers).map(([n, b]) => [n, b.pointer]));
  const runner = new CudnnAttention(backend.runtime, cudnn);
  const { outGradient: _1, queryGradient: _2, keyGradient: _3, valueGradient: _4, ...inputs } = at;
  const forward = runner.forward(graph, scale, inputs as never);
  const backward = runner.backward(graph, scale, at as never);
  if (forward === undefined || backward === undefined) {
    failures.push(`${label}: no engine for ${attentionKey("forward", graph)}`);
    return;
  }
  forward();
  backward();
  const limit = dtype === "float16" ? 4e-3 : 3e-2;
  compare(`${label} out`, lie(download(buffers.out), shapes.out), want.out, limit);
  compare(`${label} statistics`, download(buffers.stats), want.stats, 1e-4);
  const gradients = [["queryGradient", "dq", "query"], ["keyGradient", "dk", "key"], [
    "valueGradient",
    "dv",
    "value",
  ]] as const;
  for (const [name, which, like] of gradients) {
    compare(`${label} ${name}`, lie(download(buffers[name]), shapes[like]), want[which], limit);
  }
  Object.values(buffers).forEach((b) => backend.free(b));
}

const base = { batch: 2, heads: 4, keyHeads: 4, queries: 9, keys: 9, size: 16, valueSize: 8 };
attention("causal", { ...base, dtype: "bfloat16", causal: true }, false);
attention("float16", { ...base, dtype: "float16", causal: false, keys: 13 }, false);
attention("shared keys", { ...base, dtype: "float16", causal: true, keyHeads: 2 }, false);
attention(
  "heads beside each other",
  { ...base, dtype: "bfloat16", causal: true, keyHeads: 1 },
  true,
);
if (Object.values(attentionIds).some((id, i, all) => all.indexOf(id) !== i)) failures.push("ids");

// ---- convolutions

const operand = (shape: number[]): Operand => ({
  dtype: "float32",
  shape,
  strides: contiguousStrides(shape),
  offset: 0,
});
const params = { stride: [1, 1], padding: [1, 1], dilation: [1, 1], groups: 1 };
const shapes = { x: [2, 3, 6, 5], w: [4, 3, 3, 3], y: [2, 4, 6, 5] };
const x = random("float32", size(shapes.x)), w = random("float32", size(shapes.w));

function convolved(a: readonly number[], b: readonly number[]): number[] {
  const y: number[] = [];
  for (let i = 0; i < size(shapes.y); i++) {
    const c = i % 5, r = Math.floor(i / 5) % 6, o = Math.floor(i / 30) % 4, n = Math.floor(i / 120);
    let sum = 0;
    for (let ch = 0; ch < 3; ch++) {
      for (let h = 0; h < 3; h++) {
        for (let j = 0; j < 3; j++) {
          const u = r + h - 1, v = c + j - 1;
          if (u < 0 || u > 5 || v < 0 || v > 4) continue;
          sum += a[((n * 3 + ch) * 6 + u) * 5 + v] * b[((o * 3 + ch) * 3 + h) * 3 + j];
        }
      }
    }
    y.push(sum);
  }
  return y;
}

{
  // Strict by default; with TF32 allowed the factors have 10 bits behind the point.
  const routine = cudaRoutines(backend.runtime).convolution;
  const operands = [operand(shapes.x), operand(shapes.w), operand(shapes.y)];
  const buffers = [
    upload("float32", x),
    upload("float32", w),
    backend.alloc("float32", size(shapes.y)) as CudaBuffer,
  ];
  const run = () => {
    routine({ name: "convolution", params, operands }, buffers).start();
    return download(buffers[2]);
  };
  const exact = convolved(x, w), built = cudnn.counts.built;
  compare("strict", run(), exact, 1e-5);
  if (cudnn.counts.built !== built + 1) {
    failures.push("the strict convolution was not planned by cuDNN");
  }
  setFloat32MatmulPrecision("high");
  const short = run();
  setFloat32MatmulPrecision("highest");
  compare("TF32", short, exact, 2e-2);
  const apart = Math.max(...short.map((v, i) => Math.abs(v - exact[i])));
  if (apart < 1e-5) failures.push(`TF32 is as exact as float32: ${apart}`);
  compare("strict again", run(), exact, 1e-5);
  if (cudnn.counts.built !== built + 2) failures.push("plans are not kept by precision");
}

{
  // Channels last, by strides alone.
  const last = ([_, c, h, v]: number[]) => [c * h * v, 1, v * c, c];
  const graph: ConvolutionGraph = {
    name: "convolution",
    params,
    dtype: "float32",
    shapes: [shapes.x, shapes.w, shapes.y],
    strides: [last(shapes.x), last(shapes.w), last(shapes.y)],
    alignment: 16,
  };
  const turn = (from: readonly number[], [n, c, h, v]: number[], back = false) => {
    const to = new Array(from.length);
    for (let i = 0; i < n * c * h * v; i++) {
      const inPlane = i % (h * v),
        ch = Math.floor(i / (h * v)) % c,
        b = Math.floor(i / (h * v * c));
      const other = (b * h * v + inPlane) * c + ch;
      if (back) to[i] = from[other];
      else to[other] = from[i];
    }
    return to;
  };
  const make = () => convolutionOperations(cudnn, graph);
  const plan = cudnn.plan(convolutionKey(graph), make, { tensorCores: false, workspace: 1 << 30 });
  const buffers = [
    upload("float32", turn(x, shapes.x)),
    upload("float32", turn(w, shapes.w)),
    backend.alloc("float32", size(shapes.y)) as CudaBuffer,
  ];
  if (plan === undefined) failures.push("channels last: no engine");
  else {
    const scratch = backend.runtime.workspace(plan.workspace);
    cudnn.execute(plan, [1, 2, 3], BigUint64Array.from(buffers, (b) => BigInt(b.pointer)), scratch);
    compare("channels last", turn(download(buffers[2]), shapes.y, true), convolved(x, w), 1e-5);
  }
}

console.log(JSON.stringify({ device: backend.runtime.facts.name, passed, failures }));
