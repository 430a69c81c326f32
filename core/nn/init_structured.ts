/** Initial values with a structure: identities, orthogonal and sparse matrices. */
import { qr } from "../linalg/qr.ts";
import { defaultGenerator } from "../rng.ts";
import { shapeText } from "../shape.ts";
import {
  eye,
  type Generator,
  noGrad,
  randn,
  type Tensor,
  where,
  zerosLike,
} from "../tensor/mod.ts";

function set(tensor: Tensor, value: Tensor): Tensor {
  return noGrad(() => tensor.assign(value.to(tensor.dtype)).realize());
}

/**
 * The identity matrix: as many inputs as possible are kept.
 *
 * @param tensor `[rows, columns]`
 * @throws {TypeError} When there are not 2 dimensions
 */
export function eye_(tensor: Tensor): Tensor {
  if (tensor.ndim !== 2) {
    throw new TypeError(
      `Cannot make an identity of ${shapeText(tensor.shape)}: it must have 2 dimensions`,
    );
  }
  return set(tensor, eye(tensor.shape[0], tensor.shape[1], { device: tensor.device }));
}

/**
 * Kernels of a convolution that keeps its input: of each group as many channels as possible.
 *
 * @param tensor `[out, in, ...kernel]` of 1 to 3 spatial dimensions
 * @param groups Groups of output channels
 * @throws {TypeError} When there are not 3 to 5 dimensions
 * @throws {RangeError} When the groups do not divide the output channels
 */
export function dirac_(tensor: Tensor, groups: number = 1): Tensor {
  if (tensor.ndim < 3 || tensor.ndim > 5) {
    throw new TypeError(
      `Cannot make Dirac kernels of ${shapeText(tensor.shape)}: it must have 3, 4 or 5 dimensions`,
    );
  }
  const [out, inputs, ...kernel] = tensor.shape;
  if (!(Number.isInteger(groups) && groups >= 1 && out % groups === 0)) {
    throw new RangeError(
      `Cannot make Dirac kernels of ${
        shapeText(tensor.shape)
      } with groups ${groups}: it must divide the ${out} output channels`,
    );
  }
  const window = kernel.reduce((a, b) => a * b, 1), own = out / groups;
  const center = kernel.reduce((at, size) => at * size + Math.floor(size / 2), 0);
  const values = new Array<number>(tensor.numel).fill(0);
  for (let g = 0; g < groups; g++) {
    for (let d = 0; d < Math.min(own, inputs); d++) {
      values[((g * own + d) * inputs + d) * window + center] = 1;
    }
  }
  return noGrad(() => tensor.copy_(values).realize());
}

/** Options of {@linkcode orthogonal_}. */
export interface OrthogonalOptions {
  /** Factor of the matrix; 1 by default. */
  readonly gain?: number;
  /** The default generator when left out. */
  readonly generator?: Generator;
}

/**
 * A random matrix with orthonormal rows or columns, whichever are fewer, uniform among those (Saxe et al., arXiv:1312.6120; Mezzadri,
 * math-ph/0609050). Dimensions after the first count as one.
 *
 * @throws {TypeError} When there are fewer than 2 dimensions
 */
export function orthogonal_(tensor: Tensor, options: OrthogonalOptions = {}): Tensor {
  if (tensor.ndim < 2) {
    throw new TypeError(
      `Cannot make ${shapeText(tensor.shape)} orthogonal: it must have 2 dimensions or more`,
    );
  }
  if (tensor.numel === 0) return tensor;
  const { gain = 1, generator } = options, { device } = tensor, rows = tensor.shape[0];
  const columns = tensor.numel / rows, isWide = rows < columns;
  const value = noGrad(() => {
    const drawn = randn([rows, columns], { generator, device });
    const { Q, R } = qr(isWide ? drawn.mT : drawn);
    // Without the signs of R the matrices would not be uniform.
    const q = Q.mul(R.diagonal().sign());
    return (isWide ? q.mT : q).mul(gain).reshape(tensor.shape);
  });
  return set(tensor, value);
}

/** Options of {@linkcode sparse_}. */
export interface SparseOptions {
  /** Standard deviation of the others; 0.01 by default. */
  readonly std?: number;
  /** The default generator when left out. */
  readonly generator?: Generator;
}

/**
 * Normal, with `ceil(sparsity * rows)` zeros in each column (Martens, "Deep learning via Hessian-free optimization", 2010).
 *
 * @param tensor `[rows, columns]`
 * @param sparsity Share of zeros
 * @throws {TypeError} When there are not 2 dimensions
 * @throws {RangeError} When `sparsity` is outside 0 to 1
 */
export function sparse_(tensor: Tensor, sparsity: number, options: SparseOptions = {}): Tensor {
  if (tensor.ndim !== 2) {
    throw new TypeError(`Cannot make ${shapeText(tensor.shape)} sparse: it must have 2 dimensions`);
  }
  if (!(sparsity >= 0 && sparsity <= 1)) {
    throw new RangeError(
      `Cannot make ${
        shapeText(tensor.shape)
      } sparse with sparsity ${sparsity}: it must be between 0 and 1`,
    );
  }
  const [rows, columns] = tensor.shape, { std = 0.01, generator = defaultGenerator } = options;
  const zeros = Math.ceil(sparsity * rows), isKept = new Array<number>(rows * columns).fill(1);
  for (let c = 0; c < columns; c++) {
    for (const r of generator.permutation(rows).subarray(0, zeros)) isKept[r * columns + c] = 0;
  }
  const value = noGrad(() => {
    const drawn = randn(tensor.shape, { generator, device: tensor.device }).mul(std);
    return where(zerosLike(drawn).copy_(isKept).ne(0), drawn, 0);
  });
  return set(tensor, value);
}
