/** Cases of routines. Sorting, searching, and scattering by places. */
import { type DType, dtypes, roundTo } from "../core/dtype.ts";
import { filled, operand, random, type RoutineCases, size } from "./cuda_routine_case.ts";

/** Sorting and searching. */
export function sortCases(cases: RoutineCases): void {
  const sort = (dtype: DType, rows: number, length: number, count = length) => {
    const next = cases.random();
    const data = filled(dtype, rows * length, next).map((x) => Math.round(x * 40) / 40);
    if (dtypes[dtype].kind === "float" && length > 9) {
      [data[2], data[5], data[6], data[7], data[8], data[9]] = [
        NaN,
        NaN,
        -0,
        0,
        Infinity,
        -Infinity,
      ];
    }
    for (const descending of [false, true]) {
      cases.add("argsort", { descending }, [
        operand(dtype, [rows, length]),
        operand("int32", [rows, count]),
      ], [data.map((x) => roundTo(dtype, x))]);
    }
  };
  for (const d of ["float32", "float64", "int32", "bool"] as DType[]) {
    sort(d, 5, 37);
    sort(d, 2, 300, 10);
  }
  sort("float32", 1, 1);
  sort("float32", 9, 2);
  sort("float32", 2, 2048);
  sort("float32", 2, 5000);
  sort("float64", 1, 9000, 20);
  sort("int32", 1, 4097);
  const next = random(7),
    ascending = (n: number) => filled("float32", n, next).sort((a, b) => a - b);
  const rows = [...ascending(20), ...ascending(19), NaN], values = filled("float32", 14, next);
  values[3] = NaN;
  values[4] = rows[5];
  for (const right of [false, true]) {
    cases.add("search", { right }, [
      operand("float32", [2, 20]),
      operand("float32", [2, 7]),
      operand("int32", [2, 7]),
    ], [rows, values]);
    cases.add("search", { right }, [
      operand("float64", [20]),
      operand("float64", [2, 7]),
      operand("int32", [2, 7]),
    ], [rows.slice(0, 20), values]);
    cases.add("search", { right }, [
      operand("int32", [4]),
      operand("int32", [2, 3]),
      operand("int32", [2, 3]),
    ], [[1, 3, 3, 8], [0, 1, 3, 4, 8, 9]]);
  }
}

/** Scattered products and extremes, also with an index out of range. */
export function scatterCases(cases: RoutineCases): void {
  const scatter = (
    op: "prod" | "max" | "min",
    dtype: DType,
    base: number[],
    index: number[],
    dim: number,
    wrong = false,
  ) => {
    const next = cases.random(), count = size(index);
    const places = Array.from(
      { length: count },
      () => Math.abs(Math.floor(next() * 1e6)) % base[dim],
    );
    if (wrong) places[count - 1] = base[dim];
    const values = filled(dtype, count, next).map((x) =>
      op === "prod" && dtype !== "int32" ? roundTo(dtype, 1 + x / 50) : x
    );
    if (dtypes[dtype].kind === "float") values[0] = NaN;
    cases.add(
      "scatterReduce",
      { op, dim },
      [
        operand(dtype, base),
        operand("int32", index),
        operand(dtype, index),
        operand(dtype, base),
      ],
      [filled(dtype, size(base), next), places, values],
      wrong ? "out of range" : "",
    );
  };
  for (const op of ["prod", "max", "min"] as const) {
    scatter(op, "float32", [4, 5, 6], [4, 7, 6], 1);
    scatter(op, "float64", [3, 9], [2, 200], 1);
    scatter(op, "int32", [7], [300], 0);
    scatter(op, "float32", [7], [300], 0);
  }
  scatter("max", "bool", [4, 5], [9, 3], 0);
  scatter("max", "float32", [4, 5], [9, 3], 0, true);
  scatter("min", "float32", [4], [100], 0, true);
}
