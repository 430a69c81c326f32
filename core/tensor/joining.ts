/** Functions of several tensors: joined, broadcast together, combined. */
import { isAutocasting, underPolicy } from "../amp/cast.ts";
import { promote } from "../dtype.ts";
import { deviceName } from "../runtime.ts";
import { broadcastShapes as broadcastTwo, normalizeDim, type Shape, shapeText } from "../shape.ts";
import { castNode, type Numeric, wrap } from "./base.ts";
import { assembleNode } from "./movement.ts";
import { hostIndex } from "./ramp.ts";
import type { Tensor } from "./tensor.ts";

/**
 * Tensors one after the other along a dimension; dtypes are promoted. As in PyTorch, a tensor of shape [0] joins with anything.
 * @throws {TypeError} When there is none or sizes differ elsewhere
 */
export function cat(tensors: readonly Tensor[], dim = 0): Tensor {
  if (isAutocasting()) return underPolicy("cat", cat, arguments);
  if (tensors.length === 0) throw new TypeError("Cannot concatenate an empty list");
  const nothing = (t: Tensor) => t.ndim === 1 && t.shape[0] === 0;
  const some = tensors.filter((t) => !nothing(t)), list = some.length === 0 ? [tensors[0]] : some;
  const [first] = list, d = normalizeDim(dim, first.ndim, "concatenate");
  const dtype = tensors.reduce((t, x) => promote(t, x.dtype), tensors[0].dtype);
  const starts: number[][] = [];
  let at = 0;
  for (const t of list) {
    if (t.ndim !== first.ndim || t.shape.some((s, i) => i !== d && s !== first.shape[i])) {
      throw new TypeError(
        `Cannot concatenate ${shapeText(first.shape)} and ${
          shapeText(t.shape)
        } along dim ${dim}: other sizes differ`,
      );
    }
    if (t.device !== first.device) {
      throw new TypeError(`Cannot concatenate tensors on ${first.device} and ${t.device}`);
    }
    starts.push(first.shape.map((_, i) => i === d ? at : 0));
    at += t.shape[d];
  }
  const shape = first.shape.map((s, i) => i === d ? at : s);
  return wrap(assembleNode(list.map((t) => castNode(t.node, dtype)), starts, shape));
}

/** Tensors of one shape along a new dimension. */
export function stack(tensors: readonly Tensor[], dim = 0): Tensor {
  if (tensors.length === 0) throw new TypeError("Cannot stack an empty list");
  const [first] = tensors, d = normalizeDim(dim, first.ndim + 1, "stack");
  const other = tensors.find((t) => shapeText(t.shape) !== shapeText(first.shape));
  if (other !== undefined) {
    throw new TypeError(
      `Cannot stack ${shapeText(first.shape)} and ${
        shapeText(other.shape)
      }: the shapes must be equal`,
    );
  }
  return cat(tensors.map((t) => t.unsqueeze(d)), d);
}

/** `condition ? a : b` for each element. */
export function where(condition: Tensor, a: Numeric, b: Numeric): Tensor {
  return condition.where(a, b);
}

/** A scalar as a list of one; anything else as it is. */
export function atleast1d(x: Tensor): Tensor {
  return x.ndim === 0 ? x.reshape(1) : x;
}
/** A tensor of less than two dimensions as a matrix of one row. */
export function atleast2d(x: Tensor): Tensor {
  return x.ndim < 2 ? atleast1d(x).unsqueeze(0) : x;
}
/** A tensor of less than three dimensions as `[rows, columns, 1]`, a 1-D one as a single row. */
export function atleast3d(x: Tensor): Tensor {
  return x.ndim < 3 ? atleast2d(x).unsqueeze(-1) : x;
}

