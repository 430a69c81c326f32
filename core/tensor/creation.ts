/** Making tensors: from data, filled, ramps, random, joined. */
import { type DType, type HostArray, isFloat, promote } from "../dtype.ts";
import { constNode, makeNode, type Node } from "../node.ts";
import { defaultGenerator, type Generator, seedWords } from "../rng.ts";
import { defaultDevice } from "../runtime.ts";
import { nextDraw } from "../draws.ts";
import { normalizeDim, numel, type Shape, shapeText } from "../shape.ts";
import { castNode, hostNode, type Numeric, wrap } from "./base.ts";
import { assembleNode } from "./movement.ts";
import { hostArray, type Tensor } from "./tensor.ts";

/** What a new tensor is like. */
export interface TensorOptions {
  /** Element type; float32 by default. */
  dtype?: DType;
  /** Device; the default device by default. */
  device?: string;
  /** Whether `backward` collects a gradient for it. */
  requiresGrad?: boolean;
}

/** Numbers or booleans in nested arrays. */
export type NestedData = number | boolean | bigint | readonly NestedData[];

function finish(node: Node, options: TensorOptions): Tensor {
  const t = wrap(node);
  if (options.requiresGrad) t.requiresGrad = true;
  return t;
}

function flattenData(data: NestedData): { flat: (number | boolean | bigint)[]; shape: number[] } {
  const flat: (number | boolean | bigint)[] = [], shape: number[] = [];
  const walk = (x: NestedData, depth: number): void => {
    const nested = Array.isArray(x);
    if (nested && shape.length === depth && flat.length === 0) shape.push(x.length);
    if (nested !== depth < shape.length || (nested && x.length !== shape[depth])) {
      throw new TypeError(`Cannot make a tensor of ragged arrays: rows differ at depth ${depth}`);
    }
    if (nested) { for (const item of x as readonly NestedData[]) walk(item, depth + 1); }
    else if (typeof x === "number" || typeof x === "boolean" || typeof x === "bigint") flat.push(x);
    else {throw new TypeError(
        `Cannot make a tensor of ${String(x)}: numbers, booleans or bigints are needed`,
      );}
  };
  walk(data, 0);
  return { flat, shape };
}

const arrayDtypes: readonly (readonly [new (...args: never[]) => HostArray, DType])[] = [
  [Float32Array, "float32"],
  [Float64Array, "float64"],
  [Float16Array, "float16"],
  [Uint16Array, "bfloat16"],
  [Int32Array, "int32"],
  [BigInt64Array, "int64"],
  [Uint8Array, "uint8"],
];

/**
 * A tensor with a copy of the data. Numbers give float32, booleans bool, typed arrays their own dtype (Uint16Array: bfloat16 bits).
 *
 * @param data A number, nested arrays, or a typed array
 * @param options Its dtype, shape (of typed arrays; flat by default), device and requiresGrad
 * @throws {TypeError} When arrays are ragged or the shape does not fit
 */
export function tensor(
  data: NestedData | HostArray,
  options: TensorOptions & { shape?: Shape } = {},
): Tensor {
  const device = options.device ?? defaultDevice();
  if (ArrayBuffer.isView(data)) {
    const own = arrayDtypes.find(([type]) => data instanceof type)?.[1];
    if (own === undefined) {
      throw new TypeError(`Cannot make a tensor of a ${data.constructor.name}`);
    }
    const dtype = options.dtype ?? own, shape = options.shape ?? [data.length];
    return finish(
      fromHost(dtype === own ? data : hostArray(data, dtype), shape, dtype, device),
      options,
    );
  }
  const { flat, shape } = flattenData(data as NestedData);
  const kind = typeof flat[0];
  const dtype = options.dtype ??
    (kind === "boolean" ? "bool" : kind === "bigint" ? "int64" : "float32");
  const array = hostArray(flat.map(Number), dtype);
  return finish(fromHost(array, options.shape ?? shape, dtype, device), options);
}

function fromHost(data: HostArray, shape: Shape, dtype: DType, device: string): Node {
  if (numel(shape) !== data.length) {
    throw new TypeError(
      `Cannot make a tensor of shape ${shapeText(shape)} from ${data.length} elements: it takes ${
        numel(shape)
      }`,
    );
  }
  return data.length === 0
    ? constNode(0, shape, dtype, device)
    : hostNode(data, shape, dtype, device);
}

