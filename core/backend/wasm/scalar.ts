/** Values one at a time, in their own width: the path of float64 and of int64 arithmetic. */
import type { DType } from "../../dtype.ts";
import { reduceStart } from "../../meaning.ts";
import type { OpName, ReduceOp } from "../../ops.ts";
import type { Code, ValueType } from "./assembler.ts";
import { fromBfloat16, fromFloat16, roundFloat, toBfloat16, toFloat16 } from "./convert.ts";
import { f32, f32x4, f64, i32, i32x4, i64 } from "./instructions.ts";
import type { Kit } from "./kit.ts";
import type { Limit, Machine, Place, Reducer, Spot } from "./machine.ts";
import { plainContext, type RowContext } from "./table.ts";
import { scalarTable, scalarTypes } from "./table_scalar.ts";

const types = { f32, f64, i32, i64 };
const round = (k: Kit, dtype: DType, x: Code): Code =>
  f32x4.extractLane(0, roundFloat(k, dtype, k.vec(f32x4.splat(x))));
const table = scalarTable(round);

type Access = {
  readonly load: (k: Kit, s: Spot) => Code;
  readonly store: (k: Kit, s: Spot, x: Code) => Code;
};
const whole = (type: "f32" | "f64" | "i32" | "i64"): Access => ({
  load: (_, s) => types[type].load(s.pointer, s.offset),
  store: (_, s, x) => types[type].store(s.pointer, x, s.offset),
});
const byte: Access = {
  load: (_, s) => i32.load8U(s.pointer, s.offset),
  store: (_, s, x) => i32.store8(s.pointer, x, s.offset),
};
const half = (from: typeof fromFloat16, to: typeof toFloat16): Access => ({
  load: (k, s) =>
    f32x4.extractLane(0, from(k, k.vec(i32x4.splat(i32.load16U(s.pointer, s.offset))))),
  store: (k, s, x) =>
    i32.store16(s.pointer, i32x4.extractLane(0, to(k, k.vec(f32x4.splat(x)))), s.offset),
});
const accesses: Readonly<Record<DType, Access>> = {
  float32: whole("f32"),
  float64: whole("f64"),
  float16: half(fromFloat16, toFloat16),
  bfloat16: half(fromBfloat16, toBfloat16),
  int32: whole("i32"),
  int64: whole("i64"),
  uint8: byte,
  bool: { ...byte, load: (_, s) => i32.ne(i32.load8U(s.pointer, s.offset), i32.const(0)) },
};

const spotOf = (place: Place): Spot => place.kind === "lanes" ? place.spots[0] : place.spot;

/** One element at a time. */
export class ScalarMachine implements Machine {
  readonly lanes = 1;
  readonly slotBytes = 8;

  constructor(readonly kit: Kit) {}

  type(dtype: DType): ValueType {
    return scalarTypes[dtype];
  }

  constant(dtype: DType, value: number): Code {
    if (dtype === "bool") return i32.const(value !== 0 ? 1 : 0);
    if (dtype === "int64") return i64.const(BigInt(Math.trunc(value)));
    return types[scalarTypes[dtype] as "i32" | "f32" | "f64"].const(value);
  }

  ramp(dtype: DType, base: Code): Code {
    return dtype === "int64" ? i64.extendI32S(base) : base;
  }

  load(dtype: DType, place: Place): Code {
    return accesses[dtype].load(this.kit, spotOf(place));
  }

  store(dtype: DType, place: Place, value: Code, _limit: Limit): void {
    this.kit.out.push(accesses[dtype].store(this.kit, spotOf(place), value));
  }

  accumulate(dtype: DType, place: Place, value: Code, limit: Limit): void {
    const type = this.type(dtype);
    const old = this.kit.let(type, this.load(dtype, place));
    const context = plainContext(dtype);
    this.store(dtype, place, this.kit.let(type, this.op("add", context, [old, value])), limit);
  }

  spill(dtype: DType, spot: Spot, value: Code): void {
    this.kit.out.push(whole(scalarTypes[dtype]).store(this.kit, spot, value));
  }

  unspill(dtype: DType, spot: Spot): Code {
    return whole(scalarTypes[dtype]).load(this.kit, spot);
  }

  op(op: OpName, context: RowContext, args: readonly Code[]): Code {
    return table[op](this.kit, context, ...args);
  }

  lane(dtype: DType, value: Code, _lane: number): Code {
    return dtype === "int64" ? i32.wrapI64(value) : value;
  }

  reducer(op: ReduceOp, dtype: DType): Reducer {
    const start = dtype === "int64" && op !== "sum" && op !== "prod"
      ? i64.const(op === "max" ? -(2n ** 63n) : 2n ** 63n - 1n)
      : this.constant(dtype, reduceStart(op, dtype));
    const context = plainContext(dtype);
    const name = op === "sum" ? "add" : op === "prod" ? "mul" : op;
    const step = ([a]: readonly Code[], x: Code) => [this.op(name, context, [a, x])];
    return {
      start: [start],
      identity: start,
      step,
      merge: (a, [b]) => step(a, b),
      finish: ([a]) => a,
    };
  }
}
