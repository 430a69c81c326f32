/** Weights as a length and a direction. */
import type { Tensor } from "../tensor/mod.ts";
import { Module } from "./module.ts";
import { type Parametrization, registerParametrization } from "./parametrize.ts";

/** `g * v / ||v||`, with a norm for each index of `dim` or one over everything. */
export class WeightNorm extends Module implements Parametrization {
  /**
   * Makes the parametrization.
   * @param dim Dimension that keeps its own lengths; null for one length of the whole tensor
   */
  constructor(readonly dim: number | null = 0) {
    super();
  }

  #norm(v: Tensor): Tensor {
    if (this.dim === null) return v.vectorNorm(2);
    const others = v.shape.map((_, d) => d).filter((d) => d !== this.dim);
    return others.length === 0 ? v.abs() : v.vectorNorm(2, others, { keepdim: true });
  }

  /**
   * The weight.
   * @param g Lengths, `original0`: 1 but along `dim`, or 0-d
   * @param v Directions, `original1`
   */
  override forward(g: Tensor, v: Tensor): Tensor {
    return v.mul(g.div(this.#norm(v)));
  }

  /** Lengths and directions of a weight. */
  rightInverse(weight: Tensor): readonly Tensor[] {
    return [this.#norm(weight), weight];
  }

  /** The dimension. */
  override extraRepr(): string {
    return `dim=${this.dim}`;
  }
}

/** Options of {@linkcode weightNorm}. */
export interface WeightNormOptions {
  /** Dimension that keeps its own lengths; null for one length of the whole tensor. 0 by default. */
  readonly dim?: number | null;
}

/**
 * Has a parameter learned as lengths `original0` and directions `original1`: `w = g * v / ||v||` (Salimans & Kingma, arXiv:1602.07868). Make the
 * optimizer afterwards.
 *
 * @param module The module that holds the parameter
 * @param name Name of its field
 * @param options Dimension
 * @returns The module
 * @throws {TypeError} When the field holds no parameter
 * @throws {RangeError} When the parameter has no such dimension
 */
export function weightNorm<M extends Module>(
  module: M,
  name: string = "weight",
  options: WeightNormOptions = {},
): M {
  const { dim = 0 } = options;
  return registerParametrization(module, name, new WeightNorm(checkDim(module, name, dim)));
}

/**
 * A dimension counted from the front.
 * @throws {RangeError} When the field is a tensor without it
 */
export function checkDim<D extends number | null>(module: Module, name: string, dim: D): D {
  const shape = (module as unknown as Record<string, Tensor | undefined>)[name]?.shape;
  if (dim === null || shape === undefined) return dim;
  if (Number.isInteger(dim) && dim >= -shape.length && dim < shape.length) {
    return (dim < 0 ? dim + shape.length : dim) as D;
  }
  throw new RangeError(
    `Cannot normalise "${name}" of ${module.constructor.name} along dim ${dim}: it is [${
      shape.join(", ")
    }]`,
  );
}
