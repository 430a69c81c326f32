/** The routines of attention: cuDNN's, where it has engines. There is no kernel of our own: without cuDNN attention is products and a softmax. */
import type {
  AttentionParams,
  Buffer,
  Operand,
  RoutineCall,
  RoutineLaunch,
  Routines,
} from "../../device.ts";
import { contiguousStrides } from "../../shape.ts";
import type { AttentionGraph, AttentionTensor } from "./cudnn_attention.ts";
import { CudnnAttention } from "./cudnn_attention_launch.ts";
import { cudnnOf } from "./cudnn_open.ts";
import { addressOf } from "./memory.ts";
import type { CudaRuntime } from "./runtime.ts";
import { oncePerDevice } from "./vendor.ts";

/** Attention of a device; undefined without cuDNN. */
const attentionOf = oncePerDevice(
  "PTA_CUDNN",
  (runtime) => new CudnnAttention(runtime, cudnnOf(runtime)),
);

type Direction = "forward" | "backward";

/** Largest head that cuDNN has engines for. */
const MOST = 256;

/** What the routines read and write, all but query, key and value row-major. */
function tensorsOf(
  [query, key, value]: readonly Operand[],
  direction: Direction,
): { readonly [T in AttentionTensor]?: Operand } {
  const rowMajor = ({ dtype }: Operand, shape: readonly number[]): Operand => ({
    dtype,
    shape,
    strides: contiguousStrides(shape),
    offset: 0,
  });
  const out = rowMajor(query, [...query.shape.slice(0, 3), value.shape[3]]);
  if (direction === "forward") return { query, key, value, out };
  const [queryGradient, keyGradient, valueGradient] = [query, key, value]
    .map((o) => rowMajor(o, o.shape));
  // deno-fmt-ignore
  return { query, key, value, out, outGradient: out, queryGradient, keyGradient, valueGradient };
}

/**
 * The graph of one direction.
 *
 * @param operands `[query, key, value]`, each `[batch, position, head, element]`
 * @param params What is done with the scores
 * @param direction Which of the two
 * @returns undefined when cuDNN has none: for other dtypes than float16 and bfloat16, for sizes of heads that are no multiple of 8 or too large
 */
export function attentionGraph(
  operands: readonly Operand[],
  { causal }: AttentionParams,
  direction: Direction,
): AttentionGraph | undefined {
  const [query, key, value] = operands, { dtype } = query;
  if (dtype !== "float16" && dtype !== "bfloat16") return undefined;
  const [batch, queries, heads, size] = query.shape, valueSize = value.shape[3];
  if ([size, valueSize].some((n) => n % 8 !== 0 || n > MOST)) return undefined;
  const [, keys, keyHeads] = key.shape, tensors = Object.entries(tensorsOf(operands, direction));
  const strides = Object.fromEntries(tensors.map(([name, { shape, strides }]) => {
    // Strides of single elements mean nothing, but cuDNN reads them.
    const plain = contiguousStrides(shape);
    const [b, p, h] = strides.map((s, d) => shape[d] === 1 ? plain[d] : s);
    return [name, [b, h, p] as const];
  }));
  // deno-fmt-ignore
  return { dtype, batch, heads, keyHeads, queries, keys, size, valueSize, causal, strides };
}

/** See `Backend.attends`: cuDNN has plans for the operands. */
export function cudaAttends(
  runtime: CudaRuntime,
  operands: readonly Operand[],
  params: AttentionParams,
  gradient: boolean,
): boolean {
  if (runtime.facts.capability[0] < 8) return false;
  // One query at a time is how texts are written: each step has a key more, and a plan takes longer than all of them.
  if (!gradient && operands[0].shape[1] === 1) return false;
  const directions: Direction[] = gradient ? ["forward", "backward"] : ["forward"];
  return directions.every((direction) => {
    const graph = attentionGraph(operands, params, direction);
    return graph !== undefined && attentionOf(runtime)?.plans(direction, graph) === true;
  });
}

const addresses = ({ operands }: RoutineCall, buffers: readonly Buffer[]): number[] =>
  operands.map((o, i) => addressOf(o, buffers[i]));

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
      const graph = attentionGraph(call.operands, call.params, "forward");
      const places = addresses(call, buffers);
      const [query, key, value, out, stats] = places, at = { query, key, value, out, stats };
      const start = graph && attentionOf(runtime)?.forward(graph, call.params.scale, at);
      return { start: start ?? missing(call) };
    },
    attentionGradient: (call, buffers): RoutineLaunch => {
      const graph = attentionGraph(call.operands, call.params, "backward");
      const [query, key, value, out, stats, outGradient, ...gradients] = addresses(call, buffers);
      const [queryGradient, keyGradient, valueGradient] = gradients;
      // deno-fmt-ignore
      const at = { query, key, value, out, stats, outGradient, queryGradient, keyGradient, valueGradient };
      const start = graph && attentionOf(runtime)?.backward(graph, call.params.scale, at);
      return { start: start ?? missing(call) };
    },
  };
}
