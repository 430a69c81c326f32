/** Values in four lanes of 32 bits: every dtype but float64; int64 only as its low words. */
import type { DType } from "../../dtype.ts";
import { reduceStart } from "../../meaning.ts";
import type { OpName, ReduceOp } from "../../ops.ts";
import type { Code, ValueType } from "./assembler.ts";
import { forms, fromBfloat16, fromFloat16, toBfloat16, toFloat16, wrapInt } from "./convert.ts";
import { f32x4, i16x8, i32, i32x4, i64, i8x16, ifElse, v128 } from "./instructions.ts";
import type { Kit } from "./kit.ts";
import type { Limit, Machine, Place, Reducer, Spot } from "./machine.ts";
import { plainContext, type RowContext, vectorTable } from "./table.ts";

/** Elements in memory as lanes of raw bits, and back. */
interface Storage {
  readonly bytes: number;
  vector(s: Spot): Code;
  same(s: Spot): Code;
  lanes(spots: readonly Spot[]): Code;
  /** Stores all four lanes side by side. */
  put(s: Spot, bits: Code): Code;
  putLane(s: Spot, bits: Code, lane: number): Code;
}

const gather = (load: (s: Spot) => Code) => (spots: readonly Spot[]): Code =>
  spots.reduce<Code | undefined>(
    (v, s, lane) => v === undefined ? i32x4.splat(load(s)) : i32x4.replaceLane(lane, v, load(s)),
    undefined,
  )!;

const words: Storage = {
  bytes: 4,
  vector: (s) => v128.load(s.pointer, s.offset),
  same: (s) => v128.load32Splat(s.pointer, s.offset),
  lanes: (spots) =>
    spots.reduce<Code | undefined>(
      (v, s, lane) =>
        v === undefined
          ? v128.load32Zero(s.pointer, s.offset)
          : v128.load32Lane(lane, s.pointer, v, s.offset),
      undefined,
    )!,
  put: (s, bits) => v128.store(s.pointer, bits, s.offset),
  putLane: (s, bits, lane) => v128.store32Lane(lane, s.pointer, bits, s.offset),
};
const load16 = (s: Spot) => i32.load16U(s.pointer, s.offset);
const halves: Storage = {
  bytes: 2,
  vector: (s) => v128.load16x4U(s.pointer, s.offset),
  same: (s) => i32x4.splat(load16(s)),
  lanes: gather(load16),
  put: (s, bits) => v128.store64Lane(0, s.pointer, i16x8.narrowI32x4U(bits, bits), s.offset),
  putLane: (s, bits, lane) => v128.store16Lane(2 * lane, s.pointer, bits, s.offset),
};
const load8 = (s: Spot) => i32.load8U(s.pointer, s.offset);
const narrowBytes = (bits: Code): Code => {
  const half = i16x8.narrowI32x4U(bits, bits);
  return i8x16.narrowI16x8U(half, half);
};
const bytes: Storage = {
  bytes: 1,
  vector: (s) => i32x4.extendLowI16x8U(i16x8.extendLowI8x16U(v128.load32Zero(s.pointer, s.offset))),
  same: (s) => i32x4.splat(load8(s)),
  lanes: gather(load8),
  put: (s, bits) => v128.store32Lane(0, s.pointer, narrowBytes(bits), s.offset),
  putLane: (s, bits, lane) => v128.store8Lane(4 * lane, s.pointer, bits, s.offset),
};
const longs: Storage = {
  ...words,
  bytes: 8,
  vector: (s) =>
    i32x4.shuffle(
      v128.load(s.pointer, s.offset),
      v128.load(s.pointer, s.offset + 16),
      [0, 2, 4, 6],
    ),
  put: (s, bits) => {
    const sign = i32x4.shrS(bits, i32.const(31));
    return (w) => {
      v128.store(s.pointer, i32x4.shuffle(bits, sign, [0, 4, 1, 5]), s.offset)(w);
      v128.store(s.pointer, i32x4.shuffle(bits, sign, [2, 6, 3, 7]), s.offset + 16)(w);
    };
  },
  putLane: (s, bits, lane) =>
    i64.store(s.pointer, i64.extendI32S(i32x4.extractLane(lane, bits)), s.offset),
};

const storages: Readonly<Record<DType, Storage>> = {
  float32: words,
  float64: longs,
  float16: halves,
  bfloat16: halves,
  int32: words,
  int64: longs,
  uint8: bytes,
  bool: bytes,
};
const same = (_k: Kit, x: Code): Code => x;
const decoders: Readonly<Record<DType, (k: Kit, bits: Code) => Code>> = {
  float32: same,
  float64: same,
  float16: (k, bits) => fromFloat16(k, k.vec(bits)),
  bfloat16: fromBfloat16,
  int32: same,
  int64: same,
  uint8: same,
  bool: (k, bits) => i32x4.ne(bits, k.i(0)),
};
const encoders: Readonly<Record<DType, (k: Kit, x: Code) => Code>> = {
  ...decoders,
  float16: toFloat16,
  bfloat16: toBfloat16,
  bool: (k, x) => v128.and(x, k.i(1)),
};

const swapHalves = (x: Code): Code => i32x4.shuffle(x, x, [2, 3, 0, 1]);
const swapPairs = (x: Code): Code => i32x4.shuffle(x, x, [1, 0, 3, 2]);

/** Four lanes of 32 bits. */
export class VectorMachine implements Machine {
  readonly lanes = 4;
  readonly slotBytes = 16;

  constructor(readonly kit: Kit) {}

