/** Products of eight-bit matrices as bytes, for hardware that multiplies them. */
import { type DType, isFloat } from "../dtype.ts";
import {
  float8Bytes,
  type Float8Factor,
  type Float8Format,
  float8Place,
} from "../float8_format.ts";
import { makeNode, type Node } from "../node.ts";
import { backendOf } from "../runtime.ts";
import { castNode, wrap } from "../tensor/base.ts";
import type { Tensor } from "../tensor/mod.ts";
import { operandNode } from "../tensor/routine.ts";

/** A matrix whose elements are bytes, with one factor for all that brings them back to their size. */
export interface Float8Matrix {
  /** uint8, flat: see {@linkcode quantizeFloat8}. */
  readonly bytes: Tensor;
  /** 0-d float32: what the elements are multiplied by to be the matrix again. */
  readonly inverse: Tensor;
  /** Format of the elements. */
  readonly format: Float8Format;
  /** Rows of the matrix. */
  readonly rows: number;
  /** Columns of the matrix. */
  readonly columns: number;
  /** Whether the transpose is there too. */
  readonly both: boolean;
}

/** Whether a device multiplies eight-bit matrices in hardware. */
export function multipliesFloat8(device: string): boolean {
  return backendOf(device).multipliesFloat8 === true;
}

/** float32 where the device's routine takes no half precision. */
function held(name: "quantizeFloat8" | "matmulFloat8", dtype: DType, device: string): DType {
  const low = dtype === "float16" || dtype === "bfloat16";
  return low && backendOf(device).halfRoutines?.has(name) ? dtype : "float32";
}

/**
 * Rounds `x * scale` to eight-bit floats, beyond the largest number of the format to that one. No gradient flows.
 *
 * @param x `[rows, columns]`, any float dtype
 * @param scale 0-d float32 on the same device
 * @param format Which format
 * @param both Whether to write the transpose too, which tensor cores need where the rows of `x` are summed over
 * @throws {TypeError} When `x` is no matrix of floats, or `scale` is not a float32 number
 */
export function quantizeFloat8(
  x: Tensor,
  scale: Tensor,
  format: Float8Format,
  both: boolean,
): Float8Matrix {
  if (x.ndim !== 2 || !isFloat(x.dtype)) {
    throw new TypeError(`Cannot quantize ${x.describe()}: a matrix of floats is needed`);
  }
  if (scale.ndim !== 0 || scale.dtype !== "float32") {
    throw new TypeError(`Cannot scale by ${scale.describe()}: one float32 is needed`);
  }
  const { device } = x, [rows, columns] = x.shape;
  const src = [
    operandNode(x, held("quantizeFloat8", x.dtype, device)),
    operandNode(scale, "float32"),
  ];
  const node = makeNode(
    "routine",
    { name: "quantizeFloat8", params: { format, both } },
    src,
    [float8Bytes(rows, columns, both)],
    "uint8",
    device,
    false,
  );
  const inverse = scale.detach().reciprocal();
  return { bytes: wrap(node), inverse, format, rows, columns, both };
}

/** Which rows of a matrix a product sums over: its own (`rows`), or those of its transpose. */
export interface Float8Side {
  /** The matrix. */
  readonly matrix: Float8Matrix;
  /** Whether its transpose is meant; false by default. */
  readonly transposed?: boolean;
}

/**
 * `a @ b.T` of eight-bit matrices, summed in float32. No gradient flows.
 *
 * @param a `[m, k]`
 * @param b `[n, k]`
 * @param dtype float32, float16 or bfloat16
 * @param fast Whether tensor cores may keep sums in fewer bits for longer, as is usual in the forward pass
 * @returns `[m, n]`
 * @throws {TypeError} When sizes differ, or a transpose is meant that was not written
 */
export function matmulFloat8(a: Float8Side, b: Float8Side, dtype: DType, fast = false): Tensor {
  const [left, right] = [a, b].map(factorOf), { device } = a.matrix.bytes;
  const inner = ({ rows, columns, transposed }: Float8Factor) => transposed ? rows : columns;
  if (inner(left) !== inner(right)) {
    throw new TypeError(
      `Cannot multiply rows of ${inner(left)} by rows of ${inner(right)}: the sizes differ`,
    );
  }
  const src: Node[] = [a.matrix.bytes, b.matrix.bytes].map((x) => x.detach().node);
  for (const { matrix } of [a, b]) src.push(operandNode(matrix.inverse, "float32"));
  const node = makeNode(
    "routine",
    { name: "matmulFloat8", params: { a: left, b: right, fast } },
    src,
    [float8Place(left).rows, float8Place(right).rows],
    held("matmulFloat8", dtype, device),
    device,
    false,
  );
  return wrap(castNode(node, dtype));
}

function factorOf({ matrix, transposed = false }: Float8Side): Float8Factor {
  const { format, rows, columns, both } = matrix;
  if (transposed && !both) {
    throw new TypeError(
      `Cannot multiply the transpose of a [${rows}, ${columns}] matrix: only its rows were quantized`,
    );
  }
  return { format, rows, columns, transposed };
}
