/** Weights whose largest singular value is 1. */
import { dueWithNext, noGrad, randn, type Tensor } from "../tensor/mod.ts";
import { checkSize } from "./check.ts";
import { ConvTranspose } from "./conv_base.ts";
import { normalize } from "./functional/distance.ts";
import { Module } from "./module.ts";
import { type Parametrization, registerParametrization } from "./parametrize.ts";
import { checkDim } from "./weight_norm.ts";

/** Options of {@linkcode spectralNorm}. */
export interface SpectralNormOptions {
  /** Steps of the power method in every forward pass of training; 1 by default. */
  readonly nPowerIterations?: number;
  /** The least norm that is divided by; 1e-12 by default. */
  readonly eps?: number;
  /** Dimension of the outputs; 0 by default, 1 for transposed convolutions. */
  readonly dim?: number;
}

/** Steps of the power method at the start. */
const firstIterations = 15;

/** A weight over its largest singular value, which the power method follows from step to step. */
export class SpectralNorm extends Module implements Parametrization {
  /** Left singular vector, of the size of `dim`; undefined for a weight of one dimension. */
  readonly _u: Tensor | undefined;
  /** Right singular vector, of the size of the other dimensions together. */
  readonly _v: Tensor | undefined;

  /**
   * Makes the parametrization and runs 15 steps of the power method.
   * @param weight The weight as it is now
   * @param nPowerIterations Steps in every forward pass of training
   * @param dim Dimension of the outputs
   * @param eps The least norm that is divided by
   * @throws {RangeError} When nPowerIterations is not a whole number of at least 1
   */
  constructor(
    weight: Tensor,
    readonly nPowerIterations: number = 1,
    readonly dim: number = 0,
    readonly eps: number = 1e-12,
  ) {
    super();
    checkSize("SpectralNorm", { nPowerIterations });
    if (weight.ndim < 2) return;
    const matrix = this.#matrix(weight.detach()), { dtype, device } = weight;
    const start = matrix.shape.map((n) => this.#unit(randn([n], { device }).to(dtype)));
    const [u, v] = noGrad(() => this.#follow(matrix, start[1], firstIterations));
    this._u = this.registerBuffer("_u", u.realize());
    this._v = this.registerBuffer("_v", v.realize());
  }

  #unit(x: Tensor): Tensor {
    return normalize(x, { dim: 0, eps: this.eps });
  }

  /** `[outputs, everything else]`. */
  #matrix(weight: Tensor): Tensor {
    const others = weight.shape.map((_, d) => d).filter((d) => d !== this.dim);
    return weight.permute(this.dim, ...others).flatten(1);
  }

  #follow(matrix: Tensor, v: Tensor, iterations: number): [Tensor, Tensor] {
    let u!: Tensor;
    for (let i = 0; i < iterations; i++) {
      u = this.#unit(matrix.mv(v));
      v = this.#unit(matrix.mT.mv(u));
    }
    return [u, v];
  }

  /** The weight over its largest singular value, or over its length when it has one dimension. */
  override forward(weight: Tensor): Tensor {
    if (this._u === undefined || this._v === undefined) return this.#unit(weight);
    const matrix = this.#matrix(weight);
    let u = this._u, v = this._v;
    if (this.training) {
      const before = v;
      [u, v] = noGrad(() => this.#follow(matrix.detach(), before, this.nPowerIterations));
      // Kept beside the buffers: another pass moves those, and the gradient of this one must not notice.
      dueWithNext(u);
      dueWithNext(v);
      dueWithNext(this._u.assign(u));
      dueWithNext(this._v.assign(v));
    }
    return weight.div(u.dot(matrix.mv(v)));
  }

  /** The value itself: it is taken to have the norm already. */
  rightInverse(weight: Tensor): Tensor {
    return weight;
  }

  /** Dimension and steps. */
  override extraRepr(): string {
    return `dim=${this.dim}, nPowerIterations=${this.nPowerIterations}`;
  }
}

/**
 * Has a parameter divided by its largest singular value (Miyato et al., arXiv:1802.05957). In training every use of the parameter takes a step of the power
 * method.
 *
 * @param module The module that holds the parameter
 * @param name Name of its field
 * @param options Steps, eps, dimension
 * @returns The module
 * @throws {TypeError} When the field holds no parameter
 * @throws {RangeError} When the parameter has no such dimension or the steps are not a whole number of at least 1
 */
export function spectralNorm<M extends Module>(
  module: M,
  name: string = "weight",
  options: SpectralNormOptions = {},
): M {
  const { nPowerIterations = 1, eps = 1e-12 } = options;
  const dim = checkDim(module, name, options.dim ?? (module instanceof ConvTranspose ? 1 : 0));
  const weight = (module as unknown as Record<string, Tensor | undefined>)[name];
  if (weight === undefined) {
    throw new TypeError(
      `Cannot parametrize "${name}" of ${module.constructor.name}: it is not there`,
    );
  }
  const made = new SpectralNorm(weight, nPowerIterations, dim, eps);
  return registerParametrization(module, name, made);
}
