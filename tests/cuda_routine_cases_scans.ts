/** Cases of routines. Running reductions and recurrences. */
import type { ScanOp } from "../core/device.ts";
import { type DType, dtypes, roundTo } from "../core/dtype.ts";
import { filled, operand, type RoutineCases } from "./cuda_routine_case.ts";

/** Scans and recurrences. */
export function scanCases(cases: RoutineCases): void {
  const ops: ScanOp[] = ["sum", "prod", "max", "min", "logaddexp", "argmax", "argmin"];
  const scan = (op: ScanOp, dtype: DType, rows: number, length: number, odd = false) => {
    const next = cases.random(), data = filled(dtype, rows * length, next);
    // Products of many numbers stay near 1, or small.
    if (op === "prod") {
      const near = (x: number, i: number) =>
        dtypes[dtype].kind === "float" ? 1 + x / 2000 : i % 499 === 3 ? 3 : i % 7 === 2 ? -1 : 1;
      data.forEach((x, i) => data[i] = near(x, i));
    }
    if (odd && dtypes[dtype].kind === "float") {
      [data[1], data[length + 2], data[2 * length - 3]] = [Infinity, NaN, NaN];
    }
    const to = op.startsWith("arg") ? "int32" : dtype;
    cases.add("scan", { op }, [operand(dtype, [rows, length]), operand(to, [rows, length])], [
      data.map((x) => roundTo(dtype, x)),
    ], odd ? "with NaN" : "");
  };
  for (const op of ops) {
    for (const dtype of ["float32", "float64", "int32"] as DType[]) {
      if (op === "logaddexp" && dtype === "int32") continue;
      scan(op, dtype, 3, 70);
      scan(op, dtype, 2, 5000);
    }
    scan(op, "float32", 5, 33, true);
    scan(op, "float32", 2, 1500, true);
  }
  scan("sum", "float32", 1, 20000);
  scan("argmax", "float64", 1, 9000);
  scan("max", "float32", 2, 1);
  for (
    const [dtype, rows, length] of [["float32", 3, 50], ["float64", 2, 6000], [
      "float32",
      1,
      1,
    ]] as const
  ) {
    const next = cases.random(),
      both = [0, 1].map(() => filled(dtype, rows * length, next));
    both[0] = both[0].map((x, i) => i % length === 0 ? NaN : x / 2);
    const o = operand(dtype, [rows, length]);
    cases.add("recurrence", {}, [o, o, o], both);
  }
}