/** A tensor filled with one value. */
export function full(shape: Shape, value: number, options: TensorOptions = {}): Tensor {
  for (const size of shape) {
    if (!Number.isInteger(size) || size < 0) {
      throw new RangeError(
        `Cannot make a tensor of shape ${shapeText(shape)}: sizes are whole and not negative`,
      );
    }
  }
  const dtype = options.dtype ?? "float32";
  return finish(constNode(value, shape, dtype, options.device ?? defaultDevice()), options);
}
/** A tensor of zeros. */
export function zeros(shape: Shape, options: TensorOptions = {}): Tensor {
  return full(shape, 0, options);
}
/** A tensor of ones. */
export function ones(shape: Shape, options: TensorOptions = {}): Tensor {
  return full(shape, 1, options);
}
/** Zeros with the shape, dtype and device of another tensor. */
export function zerosLike(x: Tensor, options: TensorOptions = {}): Tensor {
  return zeros(x.shape, { dtype: x.dtype, device: x.device, ...options });
}
/** Ones with the shape, dtype and device of another tensor. */
export function onesLike(x: Tensor, options: TensorOptions = {}): Tensor {
  return ones(x.shape, { dtype: x.dtype, device: x.device, ...options });
}

/** `start, start + step, ...` below `end`; with one argument `0 .. end-1`. int64 when all are whole and no dtype is given. */
export function arange(
  start: number,
  end?: number,
  step = 1,
  options: TensorOptions = {},
): Tensor {
  const [from, to] = end === undefined ? [0, start] : [start, end];
  if (step === 0) throw new RangeError("Cannot make a ramp with step 0");
  const count = Math.max(0, Math.ceil((to - from) / step));
  const whole = [from, to, step].every(Number.isInteger);
  const dtype = options.dtype ?? (whole ? "int64" : "float32");
  const device = options.device ?? defaultDevice();
  if (count === 0) return finish(constNode(0, [0], dtype, device), options);
  const ramp = wrap(makeNode("index", null, [], [count], "int32", device, false));
  const middle = isFloat(dtype) ? ramp.to(dtype) : ramp;
  return finish(castNode(middle.mul(step).add(from).node, dtype), options);
}

/** `count` evenly spaced numbers from `start` to `end`, both included. */
export function linspace(
  start: number,
  end: number,
  count: number,
  options: TensorOptions = {},
): Tensor {
  if (!Number.isInteger(count) || count < 0) {
    throw new RangeError(
      `Cannot make ${count} evenly spaced numbers: the count is whole and not negative`,
    );
  }
  const step = count > 1 ? (end - start) / (count - 1) : 0;
  const { dtype = "float32", device } = options;
  return finish(arange(0, count, 1, { dtype, device }).mul(step).add(start).node, options);
}

/** The n x m matrix (m = n by default) with ones on its diagonal. */
export function eye(n: number, m: number = n, options: TensorOptions = {}): Tensor {
  const { dtype = "float32", device } = options;
  const rows = arange(0, n, 1, { dtype: "int32", device }).unsqueeze(1);
  const columns = arange(0, m, 1, { dtype: "int32", device }).unsqueeze(0);
  return finish(rows.eq(columns).to(dtype).node, options);
}

/** Options of random tensors. */
export interface RandomOptions extends TensorOptions {
  /** Stream of random numbers; the default generator by default. */
  generator?: Generator;
}

/** 32 random bits for each element, as int32. */
function bits(shape: Shape, options: RandomOptions): Tensor {
  const device = options.device ?? defaultDevice(),
    generator = options.generator ?? defaultGenerator;
  const count = numel(shape);
  if (count === 0) return wrap(constNode(0, shape, "int32", device));
  const counter = wrap(makeNode("index", null, [], [count], "int32", device, false)).reshape(shape);
  // Seed and draw number reach the kernel through memory, so that a replayed step draws anew.
  const [low, high] = seedWords(generator.seed);
  const words = wrap(nextDraw(generator, low, high, device));
  const [seedLow, seedHigh, offset] = [0, 1, 2].map((i) => words.select(0, i).expand(shape));
  const src = [counter, seedLow, seedHigh, offset].map((t) => t.node);
  return wrap(makeNode("op", { op: "randomBits" }, src, shape, "int32", device, false));
}