  type(): ValueType {
    return "v128";
  }

  constant(dtype: DType, value: number): Code {
    if (dtype === "bool") return this.kit.i(value !== 0 ? -1 : 0);
    return forms[dtype] === "float" ? this.kit.f(value) : this.kit.i(value);
  }

  ramp(_dtype: DType, base: Code, stride: number): Code {
    const splat = i32x4.splat(base);
    return stride === 0
      ? splat
      : i32x4.add(splat, this.kit.lanes(0, stride, 2 * stride, 3 * stride));
  }

  load(dtype: DType, place: Place): Code {
    const storage = storages[dtype];
    const bits = place.kind === "lanes"
      ? storage.lanes(place.spots)
      : storage[place.kind](place.spot);
    return decoders[dtype](this.kit, bits);
  }

  store(dtype: DType, place: Place, value: Code, limit: Limit): void {
    const { kit } = this, storage = storages[dtype];
    const encoded = encoders[dtype];
    const bits = encoded === same ? value : kit.vec(encoded(kit, value));
    if (place.kind === "vector" && limit === undefined) {
      kit.out.push(storage.put(place.spot, bits));
      return;
    }
    this.#eachLane(
      place,
      storage.bytes,
      limit,
      (spot, lane) => [storage.putLane(spot, bits, lane)],
    );
  }

  accumulate(dtype: DType, place: Place, value: Code, limit: Limit): void {
    const { kit } = this;
    const context = plainContext(dtype);
    const sum = (at: Place, x: Code) => {
      const old = kit.vec(this.load(dtype, at));
      return kit.vec(this.op("add", context, [old, x]));
    };
    if (place.kind === "vector") {
      this.store(dtype, place, sum(place, value), limit);
      return;
    }
    // Lanes may fall on the same element, so each is read after the one before is written.
    this.#eachLane(place, storages[dtype].bytes, limit, (spot, lane) => {
      const list: Code[] = [];
      kit.into(list, () => {
        const x = lane === 0
          ? value
          : kit.vec(i32x4.shuffle(value, value, [lane, lane, lane, lane]));
        const at: Place = { kind: "same", spot };
        this.store(dtype, at, sum(at, x), undefined);
      });
      return list;
    });
  }

  #eachLane(
    place: Place,
    bytes: number,
    limit: Limit,
    write: (spot: Spot, lane: number) => Code[],
  ): void {
    const { out } = this.kit;
    const spots = place.kind === "lanes"
      ? place.spots
      : place.kind === "same"
      ? [place.spot]
      : [0, 1, 2, 3].map((l) => ({ ...place.spot, offset: place.spot.offset + l * bytes }));
    spots.forEach((spot, lane) => {
      if (typeof limit === "number" && lane >= limit) return;
      const code = write(spot, lane);
      if (lane === 0 || typeof limit !== "function") out.push(...code);
      else {
        out.push(ifElse(i32.gtU(limit, i32.const(lane)), (w) => {
          for (const c of code) c(w);
        }));
      }
    });
  }

  spill(_dtype: DType, spot: Spot, value: Code): void {
    this.kit.out.push(v128.store(spot.pointer, value, spot.offset));
  }

  unspill(_dtype: DType, spot: Spot): Code {
    return v128.load(spot.pointer, spot.offset);
  }

  op(op: OpName, context: RowContext, args: readonly Code[]): Code {
    return vectorTable[op](this.kit, context, ...args);
  }

  fused(dtype: DType, negate: boolean, a: Code, b: Code, c: Code): Code | undefined {
    if (forms[dtype] !== "float") return undefined;
    return negate ? f32x4.relaxedNmadd(a, b, c) : f32x4.relaxedMadd(a, b, c);
  }

  lane(_dtype: DType, value: Code, lane: number): Code {
    return i32x4.extractLane(lane, value);
  }

  reducer(op: ReduceOp, dtype: DType): Reducer {
    const form = forms[dtype];
    const start = this.constant(dtype, reduceStart(op, dtype));
    if (form === "float" && (op === "max" || op === "min")) return this.#extreme(op, start);
    const { kit } = this;
    const context = plainContext(dtype);
    const join = (a: Code, b: Code) =>
      this.op(op === "sum" ? "add" : op === "prod" ? "mul" : op, context, [a, b]);
    return {
      start: [start],
      identity: start,
      step: ([a], x) => [join(a, x)],
      merge: ([a], [b]) => [join(a, b)],
      finish: ([a], across) => {
        if (!across) return wrapInt(kit, dtype, a);
        const half = kit.vec(join(a, swapHalves(a)));
        return join(half, swapPairs(half));
      },
    };
  }

  // pmax and pmin lose a NaN in the second place, so lanes that met one are remembered apart.
  #extreme(op: "max" | "min", start: Code): Reducer {
    const { kit } = this, pick = op === "max" ? f32x4.pmax : f32x4.pmin;
    return {
      start: [start, kit.i(0)],
      identity: start,
      step: ([m, nan], x) => [pick(m, x), v128.or(nan, f32x4.ne(x, x))],
      merge: ([m, nan], [m2, nan2]) => [pick(m, m2), v128.or(nan, nan2)],
      finish: ([m, nan], across) => {
        const all = kit.vec(v128.or(m, nan));
        if (!across) return all;
        const lost = (a: Code, b: Code) =>
          v128.or(pick(a, b), v128.or(f32x4.ne(a, a), f32x4.ne(b, b)));
        const half = kit.vec(lost(all, swapHalves(all)));
        return lost(half, swapPairs(half));
      },
    };
  }
}
