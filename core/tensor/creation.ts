/** Making tensors: from data, filled, ramps. */
import { type DType, type HostArray, isFloat } from "../dtype.ts";
import { constNode, type Node } from "../node.ts";
import { defaultGenerator } from "../rng.ts";
import { deviceName } from "../runtime.ts";
import { numel, type Shape, shapeText } from "../shape.ts";
import { castNode, hostNode, wrap } from "./base.ts";
import { ramp } from "./ramp.ts";
import type { RandomOptions } from "./random.ts";
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
  const device = deviceName(options.device);
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
  return finish(constNode(value, shape, dtype, deviceName(options.device)), options);
}
/** A tensor of zeros. */
export function zeros(shape: Shape, options: TensorOptions = {}): Tensor {
  return full(shape, 0, options);
}
/** A tensor of ones. */
export function ones(shape: Shape, options: TensorOptions = {}): Tensor {
  return full(shape, 1, options);
}
/** A tensor to be filled later; it holds zeros, since memory that was never written would differ from run to run. */
export function empty(shape: Shape, options: TensorOptions = {}): Tensor {
  return full(shape, 0, options);
}
/** A tensor without dimensions. */
export function scalarTensor(value: number, options: TensorOptions = {}): Tensor {
  return full([], value, options);
}
/** One value with the shape, dtype and device of another tensor. */
export function fullLike(x: Tensor, value: number, options: TensorOptions = {}): Tensor {
  return full(x.shape, value, { dtype: x.dtype, device: x.device, ...options });
}
/** A tensor to be filled later, with the shape, dtype and device of another; it holds zeros. */
export function emptyLike(x: Tensor, options: TensorOptions = {}): Tensor {
  return fullLike(x, 0, options);
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
  const device = deviceName(options.device);
  if (count === 0) return finish(constNode(0, [0], dtype, device), options);
  const counter = ramp(count, device);
  const middle = isFloat(dtype) ? counter.to(dtype) : counter;
  return finish(castNode(middle.mul(step).add(from).node, dtype), options);
}

/** An evenly spaced ramp of floats, both ends exact: the upper half counts down from `end`, as PyTorch does. */
function evenly(start: number, end: number, count: number, options: TensorOptions): Tensor {
  if (!Number.isInteger(count) || count < 0) {
    throw new RangeError(
      `Cannot make ${count} evenly spaced numbers: the count is whole and not negative`,
    );
  }
  const { dtype = "float32" } = options, device = deviceName(options.device);
  if (count <= 1) return full([count], start, { dtype, device });
  const step = (end - start) / (count - 1);
  const up = ramp(count, device), down = up.neg().add(count - 1);
  return up.lt(Math.floor(count / 2)).where(
    up.to(dtype).mul(step).add(start),
    down.to(dtype).mul(-step).add(end),
  );
}

/** Where integers and halves are computed. */
const wide = (dtype: DType): DType =>
  dtype === "float32" || dtype === "float64" ? dtype : "float64";

/**
 * `count` evenly spaced numbers from `start` to `end`, both included.
 * @throws {RangeError} When the count is no whole number
 */
export function linspace(
  start: number,
  end: number,
  count: number,
  options: TensorOptions = {},
): Tensor {
  const { dtype = "float32", device } = options;
  const out = evenly(start, end, count, { dtype: wide(dtype), device });
  return finish(castNode(out.node, dtype), options);
}

/**
 * `count` numbers whose logarithms to `base` are evenly spaced from `start` to `end`, both included.
 * @throws {RangeError} When the count is no whole number
 */
export function logspace(
  start: number,
  end: number,
  count: number,
  base = 10,
  options: TensorOptions = {},
): Tensor {
  const { dtype = "float32", device } = options;
  const exponent = evenly(start, end, count, { dtype: wide(dtype), device });
  const power = fullLike(exponent, base).pow(exponent);
  return finish(castNode(power.node, dtype), options);
}

/** The n x m matrix (m = n by default) with ones on its diagonal. */
export function eye(n: number, m: number = n, options: TensorOptions = {}): Tensor {
  const { dtype = "float32", device } = options;
  const rows = arange(0, n, 1, { dtype: "int32", device }).unsqueeze(1);
  const columns = arange(0, m, 1, { dtype: "int32", device }).unsqueeze(0);
  return finish(rows.eq(columns).to(dtype).node, options);
}

/** A random permutation of `0 .. n-1`, int64 by default. */
export function randperm(n: number, options: RandomOptions = {}): Tensor {
  const order = (options.generator ?? defaultGenerator).permutation(n);
  return tensor(order, { dtype: "int64", ...options });
}
