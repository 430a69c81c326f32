/** Deviations, norms and other statistics. */
import { type DType, isFloat } from "../dtype.ts";
import { normalizeDim, shapeText } from "../shape.ts";
import { flatRoot, pNorm } from "./p_norm.ts";
import { ramp } from "./ramp.ts";
import { type Dims, reducedDims } from "./reduce_dims.ts";
import { SpecialTensor } from "./special.ts";
import type { Tensor } from "./tensor.ts";

/** Options of variances and deviations. */
export interface VarianceOptions {
  /** Taken from the number of elements before dividing by it; 1 by default. */
  readonly correction?: number;
  /** Whether reduced dimensions stay with size 1. */
  readonly keepdim?: boolean;
}

/** Options of {@linkcode StatisticsTensor.cov}. */
export interface CovarianceOptions {
  /** Taken from the number of observations before dividing by it; 1 by default. */
  readonly correction?: number;
  /** How often each observation is counted: whole numbers `[observations]`. */
  readonly fweights?: Tensor;
  /** How much each observation counts: `[observations]`. */
  readonly aweights?: Tensor;
}

/** Statistics along dimensions. */
export abstract class StatisticsTensor extends SpecialTensor {
  /** Sum of the elements that are not NaN. */
  nansum(dims?: Dims, keepdim = false, options: { dtype?: DType } = {}): Tensor {
    return this.isnan().where(0, this.self).sum(dims, keepdim, options);
  }
  /** Mean of the elements that are not NaN. */
  nanmean(dims?: Dims, keepdim = false, options: { dtype?: DType } = {}): Tensor {
    const total = this.nansum(dims, keepdim, options);
    return total.div(this.isnan().logicalNot().sum(dims, keepdim));
  }

  /**
   * Variance over all elements or some dimensions.
   * @throws {TypeError} For integers and bool
   */
  var(dims?: Dims, options: VarianceOptions = {}): Tensor {
    const { correction = 1, keepdim = false } = options, x = this.self;
    const list = reducedDims(dims, this.ndim, "variance");
    const freedom = Math.max(0, list.reduce((n, d) => n * this.shape[d], 1) - correction);
    const centered = x.detach().sub(x.detach().mean(list, true));
    const y = centered.mul(centered).sum(list, true).div(freedom)
      .withGradient([x], (g) => [x.sub(x.mean(list, true)).mul(g.mul(2 / freedom))]);
    return keepdim ? y : y.reshape(this.shape.filter((_, d) => !list.includes(d)));
  }
  /** Square root of the variance; its slope is 0 where it is 0. */
  std(dims?: Dims, options: VarianceOptions = {}): Tensor {
    return flatRoot(this.var(dims, options));
  }
  /** Variance and mean. */
  varMean(dims?: Dims, options: VarianceOptions = {}): { var: Tensor; mean: Tensor } {
    return { var: this.var(dims, options), mean: this.mean(dims, options.keepdim) };
  }
  /** Standard deviation and mean. */
  stdMean(dims?: Dims, options: VarianceOptions = {}): { std: Tensor; mean: Tensor } {
    return { std: this.std(dims, options), mean: this.mean(dims, options.keepdim) };
  }

  /**
   * `sum(|this|^ord)^(1/ord)` of vectors along dimensions; 0 counts what is not 0, plus and minus infinity give the largest and smallest
   * magnitude.
   * @throws {TypeError} When the dtype is no float
   */
  vectorNorm(
    ord = 2,
    dims?: Dims,
    options: { keepdim?: boolean; dtype?: DType } = {},
  ): Tensor {
    const { keepdim = false, dtype = this.dtype } = options;
    return pNorm(this.self.to(dtype), ord, reducedDims(dims, this.ndim, "norm"), keepdim);
  }
  /**
   * Norm over all elements or some dimensions: a {@linkcode StatisticsTensor.vectorNorm}; `"fro"` is the Euclidean one.
   * Norms of matrices are in `linalg`.
   * @throws {TypeError} When the dtype is no float
   */
  norm(
    p: number | "fro" = "fro",
    dims?: Dims,
    keepdim = false,
    options: { dtype?: DType } = {},
  ): Tensor {
    return this.vectorNorm(p === "fro" ? 2 : p, dims, { keepdim, ...options });
  }
  /** Norm of the difference to another tensor, broadcast. */
  dist(other: Tensor, p = 2): Tensor {
    return this.sub(other).vectorNorm(p);
  }
  /** Slices along a dimension, each scaled down to the norm `maxnorm` where it has a larger one. */
  renorm(p: number, dim: number, maxnorm: number): Tensor {
    const d = normalizeDim(dim, this.ndim, "renormalise");
    const rest = this.shape.map((_, i) => i).filter((i) => i !== d);
    const norm = this.vectorNorm(p, rest, { keepdim: true });
    const large = norm.gt(maxnorm);
    return this.mul(large.where(large.where(norm, 1).add(1e-7).reciprocal().mul(maxnorm), 1));
  }

  /**
   * Covariances of variables in rows, observations in columns; a vector is one variable.
   *
   * @param options Correction and weights
   * @returns `[variables, variables]`, or a scalar for one variable
   * @throws {TypeError} When there are more than two dimensions, the dtype is no float or weights do not fit
   */
  cov(options: CovarianceOptions = {}): Tensor {
    const { correction = 1, fweights, aweights } = options;
    if (this.ndim > 2 || !isFloat(this.dtype)) {
      throw new TypeError(
        `Cannot take covariances of ${this.describe()}: floats of at most 2 dimensions are needed`,
      );
    }
    const x = this.ndim === 2 ? this.self : this.reshape(1, this.numel), count = x.shape[1];
    for (const w of [fweights, aweights]) {
      if (w !== undefined && (w.ndim !== 1 || w.numel !== count)) {
        throw new TypeError(
          `Cannot weigh ${count} observations by ${shapeText(w.shape)}: one weight each is needed`,
        );
      }
    }
    const times = fweights?.to(x.dtype), share = aweights?.to(x.dtype);
    const w = times !== undefined && share !== undefined ? times.mul(share) : times ?? share;
    if (w === undefined) {
      const centered = x.sub(x.mean(1, true));
      return square(centered.matmul(centered.t()).div(Math.max(0, count - correction)));
    }
    const total = w.sum();
    const centered = x.sub(x.mul(w).sum(1, true).div(total));
    const lost = share === undefined ? correction : w.mul(share).sum().div(total).mul(correction);
    const freedom = total.sub(lost);
    return square(
      centered.mul(w).matmul(centered.t()).div(freedom.le(0).where(0, freedom)),
    );
  }
  /**
   * Pearson's correlation coefficients of variables in rows, observations in columns.
   * @throws {TypeError} When there are more than two dimensions or the dtype is no float
   */
  corrcoef(): Tensor {
    const c = this.cov();
    if (c.ndim === 0) return c.div(c);
    const diagonal = c.gather(1, ramp(c.shape[0], c.device).unsqueeze(1));
    const deviation = diagonal.sqrt();
    return c.div(deviation).div(deviation.t()).clamp({ min: -1, max: 1 });
  }
}

/** One covariance is a scalar. */
function square(c: Tensor): Tensor {
  return c.numel === 1 ? c.reshape([]) : c;
}
