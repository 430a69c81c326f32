/** Calls of wasm functions with all arguments bound. */
import type { Launch } from "../../device.ts";
import type { WasmFunction } from "./pool.ts";

type Binder = (f: WasmFunction, a: readonly number[]) => Launch;

// Spreading an array costs more than the call itself, so each length has its own closure.
const binders: readonly Binder[] = [
  (f) => () => f(),
  (f, [a]) => () => f(a),
  (f, [a, b]) => () => f(a, b),
  (f, [a, b, c]) => () => f(a, b, c),
  (f, [a, b, c, d]) => () => f(a, b, c, d),
  (f, [a, b, c, d, e]) => () => f(a, b, c, d, e),
  (f, [a, b, c, d, e, g]) => () => f(a, b, c, d, e, g),
  (f, [a, b, c, d, e, g, h]) => () => f(a, b, c, d, e, g, h),
  (f, [a, b, c, d, e, g, h, i]) => () => f(a, b, c, d, e, g, h, i),
  (f, [a, b, c, d, e, g, h, i, j]) => () => f(a, b, c, d, e, g, h, i, j),
  (f, [a, b, c, d, e, g, h, i, j, k]) => () => f(a, b, c, d, e, g, h, i, j, k),
  (f, [a, b, c, d, e, g, h, i, j, k, l]) => () => f(a, b, c, d, e, g, h, i, j, k, l),
  (f, [a, b, c, d, e, g, h, i, j, k, l, m]) => () => f(a, b, c, d, e, g, h, i, j, k, l, m),
];

/** A call of `f` with these arguments; 32-bit values, addresses above 2 GiB as negative numbers. */
export function bindCall(f: WasmFunction, args: readonly number[]): Launch {
  // Small integers are passed without boxing; larger ones would be heap numbers.
  const words = args.map((x) => x | 0);
  return binders[args.length]?.(f, words) ?? (() => f(...words));
}
