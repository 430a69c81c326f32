/** Arrays on the host with shape and dtype: what batches are made of before they become tensors. */
import { type DType, dtypes, type HostArray } from "../dtype.ts";
import { type Tensor, tensor } from "../tensor/mod.ts";

/** A row-major array with its shape. */
export class HostField {
  /**
   * Wraps values on the host.
   * @throws {TypeError} When the number of elements is not that of the shape
   */
  constructor(readonly data: HostArray, readonly shape: readonly number[], readonly dtype: DType) {
    const wanted = shape.reduce((a, b) => a * b, 1);
    if (data.length !== wanted) {
      throw new TypeError(
        `Cannot use ${data.length} elements as [${shape.join(", ")}]: that shape has ${wanted}`,
      );
    }
  }

  /** A tensor with these values. */
  toTensor(device?: string): Tensor {
    const { data, shape, dtype } = this;
    return tensor(data, { dtype, shape, device });
  }
}

/** The dtype that a host array stands for when nothing else is said. */
export function dtypeOf(data: HostArray): DType {
  const found = hostDtypes.find(([type]) => data instanceof type);
  if (found !== undefined) return found[1];
  throw new TypeError(
    `Cannot use a ${(data as object).constructor.name} as data: no dtype is stored that way`,
  );
}

// Uint16Array is left to those who say bfloat16 themselves.
const hostDtypes: readonly [new (...args: never[]) => HostArray, DType][] = [
  [Float32Array, "float32"],
  [Float64Array, "float64"],
  [Float16Array, "float16"],
  [Int32Array, "int32"],
  [BigInt64Array, "int64"],
  [Uint8Array, "uint8"],
];

/** Whether a value is an array that {@linkcode dtypeOf} knows. */
export function isHostArray(x: unknown): x is HostArray {
  return ArrayBuffer.isView(x) && hostDtypes.some(([type]) => x instanceof type);
}

/** Copies rows of a field, in the order of `indices`. */
export function gatherRows(field: HostField, indices: ArrayLike<number>): HostField {
  const [rows, ...rest] = field.shape;
  const size = rest.reduce((a, b) => a * b, 1);
  const out = dtypes[field.dtype].array(indices.length * size);
  // Source and copy have one type, which TypeScript cannot see.
  const from = field.data as Float32Array, to = out as Float32Array;
  for (let i = 0; i < indices.length; i++) {
    const row = indices[i];
    if (!(Number.isInteger(row) && row >= 0 && row < rows)) {
      throw new RangeError(`Cannot take sample ${row}: there are ${rows}`);
    }
    if (size === 1) to[i] = from[row];
    else to.set(from.subarray(row * size, (row + 1) * size), i * size);
  }
  return new HostField(out, [indices.length, ...rest], field.dtype);
}
