/** New tensors like this one, and random numbers in place. */
import { type DType, isFloat } from "../dtype.ts";
import { constNode } from "../node.ts";
import type { Generator } from "../rng.ts";
import type { Shape } from "../shape.ts";
import { wrap } from "./base.ts";
import type { TensorOptions } from "./creation.ts";
import { IndexedTensor } from "./indexed.ts";
import { bernoulli, rand, randint, randn } from "./random.ts";
import type { Tensor } from "./tensor.ts";

/** Options of filling in place. */
export interface FillOptions {
  /** Stream of random numbers; the default generator by default. */
  generator?: Generator;
}

/** Makers with this tensor's dtype and device, and random fills. */
export abstract class FillTensor extends IndexedTensor {
  /** A tensor filled with one value, of this dtype and device unless told otherwise. */
  newFull(shape: Shape, value: number, options: TensorOptions = {}): Tensor {
    const { dtype = this.dtype, device = this.device, requiresGrad } = options;
    const out = wrap(constNode(value, shape, dtype, device));
    if (requiresGrad) out.requiresGrad = true;
    return out;
  }
  /** A tensor of zeros, of this dtype and device unless told otherwise. */
  newZeros(shape: Shape, options: TensorOptions = {}): Tensor {
    return this.newFull(shape, 0, options);
  }
  /** A tensor of ones, of this dtype and device unless told otherwise. */
  newOnes(shape: Shape, options: TensorOptions = {}): Tensor {
    return this.newFull(shape, 1, options);
  }
  /** A tensor to be filled later; it holds zeros. */
  newEmpty(shape: Shape, options: TensorOptions = {}): Tensor {
    return this.newFull(shape, 0, options);
  }

  /** Draws 0 or 1 for each element, which is the probability of 1. */
  bernoulli(options: FillOptions = {}): Tensor {
    return bernoulli(this.self, undefined, options);
  }

  /** Draws of the shape and device of this tensor, cast to its dtype and written over it. */
  private drawn(
    draw: (shape: Shape, options: FillOptions & { device: string; dtype: DType }) => Tensor,
    options: FillOptions,
  ): this {
    // Half precision is drawn in float32, and so are integers.
    const dtype = this.dtype === "float64" ? "float64" : "float32";
    return this.copy_(draw(this.shape, { ...options, device: this.device, dtype }));
  }

  /** Copies values in. */
  abstract copy_(source: Tensor): this;

  /**
   * Fills with uniform numbers of [from, to).
   * @throws {RangeError} When `from` lies above `to`
   */
  uniform_(from = 0, to = 1, options: FillOptions = {}): this {
    this.floats("uniform");
    if (!(from <= to)) throw new RangeError(`Cannot draw from [${from}, ${to}): it is empty`);
    return this.drawn((shape, o) => rand(shape, o).mul(to - from).add(from), options);
  }
  /** Fills with normal numbers. */
  normal_(mean = 0, std = 1, options: FillOptions = {}): this {
    this.floats("normal");
    positive("draw normal numbers", "deviation", std, true);
    return this.drawn((shape, o) => randn(shape, o).mul(std).add(mean), options);
  }
  /** Fills with numbers whose logarithm is normal with the given mean and deviation. */
  logNormal_(mean = 1, std = 2, options: FillOptions = {}): this {
    this.floats("log-normal");
    positive("draw log-normal numbers", "deviation", std);
    return this.drawn((shape, o) => randn(shape, o).mul(std).add(mean).exp(), options);
  }
  /** Fills with exponential numbers of the given rate: density `rate * exp(-rate * x)`. */
  exponential_(rate = 1, options: FillOptions = {}): this {
    this.floats("exponential");
    positive("draw exponential numbers", "rate", rate);
    // 1 - u lies in (0, 1], whose logarithm is finite.
    return this.drawn((shape, o) => rand(shape, o).neg().add(1).log().mul(-1 / rate), options);
  }
  /** Fills with numbers of the Cauchy distribution: `median + scale * tan(pi * (u - 1/2))`. */
  cauchy_(median = 0, scale = 1, options: FillOptions = {}): this {
    this.floats("Cauchy");
    positive("draw Cauchy numbers", "scale", scale);
    return this.drawn((shape, o) => {
      const angle = rand(shape, o).sub(0.5).mul(Math.PI);
      return angle.sin().div(angle.cos()).mul(scale).add(median);
    }, options);
  }
  /** Fills with the number of trials up to the first success, 1 or more, each of probability p. */
  geometric_(p: number, options: FillOptions = {}): this {
    if (!(p > 0 && p < 1)) {
      throw new RangeError(`Cannot draw with probability ${p}: it must lie between 0 and 1`);
    }
    return this.drawn(
      (shape, o) => rand(shape, o).neg().add(1).log().div(Math.log1p(-p)).ceil().maximum(1),
      options,
    );
  }
  /** Fills with 1 where a draw hits, with probability p (a number or a tensor that broadcasts), else 0. */
  bernoulli_(p: number | Tensor = 0.5, options: FillOptions = {}): this {
    return this.drawn((shape, o) => bernoulli(p, shape, { ...o, dtype: "float32" }), options);
  }
  /** Fills with whole numbers of [low, high). */
  random_(low: number, high: number, options: FillOptions = {}): this {
    return this.drawn((shape, o) => randint(low, high, shape, { ...o, dtype: "int64" }), options);
  }

  /** Only floats hold what continuous distributions give. */
  private floats(what: string): void {
    if (!isFloat(this.dtype)) {
      throw new TypeError(
        `Cannot draw ${what} numbers into ${this.dtype}: a float dtype is needed`,
      );
    }
  }
}

function positive(action: string, what: string, x: number, orZero = false): void {
  if (x > 0 || (orZero && x === 0)) return;
  throw new RangeError(
    `Cannot ${action} with ${what} ${x}: it must be ${orZero ? "0 or more" : "above 0"}`,
  );
}
