/** Cases of routines. Convolutions, pooling and their gradients. */
import type { RoutineParams } from "../core/device.ts";
import { type DType, dtypes, roundTo } from "../core/dtype.ts";
import { filled, operand, type RoutineCases, size } from "./cuda_routine_case.ts";

/** Convolutions and their two gradients. */
export function convolutionCases(cases: RoutineCases): void {
  const one = (
    dtype: DType,
    x: number[],
    w: number[],
    stride: number[],
    padding: number[],
    dilation: number[],
    groups = 1,
  ): void => {
    const params = { stride, padding, dilation, groups }, next = cases.random();
    const grid = stride.map((s, d) =>
      Math.floor((x[d + 2] + 2 * padding[d] - dilation[d] * (w[d + 2] - 1) - 1) / s) + 1
    );
    const y = [x[0], w[0], ...grid], [ox, ow, oy] = [x, w, y].map((s) => operand(dtype, s));
    const [dx, dw, dy] = [x, w, y].map((s) => filled(dtype, size(s), next));
    cases.add("convolution", params, [ox, ow, oy], [dx, dw]);
    cases.add("convolutionInput", params, [oy, ow, ox], [dy, dw]);
    cases.add("convolutionWeight", params, [ox, oy, ow], [dx, dy]);
  };
  one("float32", [2, 3, 11], [4, 3, 3], [2], [1], [1]);
  one("float32", [2, 4, 9, 8], [6, 2, 3, 2], [2, 1], [1, 0], [1, 2], 2);
  one("float32", [1, 3, 5, 6, 7], [2, 3, 2, 3, 2], [1, 2, 1], [1, 1, 0], [2, 1, 1]);
  one("float64", [2, 4, 7, 7], [4, 1, 3, 3], [1, 1], [1, 1], [1, 1], 4);
  one("int32", [1, 2, 6], [2, 2, 3], [1], [0], [1]);
  one("float16", [2, 2, 5, 5], [3, 2, 3, 3], [1, 1], [1, 1], [1, 1]);
  one("bfloat16", [2, 2, 5, 5], [3, 2, 3, 3], [1, 1], [1, 1], [1, 1]);
}

/** Max pooling, and its gradient without what is known of the windows. */
export function poolCases(cases: RoutineCases): void {
  const pool = (
    dtype: DType,
    x: number[],
    kernel: number[],
    more: Partial<Record<string, number[]>>,
  ) => {
    const stride = more.stride ?? kernel, padding = more.padding ?? kernel.map(() => 0);
    const dilation = more.dilation ?? kernel.map(() => 1), lead = x.slice(0, -kernel.length);
    const sizes = x.slice(-kernel.length);
    const grid = sizes.map((n, d) =>
      Math.floor((n + 2 * padding[d] - dilation[d] * (kernel[d] - 1) - 1) / stride[d]) + 1
    );
    const next = cases.random(), data = filled(dtype, size(x), next);
    if (dtypes[dtype].kind === "float") [data[3], data[7], data[8]] = [NaN, -Infinity, NaN];
    const out = operand("int32", [...lead, ...grid]);
    const params = { kernel, stride, padding, dilation };
    cases.add("maxPool", params, [operand(dtype, x), out], [data]);
    const index = Array.from(cases.all.at(-1)!.want!), gradient = filled(dtype, index.length, next);
    cases.add("poolScatter", { spatialDims: kernel.length }, [
      operand(dtype, out.shape),
      out,
      operand(dtype, x),
    ], [gradient, index]);
  };
  pool("float32", [2, 3, 13], [3], { stride: [2], padding: [1] });
  pool("float32", [2, 3, 9, 8], [3, 2], { stride: [1, 2], padding: [1, 0], dilation: [2, 1] });
  pool("float64", [1, 2, 5, 6, 4], [2, 3, 2], { stride: [1, 1, 1] });
  pool("int32", [2, 2, 6, 6], [2, 2], {});
  pool("float32", [3, 20, 20], [3, 3], { stride: [1, 1], padding: [1, 1] });
}

/** The gradients of all pools again, with what is known of the windows, and two in half precision. */
export function windowCases(cases: RoutineCases): void {
  const pools = cases.all.flatMap(({ call }, i) => call.name === "maxPool" ? [[i, i + 1]] : []);
  for (const [pool, scatter] of pools) {
    const windows = cases.all[pool].call.params as RoutineParams["maxPool"];
    const { call: { params, operands }, data } = cases.all[scatter];
    const known = { ...params as RoutineParams["poolScatter"], windows };
    const inputs = data.slice(0, 2).map((x) => Array.from(x));
    cases.add("poolScatter", known, operands, inputs);
    if (operands[0].dtype !== "float32") continue;
    const half = operands.map((o) =>
      o.dtype === "float32" ? { ...o, dtype: "bfloat16" as const } : o
    );
    cases.add("poolScatter", known, half, [
      inputs[0].map((x) => roundTo("bfloat16", x)),
      inputs[1],
    ]);
  }
}
