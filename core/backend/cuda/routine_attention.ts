/** The routines of attention: cuDNN's, where it has engines. There is no kernel of our own: without cuDNN attention is products and a softmax. */
import type {
  AttentionParams,
  Operand,
  RoutineCall,
  RoutineLaunch,
  Routines,
} from "../../device.ts";
import { dtypes } from "../../dtype.ts";
import { contiguousStrides } from "../../shape.ts";
import type { AttentionGraph, AttentionTensor } from "./cudnn_attention.ts";
import { CudnnAttention } from "./cudnn_attention_launch.ts";
import { cudnnOf } from "./cudnn_open.ts";
import type { CudaBuffer } from "./memory.ts";
import type { CudaRuntime } from "./runtime.ts";
import { tryOr } from "./vendor.ts";

const opened = new WeakMap<CudaRuntime, { readonly cudnn: CudnnAttention | undefined }>();

/** Attention of a device; undefined without cuDNN. */
function attentionOf(runtime: CudaRuntime): CudnnAttention | undefined {
  let known = opened.get(runtime);
  if (known === undefined) {
    known = { cudnn: tryOr("PTA_CUDNN", () => new CudnnAttention(runtime, cudnnOf(runtime))) };
    opened.set(runtime, known);
  }
  return known.cudnn;
}

/** Largest head that cuDNN has engines for. */
const MOST = 256;

/** The graph for operands `[batch, position, head, element]`; undefined when cuDNN has none for such. */
function graphOf(
  named: { readonly [T in AttentionTensor]?: Operand },
  { causal }: AttentionParams,
): AttentionGraph | undefined {
  const query = named.query!, key = named.key!, value = named.value!, { dtype } = query;
  if (dtype !== "float16" && dtype !== "bfloat16") return undefined;
  const [batch, queries, heads, size] = query.shape, valueSize = value.shape[3];
  if ([size, valueSize].some((n) => n % 8 !== 0 || n > MOST)) return undefined;
  const [, keys, keyHeads] = key.shape;
  const strides = Object.fromEntries(
    Object.entries(named).map(([name, { shape, strides }]) => {
      // Strides of single elements mean nothing, but cuDNN reads them.
      const plain = contiguousStrides(shape);
      const [b, p, h] = strides.map((s, d) => shape[d] === 1 ? plain[d] : s);
      return [name, [b, h, p] as const];
    }),
  );
  // deno-fmt-ignore
  return { dtype, batch, heads, keyHeads, queries, keys, size, valueSize, causal, strides };
}

/** See `Backend.attends`: cuDNN has plans for the operands. */
export function cudaAttends(
  runtime: CudaRuntime,
  [query, key, value]: readonly Operand[],
  params: AttentionParams,
  gradient: boolean,
): boolean {
  if (runtime.facts.capability[0] < 8) return false;
  const forward = graphOf({ query, key, value, out: outOf(query, value) }, params);
  if (forward === undefined) return false;
  const cudnn = attentionOf(runtime);
  if (cudnn?.plans("forward", forward) !== true) return false;
  if (!gradient) return true;
  const backward = graphOf(gradientOperands([query, key, value]), params);
  return backward !== undefined && cudnn.plans("backward", backward);
}

/** The result for a query and values. */
function outOf({ dtype, shape }: Operand, value: Operand): Operand {
  return rowMajor(dtype, [...shape.slice(0, 3), value.shape[3]]);
}

const rowMajor = (dtype: Operand["dtype"], shape: readonly number[]): Operand => ({
  dtype,
  shape,
  strides: contiguousStrides(shape),
  offset: 0,
});

/** What the gradient reads and writes beside query, key and value is row-major. */
function gradientOperands([query, key, value]: readonly Operand[]) {
  const out = outOf(query, value),
    [queryGradient, keyGradient, valueGradient] = [query, key, value]
      .map(({ dtype, shape }) => rowMajor(dtype, shape));
  const outGradient = out;
  // deno-fmt-ignore
  return { query, key, value, out, outGradient, queryGradient, keyGradient, valueGradient };
}

const addresses = (call: RoutineCall, buffers: readonly CudaBuffer[]): number[] =>
  call.operands.map((o, i) => buffers[i].pointer + o.offset * dtypes[o.dtype].bytes);

function missing({ name, operands: [query, key, value] }: RoutineCall): never {
  const [q, k, v] = [query, key, value].map((o) => `${o.dtype} [${o.shape.join(", ")}]`);
  throw new Error(
    `Cannot run ${name} with query ${q}, key ${k}, value ${v}: cuDNN has no engine for it; PTA_CUDNN=off computes attention without it`,
  );
}

/** Attention of a device, forward and backward. They only launch: they can be captured. */
export function cudaAttention(
  runtime: CudaRuntime,
): Pick<Routines, "attention" | "attentionGradient"> {
  return {
    attention: (call, buffers): RoutineLaunch => {
      const [query, key, value, out] = call.operands;
      const graph = graphOf({ query, key, value, out }, call.params);
      const [q, k, v, o, stats] = addresses(call, buffers as readonly CudaBuffer[]);
      const at = { query: q, key: k, value: v, out: o, stats };
      const start = graph && attentionOf(runtime)?.forward(graph, call.params.scale, at);
      return { start: start ?? missing(call) };
    },
    attentionGradient: (call, buffers): RoutineLaunch => {
      const graph = graphOf(gradientOperands(call.operands.slice(0, 3)), call.params);
      const [query, key, value, out, stats, outGradient, ...gradients] = addresses(
        call,
        buffers as readonly CudaBuffer[],
      );
      const [queryGradient, keyGradient, valueGradient] = gradients;
      // deno-fmt-ignore
      const at = { query, key, value, out, stats, outGradient, queryGradient, keyGradient, valueGradient };
      const start = graph && attentionOf(runtime)?.backward(graph, call.params.scale, at);
      return { start: start ?? missing(call) };
    },
  };
}
