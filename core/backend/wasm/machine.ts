/** What the loop generator asks of a way to hold values: four lanes of 32 bits, or one element of any dtype. */
import type { DType } from "../../dtype.ts";
import type { OpName, ReduceOp } from "../../ops.ts";
import type { Code, ValueType } from "./assembler.ts";
import type { RowContext } from "./table.ts";

/** The byte address `pointer + offset`. */
export interface Spot {
  readonly pointer: Code;
  readonly offset: number;
}

/** Where the lanes of an access lie: side by side, all at one spot, or each at its own. */
export type Place =
  | { readonly kind: "vector"; readonly spot: Spot }
  | { readonly kind: "same"; readonly spot: Spot }
  | { readonly kind: "lanes"; readonly spots: readonly Spot[] };

/** How many leading lanes are real: all, a number, or a number known only at run time (1 to 4). */
export type Limit = undefined | number | Code;

/** A reduction step by step; its state is one or more values. */
export interface Reducer {
  readonly start: readonly Code[];
  /** What lanes outside the row are replaced by. */
  readonly identity: Code;
  step(state: readonly Code[], x: Code): Code[];
  merge(a: readonly Code[], b: readonly Code[]): Code[];
  /** The result; with `across`, of all lanes together, in every lane. */
  finish(state: readonly Code[], across: boolean): Code;
}

/** A way to hold and compute values. */
export interface Machine {
  readonly lanes: 1 | 4;
  /** Bytes of one held value in scratch memory. */
  readonly slotBytes: number;
  type(dtype: DType): ValueType;
  constant(dtype: DType, value: number): Code;
  /** `base + lane * stride`, from a scalar i32. */
  ramp(dtype: DType, base: Code, stride: number): Code;
  load(dtype: DType, place: Place): Code;
  /** Writes now; `value` is the read of a local. */
  store(dtype: DType, place: Place, value: Code, limit: Limit): void;
  /** Adds to what is there, lane after lane. */
  accumulate(dtype: DType, place: Place, value: Code, limit: Limit): void;
  spill(dtype: DType, spot: Spot, value: Code): void;
  unspill(dtype: DType, spot: Spot): Code;
  op(op: OpName, context: RowContext, args: readonly Code[]): Code;
  /** `a * b + c`, or `c - a * b`, rounded once where the machine can; undefined if it has no such form for the dtype. */
  fused?(dtype: DType, negate: boolean, a: Code, b: Code, c: Code): Code | undefined;
  /** Lane `lane` of an integer value as a scalar i32. */
  lane(dtype: DType, value: Code, lane: number): Code;
  reducer(op: ReduceOp, dtype: DType): Reducer;
}
