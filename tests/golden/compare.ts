/** Compares what an adapter gave with what PyTorch computed. */
import { codecs, dtypes } from "../../core/dtype.ts";
import type { Tensor } from "@pta/accelerated";
import type { Output, Value } from "./adapter.ts";
import { isTensor } from "./fixture.ts";

/** Relative and absolute tolerance. */
export interface Tolerance {
  readonly rtol: number;
  readonly atol: number;
}

/** PyTorch's own defaults (`torch.testing.assert_close`). */
export const defaultTolerances: Readonly<Record<string, Tolerance>> = {
  float64: { rtol: 1e-7, atol: 1e-7 },
  float32: { rtol: 1.3e-6, atol: 1e-5 },
  float16: { rtol: 1e-3, atol: 1e-5 },
  bfloat16: { rtol: 1.6e-2, atol: 1e-5 },
};

const numbers = (t: Tensor): number[] =>
  Array.from(t.data() as ArrayLike<number | bigint>, codecs[t.dtype].decode);

/** Shape and dtype as one text. */
const form = (t: Tensor): string => `[${t.shape}] ${t.dtype}`;

/**
 * What differs between two tensors, or undefined. `noise` is PyTorch's own largest rounding error in the wanted tensor; twice that is allowed on
 * top, since ours is as likely on the other side.
 */
export function compareTensors(
  got: Tensor,
  wanted: Tensor,
  given?: Tolerance,
  noise = 0,
): string | undefined {
  if (form(got) !== form(wanted)) return `is ${form(got)}, not ${form(wanted)}`;
  const a = numbers(got), b = numbers(wanted);
  const { rtol, atol } = dtypes[wanted.dtype].kind === "float"
    ? given ?? defaultTolerances[wanted.dtype]
    : { rtol: 0, atol: 0 };
  let worst = -1, excess = 0, count = 0;
  for (let i = 0; i < a.length; i++) {
    if (Object.is(a[i], b[i]) || a[i] === b[i] || (a[i] !== a[i] && b[i] !== b[i])) continue;
    const error = Math.abs(a[i] - b[i]), allowed = atol + rtol * Math.abs(b[i]) + 2 * noise;
    if (error <= allowed) continue;
    count++;
    const over = Number.isFinite(error) ? error / allowed : Infinity;
    if (worst < 0 || over > excess) [worst, excess] = [i, over];
  }
  if (worst < 0) return undefined;
  return `[${got.shape}] differs in ${count} of ${a.length}: element ${worst} is ${a[worst]}, not ${
    b[worst]
  } (${excess.toPrecision(3)} times the tolerance)`;
}

/** Everything that differs between a result and the expected one; `shapesOnly` for random results; `noise` one number a tensor, used up. */
export function compareOutputs(
  got: Output,
  wanted: Value,
  options: { tolerance?: Tolerance; shapesOnly?: boolean; noise?: number[] },
  path = "result",
): string[] {
  if (isTensor(wanted)) {
    if (!isTensor(got)) return [`${path} is ${String(got)}, not a tensor ${form(wanted)}`];
    const same = options.shapesOnly
      ? (form(got) === form(wanted) ? undefined : `is ${form(got)}, not ${form(wanted)}`)
      : compareTensors(got, wanted, options.tolerance, options.noise?.shift());
    return same === undefined ? [] : [`${path} ${same}`];
  }
  if (Array.isArray(wanted)) {
    // A tuple of one result may come as that result.
    const list = Array.isArray(got) ? got as readonly Output[] : [got];
    if (list.length !== wanted.length) {
      return [`${path} has ${list.length} parts, not ${wanted.length}`];
    }
    return wanted.flatMap((w, i) => compareOutputs(list[i], w, options, `${path}[${i}]`));
  }
  const equal = Object.is(got, wanted) ||
    (typeof got === "number" && typeof wanted === "number" &&
      Math.abs(got - wanted) <= 1e-5 + 1.3e-6 * Math.abs(wanted));
  return equal ? [] : [`${path} is ${String(got)}, not ${String(wanted)}`];
}
