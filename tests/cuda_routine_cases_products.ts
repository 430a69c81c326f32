/** Cases of routines. Products of matrices: dtypes, gaps, transposes, batches. */
import type { Operand } from "../core/device.ts";
import { type DType, roundTo } from "../core/dtype.ts";
import { filled, limits, operand, type RoutineCases, size } from "./cuda_routine_case.ts";

/** Products, of which the results are summed here. */
export function matmulCases(cases: RoutineCases): void {
  const product = (
    [x, y, z]: readonly [DType, DType, DType],
    [a, b, c]: readonly [Operand, Operand, Operand],
    accumulate: boolean,
    about: string,
  ): void => {
    const next = cases.random(), operands = [a, b, c];
    const reach = (o: Operand) =>
      o.offset + 1 + o.shape.reduce((sum, n, d) => sum + (n - 1) * o.strides[d], 0);
    const data = operands.map((o, i) => filled([x, y, z][i], reach(o), next));
    const want = Float64Array.from(data[2]), rank = c.shape.length, at = c.shape.map(() => 0);
    const k = a.shape[rank - 1];
    for (let i = 0; i < size(c.shape); i++) {
      for (let d = rank - 1, rest = i; d >= 0; d--) {
        at[d] = rest % c.shape[d];
        rest = Math.floor(rest / c.shape[d]);
      }
      const base = (o: Operand, skip: number) =>
        at.reduce((sum, v, d) => d === skip ? sum : sum + v * o.strides[d], o.offset);
      let sum = 0;
      for (let j = 0; j < k; j++) {
        sum += data[0][base(a, rank - 1) + j * a.strides[rank - 1]] *
          data[1][base(b, rank - 2) + j * b.strides[rank - 2]];
      }
      const to = base(c, -1);
      want[to] = roundTo(z, sum + (accumulate ? data[2][to] : 0));
    }
    const shapes = operands.map((o) => `${o.dtype}[${o.shape}]/${o.strides}`).join(" ");
    cases.all.push({
      label: `matmul ${about} accumulate ${accumulate} ${shapes}`,
      call: { name: "matmul", params: { accumulate }, operands },
      data,
      want,
      limit: (limits[z] ?? 0) * Math.sqrt(k + 1),
    });
  };
  const of = (d: DType, m: number, n: number, k: number, batch: number[] = []) =>
    [operand(d, [...batch, m, k]), operand(d, [...batch, k, n]), operand(d, [...batch, m, n])] as [
      Operand,
      Operand,
      Operand,
    ];
  const all = (d: DType): [DType, DType, DType] => [d, d, d];
  for (const d of ["float32", "float64", "float16", "bfloat16", "int32", "int64"] as DType[]) {
    product(all(d), of(d, 5, 7, 9), false, "small");
    product(all(d), of(d, 70, 67, 40), true, "edges");
  }
  const f = all("float32");
  product(
    ["float16", "float16", "float32"],
    [
      operand("float16", [9, 33]),
      operand("float16", [33, 17]),
      operand("float32", [9, 17]),
    ],
    true,
    "to float32",
  );
  product(f, of("float32", 1, 1, 300), false, "dot");
  product(f, of("float32", 3, 4, 0), false, "nothing to sum");
  product(f, of("float32", 130, 65, 130), false, "medium");
  product(
    f,
    [
      operand("float32", [31, 20], [1, 31]),
      operand("float32", [20, 33], [1, 20]),
      operand("float32", [31, 33], [1, 31]),
    ],
    false,
    "transposed",
  );
  product(
    f,
    [
      operand("float32", [24, 20], [41, 2], 3),
      operand("float32", [20, 18], [37, 2], 1),
      operand("float32", [24, 18], [20, 1], 5),
    ],
    true,
    "gaps",
  );
  product(f, of("float32", 6, 5, 4, [2, 3]), false, "batch");
  product(
    f,
    [
      operand("float32", [2, 3, 2, 2, 5, 4], [20, 0, 40, 0, 4, 1]),
      operand("float32", [2, 3, 2, 2, 4, 6], [0, 24, 0, 72, 6, 1]),
      operand("float32", [2, 3, 2, 2, 5, 6]),
    ],
    true,
    "broadcast batch",
  );
}
