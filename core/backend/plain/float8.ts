/** Eight-bit floats by plain loops. */
import type { RoutineParams } from "../../device.ts";
import {
  decodeFloat8,
  encodeFloat8,
  type Float8Factor,
  float8Place,
  padded16,
} from "../../float8_format.ts";
import type { PlainOperand } from "./mod.ts";

/** `[x, scale, out]`: see `RoutineParams.quantizeFloat8`. */
export function quantizeFloat8(
  { format, both }: RoutineParams["quantizeFloat8"],
  [x, scale, out]: readonly PlainOperand[],
): void {
  const [rows, columns] = x.shape, across = padded16(columns), down = padded16(rows);
  const factor = scale.data[0], turned = rows * across;
  for (let i = 0; i < out.data.length; i++) out.data[i] = 0;
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < columns; c++) {
      const byte = encodeFloat8(Math.fround(x.data[r * columns + c] * factor), format);
      out.data[r * across + c] = byte;
      if (both) out.data[turned + c * down + r] = byte;
    }
  }
}

/** `[a, b, aScale, bScale, out]`: see `RoutineParams.matmulFloat8`. */
export function matmulFloat8(
  { a, b }: RoutineParams["matmulFloat8"],
  [x, y, xScale, yScale, out]: readonly PlainOperand[],
): void {
  const decoded = (data: PlainOperand["data"], factor: Float8Factor): Float64Array[] => {
    const { start, rows, length } = float8Place(factor);
    const values = Array.from({ length: 256 }, (_, byte) => decodeFloat8(byte, factor.format));
    return Array.from(
      { length: rows },
      (_, r) => Float64Array.from({ length }, (_, k) => values[data[start + r * length + k]]),
    );
  };
  const scale = xScale.data[0] * yScale.data[0];
  const left = decoded(x.data, a), right = decoded(y.data, b);
  left.forEach((row, i) => {
    right.forEach((other, j) => {
      let sum = 0;
      for (let k = 0; k < row.length; k++) sum += row[k] * other[k];
      out.data[i * right.length + j] = sum * scale;
    });
  });
}
