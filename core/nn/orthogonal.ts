/** Weights with orthonormal columns or rows. */
import { matrixExp, solve } from "../linalg/mod.ts";
import { geqrf, householderProduct } from "../linalg/qr.ts";
import { cat, eye, noGrad, randn, type Tensor, where, zeros } from "../tensor/mod.ts";
import { Module } from "./module.ts";
import { type Parametrization, registerParametrization } from "./parametrize.ts";

/** How an orthogonal matrix comes from a free one: `exp(A)` or Cayley's `(I - A / 2)^-1 (I + A / 2)` of a skew-symmetric A, or Householder reflections. */
export type OrthogonalMap = "matrix_exp" | "cayley" | "householder";

/** Options of {@linkcode orthogonal}. */
export interface OrthogonalOptions {
  /** `matrix_exp` for square matrices and `householder` for others by default. */
  readonly orthogonalMap?: OrthogonalMap;
  /** Whether the map is taken around the first value, kept as the buffer `base`, which makes optimization easier; true by default. */
  readonly useTrivialization?: boolean;
}

const maps: readonly OrthogonalMap[] = ["matrix_exp", "cayley", "householder"];

/** The columns in order of a tall matrix, and whether it had to be transposed for that. */
const tall = (x: Tensor): { x: Tensor; turned: boolean } =>
  x.shape.at(-2)! < x.shape.at(-1)! ? { x: x.mT, turned: true } : { x, turned: false };

/** An orthogonal matrix near one that is nearly orthogonal, `[n, n]`: Q of its QR factors, the signs of R's diagonal made positive. */
function madeOrthogonal(a: Tensor): Tensor {
  const { a: packed, tau } = geqrf(a);
  return householderProduct(packed, tau).mul(packed.diagonal(0, -2, -1).sign().unsqueeze(-2));
}

/** A matrix (or a batch of them) made orthogonal (Lezcano-Casado, "Trivializations for gradient-based optimization on manifolds", arXiv:1909.09501). */
export class Orthogonal extends Module implements Parametrization {
  /** `[..., n, n]`: what the map's result is multiplied by, set when a value is assigned; undefined without trivialization. */
  base: Tensor | undefined;

  /**
   * Makes the parametrization.
   * @param orthogonalMap How an orthogonal matrix is made
   * @param useTrivialization Whether around the value that is assigned
   * @throws {RangeError} When there is no such map
   */
  constructor(readonly orthogonalMap: OrthogonalMap, readonly useTrivialization: boolean = true) {
    super();
    if (!maps.includes(orthogonalMap)) {
      throw new RangeError(
        `Cannot make Orthogonal with orthogonalMap ${orthogonalMap}: it must be ${maps.join(", ")}`,
      );
    }
  }

  /** Orthonormal columns, or rows when there are fewer rows, of the shape of `original`. */
  override forward(original: Tensor): Tensor {
    const { x, turned } = tall(original), [n, k] = x.shape.slice(-2);
    let q: Tensor;
    if (this.orthogonalMap === "householder") {
      const a = x.tril(-1), tau = a.square().sum(-2).add(1).reciprocal().mul(2);
      q = householderProduct(a, tau).mul(x.diagonal(0, -2, -1).detach().trunc().unsqueeze(-2));
    } else {
      const lower = x.tril(), wide = n === k ? lower : lower.pad([0, n - k]);
      const a = wide.sub(wide.mT);
      if (this.orthogonalMap === "matrix_exp") q = matrixExp(a);
      else {
        const id = eye(n, n, { dtype: x.dtype, device: x.device });
        q = solve(id.sub(a.mul(0.5)), id.add(a.mul(0.5)));
      }
      if (n !== k) q = q.narrow(-1, 0, k);
    }
    if (this.base !== undefined) q = this.base.matmul(q);
    return turned ? q.mT : q;
  }

  /**
   * The original of a value, which becomes the base; one that is not orthogonal is made so.
   * @throws {TypeError} When the map has no inverse and there is no base
   */
  rightInverse(value: Tensor): Tensor {
    return noGrad(() => {
      const { x, turned } = tall(value.detach()), [n, k] = x.shape.slice(-2);
      if (!this.useTrivialization) {
        if (this.orthogonalMap !== "householder") {
          throw new TypeError(
            `Cannot assign to a matrix parametrized by ${this.orthogonalMap} without useTrivialization: the map has no inverse here`,
          );
        }
        const { a, tau } = geqrf(x), diagonal = a.diagonal(0, -2, -1).sign();
        const signs = where(tau.eq(0), diagonal.neg(), diagonal);
        const out = a.sub(a.tril().triu()).add(signs.diagEmbed().pad([0, 0, 0, n - k]));
        return turned ? out.mT : out;
      }
      const rest = n === k
        ? x
        : cat([x, randn([...x.shape.slice(0, -1), n - k], { device: x.device }).to(x.dtype)], -1);
      const base = madeOrthogonal(rest).realize();
      if (this.base === undefined) this.base = this.registerBuffer("base", base);
      else this.base.assign(base);
      const { dtype, device } = value, least = Math.min(n, k);
      const id = eye(least, least, { dtype, device }).neg();
      const [rows, columns] = value.shape.slice(-2);
      return zeros(value.shape, { dtype, device }).add(
        id.pad([0, columns - least, 0, rows - least]),
      );
    });
  }

  /** The map. */
  override extraRepr(): string {
    return this.orthogonalMap;
  }
}

/**
 * Keeps a matrix (`[..., n, k]`) orthogonal: columns are orthonormal when `n >= k`, else rows are. Make the optimizer afterwards.
 *
 * @param module The module that holds the parameter
 * @param name Name of its field
 * @param options Map, trivialization
 * @returns The module
 * @throws {TypeError} When the field holds no parameter of at least two dimensions
 * @throws {RangeError} When there is no such map
 */
export function orthogonal<M extends Module>(
  module: M,
  name: string = "weight",
  options: OrthogonalOptions = {},
): M {
  const shape = (module as unknown as Record<string, Tensor | undefined>)[name]?.shape ?? [];
  if (shape.length < 2) {
    throw new TypeError(
      `Cannot make "${name}" of ${module.constructor.name} orthogonal: it must be a parameter of at least two dimensions`,
    );
  }
  const isSquare = shape.at(-1) === shape.at(-2);
  const { orthogonalMap = isSquare ? "matrix_exp" : "householder", useTrivialization = true } =
    options;
  return registerParametrization(module, name, new Orthogonal(orthogonalMap, useTrivialization));
}
