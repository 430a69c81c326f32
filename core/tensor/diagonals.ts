/** Diagonals and triangles of matrices. */
import { normalizeDim, type Shape, shapeText } from "../shape.ts";
import { viewParts } from "../node.ts";
import { ArrangeTensor } from "./arrange.ts";
import { ramp } from "./ramp.ts";
import type { Tensor } from "./tensor.ts";

/** Whether each place of a `[rows, columns]` matrix lies on the diagonal `offset` above the main one, or `below` and on it. */
function diagonalMask(
  rows: number,
  columns: number,
  offset: number,
  device: string,
  relation: "eq" | "ge" | "le" = "eq",
): Tensor {
  const i = ramp(rows, device).unsqueeze(1).add(offset), j = ramp(columns, device).unsqueeze(0);
  return i[relation](j);
}

/** Number of elements of a diagonal. */
function diagonalLength(rows: number, columns: number, offset: number): number {
  return Math.max(0, Math.min(rows - Math.max(0, -offset), columns - Math.max(0, offset)));
}

/**
 * The last dimension laid on a diagonal of matrices of zeros, `[..., rows, columns]`, whose dimensions then move to `dims`. Also the gradient of
 * a diagonal.
 */
export function layDiagonal(
  values: Tensor,
  rows: number,
  columns: number,
  offset: number,
  dims: readonly [number, number],
): Tensor {
  const length = values.shape[values.ndim - 1], top = Math.max(0, -offset);
  const wide = values.pad([top, rows - top - length]).unsqueeze(-1);
  const out = diagonalMask(rows, columns, offset, values.device).where(wide, 0);
  return out.movedim([-2, -1], dims);
}

/** Views of diagonals, matrices made of them, and triangles. */
export abstract class DiagonalTensor extends ArrangeTensor {
  /**
   * The diagonal of two dimensions, as a new last dimension: a view.
   *
   * @param offset Above (positive) or below (negative) the main diagonal
   * @param dim1 Counts the rows
   * @param dim2 Counts the columns
   * @throws {RangeError} When the dimensions are the same
   */
  diagonal(offset = 0, dim1 = 0, dim2 = 1): Tensor {
    const [a, b] = this.twoDims(dim1, dim2, this.ndim, "take the diagonal");
    const length = diagonalLength(this.shape[a], this.shape[b], offset);
    const { offset: start, strides } = viewParts(this.node);
    const rest = this.shape.map((_, d) => d).filter((d) => d !== a && d !== b);
    const skip = offset < 0 ? -offset * strides[a] : offset * strides[b];
    return this.viewed(
      [...rest.map((d) => this.shape[d]), length],
      start + skip,
      [...rest.map((d) => strides[d]), strides[a] + strides[b]],
      { kind: "diagonal", offset, dims: [a, b] },
    );
  }

  /** Two different dimensions counted from the front. */
  private twoDims(dim1: number, dim2: number, rank: number, action: string): [number, number] {
    const a = normalizeDim(dim1, rank, action), b = normalizeDim(dim2, rank, action);
    if (a === b) {
      throw new RangeError(
        `Cannot ${action} of ${shapeText(this.shape)} over dims ${dim1} and ${dim2}: they are one`,
      );
    }
    return [a, b];
  }

  /**
   * The last dimension laid on the diagonal of square matrices of zeros, whose rows and columns become dimensions `dim1` and `dim2` of the
   * result.
   */
  diagEmbed(offset = 0, dim1 = -2, dim2 = -1): Tensor {
    const dims = this.twoDims(dim1, dim2, this.ndim + 1, "embed the diagonal");
    const size = this.shape[this.ndim - 1] + Math.abs(offset);
    return layDiagonal(this.self, size, size, offset, dims);
  }

  /**
   * The diagonal of a matrix, or the square matrix with a 1-D tensor on its diagonal.
   * @throws {TypeError} When it has another number of dimensions
   */
  diag(offset = 0): Tensor {
    if (this.ndim === 1) return this.diagEmbed(offset);
    if (this.ndim === 2) return this.diagonal(offset);
    throw new TypeError(
      `Cannot take the diag of ${shapeText(this.shape)}: 1 or 2 dimensions are needed`,
    );
  }

  /** The square matrix with all elements, flattened, on its diagonal. */
  diagflat(offset = 0): Tensor {
    return this.reshape(-1).diagEmbed(offset);
  }

  /**
   * A copy with `src` on a diagonal.
   * @throws {TypeError} When `src` has not the shape of the diagonal
   */
  diagonalScatter(src: Tensor, offset = 0, dim1 = 0, dim2 = 1): Tensor {
    const dims = this.twoDims(dim1, dim2, this.ndim, "write the diagonal");
    const [rows, columns] = dims.map((d) => this.shape[d]);
    const rest: Shape = this.shape.filter((_, d) => !dims.includes(d));
    const wanted = [...rest, diagonalLength(rows, columns, offset)];
    if (shapeText(src.shape) !== shapeText(wanted)) {
      throw new TypeError(
        `Cannot write ${shapeText(src.shape)} on the diagonal of ${shapeText(this.shape)}: it is ${
          shapeText(wanted)
        }`,
      );
    }
    const ones = [...this.shape.map(() => 1)];
    [ones[dims[0]], ones[dims[1]]] = [rows, columns];
    const mask = diagonalMask(rows, columns, offset, this.device);
    const placed = (dims[0] < dims[1] ? mask : mask.t()).reshape(ones);
    return placed.where(layDiagonal(src, rows, columns, offset, dims), this.self);
  }

  /** The elements of matrices on and below a diagonal, zeros above. */
  tril(diagonal = 0): Tensor {
    return this.triangle("tril", diagonal, "ge");
  }
  /** The elements of matrices on and above a diagonal, zeros below. */
  triu(diagonal = 0): Tensor {
    return this.triangle("triu", diagonal, "le");
  }

  /** One side of a diagonal. */
  private triangle(name: string, diagonal: number, relation: "ge" | "le"): Tensor {
    if (this.ndim < 2) {
      throw new TypeError(
        `Cannot take the ${name} of ${shapeText(this.shape)}: at least 2 dimensions are needed`,
      );
    }
    const [rows, columns] = this.shape.slice(-2);
    return diagonalMask(rows, columns, diagonal, this.device, relation).where(this.self, 0);
  }
}
