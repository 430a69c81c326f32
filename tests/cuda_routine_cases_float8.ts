/** Cases of routines. Eight-bit floats: rounding to them, and their products. */
import type { DType } from "../core/dtype.ts";
import {
  encodeFloat8,
  float8Bytes,
  type Float8Factor,
  float8Place,
} from "../core/float8_format.ts";
import { filled, operand, type RoutineCases } from "./cuda_routine_case.ts";

/** Rounding and products. */
export function float8Cases(cases: RoutineCases): void {
  const dtypesOfFactors = ["float32", "bfloat16", "float16"] as DType[];
  for (const [rows, columns] of [[1, 1], [5, 18], [70, 132]]) {
    dtypesOfFactors.forEach((dtype, i) => {
      const next = cases.random(), data = filled(dtype, rows * columns, next);
      data[0] = NaN;
      const format = i % 2 === 0 ? "e4m3" : "e5m2";
      for (const both of [false, true]) {
        cases.add("quantizeFloat8", { format, both }, [
          operand(dtype, [rows, columns]),
          operand("float32", []),
          operand("uint8", [float8Bytes(rows, columns, both)]),
        ], [data, [Math.fround(37.3)]]);
      }
    });
  }
  const product = (a: Float8Factor, b: Float8Factor, dtype: DType) => {
    const next = cases.random(), left = float8Place(a), right = float8Place(b);
    const bytes = ({ rows, columns, transposed, format }: Float8Factor) =>
      Array.from(
        { length: float8Bytes(rows, columns, transposed) },
        () => encodeFloat8(next() * 20, format),
      );
    const data = [a, b].map(bytes);
    cases.add("matmulFloat8", { a, b, fast: false }, [
      ...data.map((x) => operand("uint8", [x.length])),
      operand("float32", []),
      operand("float32", []),
      operand(dtype, [left.rows, right.rows]),
    ], [...data, [0.5], [Math.fround(0.3)]]);
  };
  const factor = (format: Float8Factor["format"], shape: [number, number], transposed = false) => ({
    format,
    rows: shape[0],
    columns: shape[1],
    transposed,
  });
  product(factor("e4m3", [70, 48]), factor("e4m3", [80, 48]), "float32");
  product(factor("e5m2", [5, 20]), factor("e4m3", [20, 32], true), "bfloat16");
  product(factor("e5m2", [33, 16], true), factor("e4m3", [33, 48], true), "float16");
  // None of the vendor's.
  product(factor("e5m2", [9, 32]), factor("e5m2", [7, 32]), "float32");
}