/** Tensors side by side: along dimension 1, of 1-D ones along 0. */
export function hstack(tensors: readonly Tensor[]): Tensor {
  const list = tensors.map(atleast1d);
  return cat(list, list[0]?.ndim === 1 ? 0 : 1);
}
/** Tensors one above the other: along dimension 0, 1-D ones as rows. */
export function vstack(tensors: readonly Tensor[]): Tensor {
  return cat(tensors.map(atleast2d));
}
/** Tensors one behind the other: along dimension 2. */
export function dstack(tensors: readonly Tensor[]): Tensor {
  return cat(tensors.map(atleast3d), 2);
}
/** Tensors side by side, 1-D ones as columns. */
export function columnStack(tensors: readonly Tensor[]): Tensor {
  return hstack(tensors.map((t) => t.ndim < 2 ? t.reshape(-1, 1) : t));
}

/**
 * Each tensor cut along `dim` into `chunks` equal pieces, filled up with zeros, and the k-th pieces of all laid side by side: `[..., chunks, elements]`.
 * @throws {RangeError} When the number of pieces is below 1
 */
export function chunkCat(tensors: readonly Tensor[], dim: number, chunks: number): Tensor {
  if (!Number.isInteger(chunks) || chunks < 1) {
    throw new RangeError(`Cannot chunk into ${chunks} pieces: at least 1 is needed`);
  }
  if (tensors.length === 0) throw new TypeError("Cannot concatenate an empty list");
  const d = normalizeDim(dim, tensors[0].ndim, "chunk");
  const rows = tensors.map((t) => {
    const size = t.shape[d], fill = Math.ceil(size / chunks) * chunks - size;
    const whole = t.pad([...new Array<number>(2 * (t.ndim - d - 1)).fill(0), 0, fill]);
    return whole.reshape([...t.shape.slice(0, d), chunks, -1]);
  });
  return cat(rows, d + 1);
}

/** Matrices along the diagonal of one, zeros elsewhere; 1-D tensors count as rows. */
export function blockDiag(...tensors: readonly Tensor[]): Tensor {
  if (tensors.length === 0) throw new TypeError("Cannot make a block diagonal of no tensors");
  const dtype = tensors.reduce((t, x) => promote(t, x.dtype), tensors[0].dtype);
  let row = 0, column = 0;
  const starts: Shape[] = [];
  const blocks = tensors.map((t) => {
    if (t.ndim > 2) {
      throw new TypeError(
        `Cannot put ${shapeText(t.shape)} on a block diagonal: it has more than 2 dimensions`,
      );
    }
    const block = atleast2d(t);
    starts.push([row, column]);
    row += block.shape[0];
    column += block.shape[1];
    return block;
  });
  const some = blocks.map((_, i) => i).filter((i) => blocks[i].numel > 0);
  if (some.length === 0) return blocks[0].to(dtype).reshape(0).expand(row, 0).reshape(row, column);
  return wrap(assembleNode(
    some.map((i) => castNode(blocks[i].node, dtype)),
    some.map((i) => starts[i]),
    [row, column],
  ));
}

/**
 * The shape that shapes broadcast to.
 * @throws {TypeError} When sizes differ and neither is 1
 */
export function broadcastShapes(...shapes: readonly (Shape | number)[]): Shape {
  return shapes.reduce<Shape>(
    (a, b) => broadcastTwo(a, typeof b === "number" ? [b] : b, "broadcast"),
    [],
  );
}

/** Views of tensors at the shape that they broadcast to. */
export function broadcastTensors(...tensors: readonly Tensor[]): Tensor[] {
  const shape = broadcastShapes(...tensors.map((t) => t.shape));
  return tensors.map((t) => t.expand(shape));
}

/**
 * Coordinates of a grid: the k-th result varies along dimension k with the k-th tensor.
 *
 * @param tensors 1-D tensors or scalars, of one dtype
 * @param options `indexing`: `ij` (default), or `xy` to exchange the first two dimensions
 * @throws {TypeError} When a tensor has more dimensions or dtypes differ
 */
