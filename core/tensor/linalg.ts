/** Matrix products: named routines on strided views. */
import { promote } from "../dtype.ts";
import { emptyNode, makeNode } from "../node.ts";
import { broadcastShapes, numel, shapeText } from "../shape.ts";
import { castNode, expandNode, wrap } from "./base.ts";
import { ReduceTensor } from "./reduce.ts";
import type { Tensor } from "./tensor.ts";

/** Operations of linear algebra. */
export abstract class LinalgTensor extends ReduceTensor {
  /**
   * Matrix product with PyTorch's rules: 1-D operands are rows or columns and lose their dimension again, leading dimensions broadcast.
   * @throws {TypeError} When inner sizes differ or an operand is a scalar
   */
  matmul(x: Tensor): Tensor {
    const other = this.operand(x, "multiply");
    const fail = (why: string) => {
      throw new TypeError(
        `Cannot matmul ${shapeText(this.shape)} by ${shapeText(other.shape)}: ${why}`,
      );
    };
    if (this.ndim === 0 || other.shape.length === 0) fail("both need at least 1 dimension");
    const dtype = promote(this.dtype, other.dtype);
    if (dtype === "bool") fail("bool has no product");
    const a = this.ndim === 1 ? this.unsqueeze(0) : this.self;
    const b = x.ndim === 1 ? x.unsqueeze(1) : x;
    const [m, k] = a.shape.slice(-2), [k2, n] = b.shape.slice(-2);
    if (k !== k2) fail(`inner sizes are ${k} and ${k2}`);
    // Leading dimensions of a flat right side are rows like any other: one large product instead of many.
    if (a.ndim > 2 && b.ndim === 2) {
      const flat = a.reshape(numel(a.shape.slice(0, -1)), k).matmul(b);
      const out = flat.reshape([...a.shape.slice(0, -1), n]);
      return x.ndim === 1 ? out.squeeze(-1) : out;
    }
    const batch = broadcastShapes(a.shape.slice(0, -2), b.shape.slice(0, -2), "matmul batches");
    const shape = [...batch, m, n];
    if (numel(shape) === 0 || k === 0) {
      return this.dropped(wrap(emptyNode(0, shape, dtype, this.device, [this.node, other])), x);
    }
    const src = [a, b].map((t) => castNode(t.node, dtype)).map((node, i) =>
      expandNode(node, [...batch, ...(i === 0 ? [m, k] : [k, n])])
    );
    return this.dropped(
      wrap(
        makeNode(
          "routine",
          { name: "matmul", params: { accumulate: false } },
          src,
          shape,
          dtype,
          this.device,
        ),
      ),
      x,
    );
  }

  /** Without the sizes of 1 that a 1-D operand was given. */
  private dropped(out: Tensor, x: Tensor): Tensor {
    const rows = this.ndim === 1 ? out.squeeze(-2) : out;
    return x.ndim === 1 ? rows.squeeze(-1) : rows;
  }

  /** Product of two matrices. */
  mm(x: Tensor): Tensor {
    if (this.ndim !== 2 || x.ndim !== 2) {
      throw new TypeError(
        `Cannot mm ${shapeText(this.shape)} by ${shapeText(x.shape)}: both must be 2-D`,
      );
    }
    return this.matmul(x);
  }
  /** Products of equally many matrices. */
  bmm(x: Tensor): Tensor {
    if (this.ndim !== 3 || x.ndim !== 3 || this.shape[0] !== x.shape[0]) {
      throw new TypeError(
        `Cannot bmm ${shapeText(this.shape)} by ${
          shapeText(x.shape)
        }: both must be 3-D with equal first sizes`,
      );
    }
    return this.matmul(x);
  }
  /** Inner product of two vectors. */
  dot(x: Tensor): Tensor {
    if (this.ndim !== 1 || x.ndim !== 1) {
      throw new TypeError(
        `Cannot dot ${shapeText(this.shape)} with ${shapeText(x.shape)}: both must be 1-D`,
      );
    }
    return this.matmul(x);
  }
  /** Outer product of two vectors. */
  outer(x: Tensor): Tensor {
    if (this.ndim !== 1 || x.ndim !== 1) {
      throw new TypeError(
        `Cannot outer ${shapeText(this.shape)} with ${shapeText(x.shape)}: both must be 1-D`,
      );
    }
    return this.unsqueeze(1).mul(x.unsqueeze(0));
  }

  /**
   * The sum (times `scale`) of this tensor over all ranks of a group; every rank must reach this call in the same order.
   * @param group Name of the communicator
   */
  allReduce(group = "world", scale = 1): Tensor {
    return wrap(
      makeNode(
        "routine",
        { name: "allReduce", params: { group, scale } },
        [this.node],
        this.shape,
        this.dtype,
        this.device,
        false,
      ),
    );
  }
}
