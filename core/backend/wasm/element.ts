/** Instructions of the element types that have packed matrix products. */
import type { Code, ValueType } from "./assembler.ts";
import { f32, f32x4, f64, f64x2, i8x16, v128 } from "./instructions.ts";

/** The instructions of one element type. */
export interface Element {
  readonly bytes: 4 | 8;
  readonly lanes: 2 | 4;
  readonly shift: 2 | 3;
  readonly type: ValueType;
  readonly splat: (address: Code, offset?: number) => Code;
  readonly add: (a: Code, b: Code) => Code;
  readonly mul: (a: Code, b: Code) => Code;
  readonly fused: (a: Code, b: Code, sum: Code) => Code;
  readonly load: (address: Code, offset?: number) => Code;
  readonly store: (address: Code, value: Code, offset?: number) => Code;
  readonly addOne: (a: Code, b: Code) => Code;
  readonly zero: Code;
}

/** Element types that have a packed kernel. */
export const elements: Readonly<Record<"float32" | "float64", Element>> = {
  float32: {
    bytes: 4,
    lanes: 4,
    shift: 2,
    type: "f32",
    splat: v128.load32Splat,
    add: f32x4.add,
    mul: f32x4.mul,
    fused: f32x4.relaxedMadd,
    load: f32.load,
    store: f32.store,
    addOne: f32.add,
    zero: f32.const(0),
  },
  float64: {
    bytes: 8,
    lanes: 2,
    shift: 3,
    type: "f64",
    splat: v128.load64Splat,
    add: f64x2.add,
    mul: f64x2.mul,
    fused: f64x2.relaxedMadd,
    load: f64.load,
    store: f64.store,
    addOne: f64.add,
    zero: f64.const(0),
  },
};

/** Lanes `lanes` of the two vectors `a`, `b` (numbered on from `a`) as a new vector. */
export function shuffle(e: Element, a: Code, b: Code, lanes: readonly number[]): Code {
  const bytes = lanes.flatMap((l) => Array.from({ length: e.bytes }, (_, i) => l * e.bytes + i));
  return i8x16.shuffle(a, b, bytes);
}

/** `a * b + sum`, fused or not. */
export const multiplyAdd = (e: Element, fused: boolean) => (a: Code, b: Code, sum: Code): Code =>
  fused ? e.fused(a, b, sum) : e.add(e.mul(a, b), sum);