export function meshgrid(
  tensors: readonly Tensor[],
  options: { indexing?: "ij" | "xy" } = {},
): Tensor[] {
  const { indexing = "ij" } = options;
  if (indexing !== "ij" && indexing !== "xy") {
    throw new RangeError(`Cannot make a grid indexed ${String(indexing)}: it must be ij or xy`);
  }
  const bad = tensors.find((t) => t.ndim > 1 || t.dtype !== tensors[0].dtype);
  if (bad !== undefined) {
    throw new TypeError(
      `Cannot make a grid of ${bad.describe()}: 1-D tensors of one dtype are needed`,
    );
  }
  const shape = tensors.map((t) => t.numel);
  const grids = tensors.map((t, k) =>
    t.reshape(shape.map((s, d) => d === k ? s : 1)).expand(shape)
  );
  return indexing === "xy" && tensors.length > 1 ? grids.map((t) => t.transpose(0, 1)) : grids;
}

/** Every combination of one element of each 1-D tensor, `[combinations, tensors]`; of a single tensor that tensor. */
export function cartesianProd(...tensors: readonly Tensor[]): Tensor {
  const bad = tensors.find((t) => t.ndim !== 1);
  if (bad !== undefined || tensors.length === 0) {
    throw new TypeError(
      `Cannot combine ${bad === undefined ? "no tensors" : bad.describe()}: 1-D tensors are needed`,
    );
  }
  if (tensors.length === 1) return tensors[0];
  return stack(meshgrid(tensors).map((t) => t.reshape(-1)), 1);
}

/**
 * Every choice of `r` elements of a 1-D tensor, in order: `[choices, r]`.
 * @param x Elements to choose from
 * @param r How many
 * @param withReplacement Whether an element may be chosen again
 * @throws {TypeError} When the tensor is not 1-D
 */
export function combinations(x: Tensor, r = 2, withReplacement = false): Tensor {
  if (x.ndim !== 1) {
    throw new TypeError(`Cannot combine elements of ${shapeText(x.shape)}: a 1-D tensor is needed`);
  }
  if (!Number.isInteger(r) || r < 0) {
    throw new RangeError(`Cannot choose ${r} elements: the count is whole and not negative`);
  }
  if (r === 0) return x.narrow(0, 0, 0);
  const rows: number[][] = [], row: number[] = [];
  const choose = (from: number): void => {
    if (row.length === r) {
      rows.push([...row]);
      return;
    }
    for (let i = from; i < x.numel; i++) {
      row.push(i);
      choose(withReplacement ? i : i + 1);
      row.pop();
    }
  };
  choose(0);
  return x.indexSelect(0, hostIndex(rows.flat(), x.device)).reshape(rows.length, r);
}

/** Rows and columns of one side of a matrix, `[2, count]`. */
function triangle(
  rows: number,
  columns: number,
  inside: (i: number, j: number) => boolean,
  options: { dtype?: "int32" | "int64"; device?: string },
): Tensor {
  const i: number[] = [], j: number[] = [];
  for (let a = 0; a < rows; a++) {
    for (let b = 0; b < columns; b++) {
      if (!inside(a, b)) continue;
      i.push(a);
      j.push(b);
    }
  }
  const { dtype = "int64" } = options, device = deviceName(options.device);
  return hostIndex([...i, ...j], device, { shape: [2, i.length], dtype });
}

/** Rows and columns, `[2, count]`, of the places of a matrix on and below a diagonal. */
export function trilIndices(
  rows: number,
  columns: number,
  offset = 0,
  options: { dtype?: "int32" | "int64"; device?: string } = {},
): Tensor {
  return triangle(rows, columns, (i, j) => j <= i + offset, options);
}
/** Rows and columns, `[2, count]`, of the places of a matrix on and above a diagonal. */
export function triuIndices(
  rows: number,
  columns: number,
  offset = 0,
  options: { dtype?: "int32" | "int64"; device?: string } = {},
): Tensor {
  return triangle(rows, columns, (i, j) => j >= i + offset, options);
}
