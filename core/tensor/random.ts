/** Random tensors. Numbers are a function of seed, draw and element, so that every device draws the same. */
import { type DType, isFloat } from "../dtype.ts";
import { nextDraw } from "../draws.ts";
import { constNode, makeNode, type Node } from "../node.ts";
import { defaultGenerator, type Generator, seedWords } from "../rng.ts";
import { deviceName } from "../runtime.ts";
import { numel, type Shape, shapeText } from "../shape.ts";
import { castNode, wrap } from "./base.ts";
import type { TensorOptions } from "./creation.ts";
import { routine } from "./routine.ts";
import type { Tensor } from "./tensor.ts";

/** Options of random tensors. */
export interface RandomOptions extends TensorOptions {
  /** Stream of random numbers; the default generator by default. */
  generator?: Generator;
}

function finish(node: Node, options: TensorOptions): Tensor {
  const t = wrap(node);
  if (options.requiresGrad) t.requiresGrad = true;
  return t;
}

/** Shape, dtype and device of another tensor, unless options say otherwise. */
function like(x: Tensor, options: RandomOptions): RandomOptions {
  return { dtype: x.dtype, device: x.device, ...options };
}

/** 32 random bits for each element, as int32. */
function bits(shape: Shape, options: RandomOptions): Tensor {
  const device = deviceName(options.device),
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
/** {@linkcode rand} with the shape, dtype and device of another tensor. */
export function randLike(x: Tensor, options: RandomOptions = {}): Tensor {
  return rand(x.shape, like(x, options));
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
/** {@linkcode randn} with the shape, dtype and device of another tensor. */
export function randnLike(x: Tensor, options: RandomOptions = {}): Tensor {
  return randn(x.shape, like(x, options));
}

/**
 * Normal floats with means and deviations of their own; no gradient flows to these.
 *
 * @param mean A number or a tensor
 * @param std A number or a tensor, broadcast with `mean`
 * @param shape Needed when both are numbers
 * @throws {RangeError} When a number as deviation is negative
 * @throws {TypeError} When both are numbers and no shape is given
 */
export function normal(
  mean: number | Tensor,
  std: number | Tensor = 1,
  shape?: Shape,
  options: RandomOptions = {},
): Tensor {
  if (typeof std === "number" && !(std >= 0)) {
    throw new RangeError(`Cannot draw normal numbers with deviation ${std}: it must be 0 or more`);
  }
  const given = typeof mean !== "number" ? mean : typeof std !== "number" ? std : undefined;
  const size = shape ?? (given === undefined ? undefined : given.add(
    typeof std === "number" ? std : std.detach(),
  ).shape);
  if (size === undefined) {
    throw new TypeError(
      "Cannot draw normal numbers: give a shape, or tensors as mean or deviation",
    );
  }
  const free = (x: number | Tensor) => typeof x === "number" ? x : x.detach();
  const { dtype = given?.dtype, device = given?.device } = options;
  const drawn = randn(size, { generator: options.generator, dtype, device });
  return finish(drawn.mul(free(std)).add(free(mean)).node, options);
}

/** Whole numbers in [low, high), int64 by default. */
export function randint(
  low: number,
  high: number,
  shape: Shape,
  options: RandomOptions = {},
): Tensor {
  if (!(high > low)) throw new RangeError(`Cannot draw from [${low}, ${high}): it is empty`);
  const { generator, device } = options, range = high - low;
  const draw = () => rand(shape, { generator, device }).double();
  // A second draw gives ranges beyond 2^24 numbers their lower bits.
  const u = range > 2 ** 24 ? draw().add(draw().mul(2 ** -24)) : draw();
  return finish(castNode(u.mul(range).floor().add(low).node, options.dtype ?? "int64"), options);
}
/** {@linkcode randint} with the shape, dtype and device of another tensor. */
export function randintLike(
  x: Tensor,
  low: number,
  high: number,
  options: RandomOptions = {},
): Tensor {
  return randint(low, high, x.shape, like(x, options));
}

/** 1 with probability `p`, else 0; `p` may be a tensor of probabilities, whose shape is taken. No gradient flows to it. */
export function bernoulli(p: number | Tensor, shape?: Shape, options: RandomOptions = {}): Tensor {
  const size = shape ?? (typeof p === "number" ? [] : p.shape);
  const device = typeof p === "number" ? options.device : p.device;
  const dtype = options.dtype ?? (typeof p === "number" ? "float32" : p.dtype);
  const hit = rand(size, { generator: options.generator, device }).lt(p);
  return finish(castNode(hit.node, dtype), options);
}

/** The sources of randomness of {@linkcode multinomial}. */
export interface MultinomialOptions {
  /** Whether a category may be drawn again; false by default. */
  replacement?: boolean;
  /** Stream of random numbers; the default generator by default. */
  generator?: Generator;
}

/**
 * Categories drawn in proportion to weights. Without replacement by the order of `weight / e` with exponential `e` (Efraimidis and Spirakis,
 * "Weighted random sampling with a reservoir", 2006); a category of weight 0 is drawn only when the others run out.
 *
 * @param weights `[categories]` or `[rows, categories]`, not negative; they need not add up to 1
 * @param count Draws for each row
 * @returns int64, `[count]` or `[rows, count]`
 * @throws {TypeError} When the weights are no floats or have another rank
 * @throws {RangeError} When more is drawn without replacement than there are categories
 */
export function multinomial(
  weights: Tensor,
  count: number,
  options: MultinomialOptions = {},
): Tensor {
  const { replacement = false, generator } = options, { device } = weights;
  if (weights.ndim < 1 || weights.ndim > 2 || !isFloat(weights.dtype)) {
    throw new TypeError(
      `Cannot draw from weights ${weights.describe()}: floats of 1 or 2 dimensions are needed`,
    );
  }
  const size = weights.shape[weights.ndim - 1], rows = weights.shape.slice(0, -1);
  if (!Number.isInteger(count) || count < 1 || size === 0 || (!replacement && count > size)) {
    throw new RangeError(
      `Cannot draw ${count} of ${shapeText(weights.shape)} ${
        replacement ? "with" : "without"
      } replacement: there are ${size} categories`,
    );
  }
  const free = weights.detach();
  const dtype: DType = weights.dtype === "float64" ? "float64" : "float32";
  if (!replacement) {
    const e = rand(weights.shape, { generator, device }).neg().add(1).log().neg();
    // An exponential of exactly 0 would make NaN of a weight of 0.
    const keys = free.to(dtype).div(e.maximum(2 ** -30));
    const order = routine("argsort", { descending: true }, [keys], weights.shape, "int32");
    return order.narrow(-1, 0, count).to("int64");
  }
  const running = routine("scan", { op: "sum" }, [free.to(dtype)], weights.shape, dtype);
  const u = rand([...rows, count], { generator, device }).to(dtype);
  const at = u.mul(running.narrow(-1, size - 1, 1));
  return routine("search", { right: true }, [running, at], [...rows, count], "int32").to("int64");
}
