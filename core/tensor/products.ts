/** Products of vectors, matrices and batches. */
import { isFloat } from "../dtype.ts";
import { tensordot } from "../linalg/tensordot.ts";
import { broadcastShapes, normalizeDim, sameShape, shapeText } from "../shape.ts";
import type { Tensor } from "./tensor.ts";
import { WriteTensor } from "./write.ts";

/** Factors of a sum of a tensor and a product. */
export interface ScaledSumOptions {
  /** Factor of this tensor, 1 by default; where it is 0, NaN and infinity in it do not count. */
  beta?: number;
  /** Factor of the product, 1 by default. */
  alpha?: number;
}

/** Products of vectors, matrices and batches. */
export abstract class ProductsTensor extends WriteTensor {
  /** `beta * this + alpha * product`; this tensor must broadcast to the shape of the product. */
  private scaledSum(name: string, product: Tensor, options: ScaledSumOptions): Tensor {
    const { beta = 1, alpha = 1 } = options;
    if (!sameShape(broadcastShapes(this.shape, product.shape, name), product.shape)) {
      throw new TypeError(
        `Cannot ${name} to ${shapeText(this.shape)}: the product is ${shapeText(product.shape)}`,
      );
    }
    if (!isFloat(product.dtype) && !(Number.isInteger(beta) && Number.isInteger(alpha))) {
      throw new TypeError(
        `Cannot ${name} ${product.dtype} with factors ${beta} and ${alpha}: they must be whole`,
      );
    }
    const scaled = (x: Tensor, by: number): Tensor => by === 1 ? x : x.mul(by);
    return beta === 0
      ? scaled(product, alpha)
      : scaled(product, alpha).add(scaled(this.self, beta));
  }

  /** Operands of a named product must have the given numbers of dimensions. */
  private ranks(name: string, a: Tensor, b: Tensor, wanted: readonly [number, number]): void {
    if (a.ndim !== wanted[0] || b.ndim !== wanted[1]) {
      throw new TypeError(
        `Cannot ${name} ${shapeText(a.shape)} by ${shapeText(b.shape)}: ${wanted[0]}-D by ${
          wanted[1]
        }-D is needed`,
      );
    }
  }

  /** `beta * this + alpha * a @ b` for matrices. */
  addmm(a: Tensor, b: Tensor, options: ScaledSumOptions = {}): Tensor {
    return this.scaledSum("addmm", a.mm(b), options);
  }
  /** `beta * this + alpha * a @ x` for a matrix and a vector. */
  addmv(a: Tensor, x: Tensor, options: ScaledSumOptions = {}): Tensor {
    return this.scaledSum("addmv", a.mv(x), options);
  }
  /** `beta * this + alpha * outer(x, y)`. */
  addr(x: Tensor, y: Tensor, options: ScaledSumOptions = {}): Tensor {
    return this.scaledSum("addr", x.outer(y), options);
  }
  /** `beta * this + alpha * a @ b` for equally many matrices. */
  baddbmm(a: Tensor, b: Tensor, options: ScaledSumOptions = {}): Tensor {
    return this.scaledSum("baddbmm", a.bmm(b), options);
  }
  /** `beta * this + alpha *` the sum of `a @ b` over a batch, `[B, n, m]` by `[B, m, p]`: one product of long rows. */
  addbmm(a: Tensor, b: Tensor, options: ScaledSumOptions = {}): Tensor {
    this.ranks("addbmm", a, b, [3, 3]);
    const [batch, n, m] = a.shape;
    if (b.shape[0] !== batch || b.shape[1] !== m) {
      throw new TypeError(
        `Cannot addbmm ${shapeText(a.shape)} by ${
          shapeText(b.shape)
        }: [${batch}, ${m}, p] is needed`,
      );
    }
    const rows = a.permute(1, 0, 2).reshape(n, batch * m);
    return this.scaledSum("addbmm", rows.mm(b.reshape(batch * m, b.shape[2])), options);
  }

  /** Product of a matrix and a vector. */
  mv(x: Tensor): Tensor {
    this.ranks("mv", this.self, x, [2, 1]);
    return this.matmul(x);
  }
  /** Inner product of two vectors; the same as `dot`, there being no complex numbers. */
  vdot(x: Tensor): Tensor {
    return this.dot(x);
  }
  /** Sums of products over the last dimension of both; of a scalar, a plain product. */
  inner(x: Tensor): Tensor {
    if (this.ndim === 0 || x.ndim === 0) return this.mul(x);
    const [n, k] = [this.shape[this.ndim - 1], x.shape[x.ndim - 1]];
    if (n !== k) {
      throw new TypeError(
        `Cannot take the inner product of ${shapeText(this.shape)} and ${
          shapeText(x.shape)
        }: last sizes are ${n} and ${k}`,
      );
    }
    return tensordot(this.self, x, [[-1], [-1]]);
  }
  /** Outer product; another name of `outer`. */
  ger(x: Tensor): Tensor {
    return this.outer(x);
  }

  /** Kronecker product: every element of this tensor times the whole of `x`, laid side by side. */
  kron(x: Tensor): Tensor {
    const rank = Math.max(this.ndim, x.ndim);
    const sizes = (t: Tensor) => [...new Array<number>(rank - t.ndim).fill(1), ...t.shape];
    const a = sizes(this.self), b = sizes(x);
    return this.reshape(a.flatMap((s) => [s, 1]))
      .mul(x.reshape(b.flatMap((s) => [1, s])))
      .reshape(a.map((s, d) => s * b[d]));
  }

  /**
   * Cross product of vectors of three along `dim`; other dimensions broadcast.
   * @param dim By default the first of size 3
   * @throws {TypeError} When there is no such dimension
   */
  cross(x: Tensor, dim?: number): Tensor {
    const shape = broadcastShapes(this.shape, x.shape, "take the cross product of");
    const d = dim === undefined
      ? shape.indexOf(3)
      : normalizeDim(dim, shape.length, "take the cross product along");
    const lead = [shape.length - this.ndim, shape.length - x.ndim];
    if (d < 0 || this.shape[d - lead[0]] !== 3 || x.shape[d - lead[1]] !== 3) {
      throw new TypeError(
        `Cannot take the cross product of ${shapeText(this.shape)} and ${
          shapeText(x.shape)
        }: both need size 3 along ${dim === undefined ? "a dimension" : `dim ${dim}`}`,
      );
    }
    const back = d - shape.length;
    const turned = (t: Tensor, by: number) => t.roll(-by, back);
    return turned(this.self, 1).mul(turned(x, 2)).sub(turned(this.self, 2).mul(turned(x, 1)));
  }

  /** Sum of the diagonal of a matrix. */
  trace(): Tensor {
    if (this.ndim !== 2) {
      throw new TypeError(`Cannot take the trace of ${shapeText(this.shape)}: it must be 2-D`);
    }
    return this.diagonal().sum();
  }

  /** Sums of products along a dimension, the others broadcast. */
  vecdot(x: Tensor, dim = -1): Tensor {
    return this.mul(x).sum(dim);
  }
}