/** Uniform floats in [0, 1): multiples of 2^-24. */
export function rand(shape: Shape, options: RandomOptions = {}): Tensor {
  const dtype = options.dtype ?? "float32";
  const top = bits(shape, options).bitwiseRightShift(8).bitwiseAnd(0xffffff);
  return finish(castNode(top.float().mul(2 ** -24).node, dtype), options);
}

/** Normal floats with mean 0 and deviation 1 (Box and Muller, "A note on the generation of random normal deviates", 1958). */
export function randn(shape: Shape, options: RandomOptions = {}): Tensor {
  const { dtype = "float32", generator, device } = options;
  const inner = { generator, device };
  // 1 - u lies in (0, 1], whose logarithm is finite.
  const radius = rand(shape, inner).neg().add(1).log().mul(-2).sqrt();
  const angle = rand(shape, inner).mul(2 * Math.PI);
  return finish(castNode(radius.mul(angle.cos()).node, dtype), options);
}

/** Whole numbers in [low, high), int64 by default. */
export function randint(
  low: number,
  high: number,
  shape: Shape,
  options: RandomOptions = {},
): Tensor {
  if (!(high > low)) throw new RangeError(`Cannot draw from [${low}, ${high}): it is empty`);
  const { generator, device } = options;
  const drawn = rand(shape, { generator, device }).double().mul(high - low).floor().add(low);
  return finish(castNode(drawn.node, options.dtype ?? "int64"), options);
}

/** 1 with probability `p`, else 0; `p` may be a tensor of probabilities, whose shape is taken. */
export function bernoulli(p: number | Tensor, shape?: Shape, options: RandomOptions = {}): Tensor {
  const size = shape ?? (typeof p === "number" ? [] : p.shape);
  const device = typeof p === "number" ? options.device : p.device;
  const dtype = options.dtype ?? (typeof p === "number" ? "float32" : p.dtype);
  const hit = rand(size, { generator: options.generator, device }).lt(p);
  return finish(castNode(hit.node, dtype), options);
}

/** A random permutation of `0 .. n-1`, int64 by default. */
export function randperm(n: number, options: RandomOptions = {}): Tensor {
  const order = (options.generator ?? defaultGenerator).permutation(n);
  return tensor(order, { dtype: "int64", ...options });
}

/**
 * Tensors one after the other along a dimension; dtypes are promoted.
 * @throws {TypeError} When there is none or sizes differ elsewhere
 */
export function cat(tensors: readonly Tensor[], dim = 0): Tensor {
  if (tensors.length === 0) throw new TypeError("Cannot concatenate an empty list");
  const [first] = tensors, d = normalizeDim(dim, first.ndim, "concatenate");
  const dtype = tensors.reduce((t, x) => promote(t, x.dtype), first.dtype);
  const starts: number[][] = [];
  let at = 0;
  for (const t of tensors) {
    if (t.ndim !== first.ndim || t.shape.some((s, i) => i !== d && s !== first.shape[i])) {
      throw new TypeError(
        `Cannot concatenate ${shapeText(first.shape)} and ${
          shapeText(t.shape)
        } along dim ${dim}: other sizes differ`,
      );
    }
    if (t.device !== first.device) {
      throw new TypeError(`Cannot concatenate tensors on ${first.device} and ${t.device}`);
    }
    starts.push(first.shape.map((_, i) => i === d ? at : 0));
    at += t.shape[d];
  }
  const shape = first.shape.map((s, i) => i === d ? at : s);
  return wrap(assembleNode(tensors.map((t) => castNode(t.node, dtype)), starts, shape));
}

/** Tensors of one shape along a new dimension. */
export function stack(tensors: readonly Tensor[], dim = 0): Tensor {
  if (tensors.length === 0) throw new TypeError("Cannot stack an empty list");
  const d = normalizeDim(dim, tensors[0].ndim + 1, "stack");
  return cat(tensors.map((t) => t.unsqueeze(d)), d);
}

/** `condition ? a : b` for each element. */
export function where(condition: Tensor, a: Numeric, b: Numeric): Tensor {
  return condition.where(a, b);
}
