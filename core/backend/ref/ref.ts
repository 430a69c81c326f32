/**
 * The reference: an interpreter of kernel data in float64, slow and obvious. What it says is right by definition; every other backend is
 * held against it.
 */
import type {
  Backend,
  BackendStats,
  Buffer,
  Executable,
  Launch,
  RoutineCall,
  Routines,
} from "../../device.ts";
import { codecs, type DType, dtypes, type HostArray, roundTo } from "../../dtype.ts";
import { type Address, fullValues, type Kernel, type Value } from "../../kernel.ts";
import { meaning, reduceStart, reductions } from "../../meaning.ts";
import { numel } from "../../shape.ts";
import { allReduce } from "../collective.ts";
import { plainTable } from "../plain/mod.ts";
import { newStats, take } from "../stats.ts";

/** Every dtype is held as float64 numbers that have been rounded to it. */
class RefBuffer implements Buffer {
  readonly values: Float64Array<ArrayBuffer>;
  freed = false;
  constructor(readonly dtype: DType, readonly length: number) {
    this.values = new Float64Array(length);
  }
}

const buffersOf = (buffers: readonly Buffer[]) => buffers as readonly RefBuffer[];

/** Runs `body` for every index of `sizes`, in row-major order. */
function forEachIndex(sizes: readonly number[], body: (index: number[]) => void): void {
  const index = sizes.map(() => 0);
  if (numel(sizes) === 0) return;
  for (;;) {
    body(index);
    let d = sizes.length - 1;
    while (d >= 0 && ++index[d] === sizes[d]) index[d--] = 0;
    if (d < 0) return;
  }
}

/** The float64 interpreter. */
export class RefBackend implements Backend {
  readonly name = "ref";
  /** What was counted so far. */
  readonly stats: BackendStats = newStats();
  #badIndex: { index: number; size: number } | undefined;

  alloc(dtype: DType, length: number): Buffer {
    take(this.stats, dtypes[dtype].bytes * length);
    return new RefBuffer(dtype, length);
  }

  free(buffer: Buffer): void {
    const b = buffer as RefBuffer;
    if (b.freed) throw new ReferenceError("Cannot free a buffer twice");
    b.freed = true;
    take(this.stats, -dtypes[b.dtype].bytes * b.length);
  }

  write(buffer: Buffer, data: HostArray, offset = 0): void {
    const { values, dtype } = buffer as RefBuffer;
    const { decode } = codecs[dtype];
    for (let i = 0; i < data.length; i++) values[offset + i] = decode(data[i]);
  }

  copy(from: Buffer, to: Buffer): void {
    (to as RefBuffer).values.set((from as RefBuffer).values);
  }

  read(buffer: Buffer, offset: number, length: number): HostArray {
    this.stats.reads++;
    const { values, dtype } = buffer as RefBuffer;
    const out = dtypes[dtype].array(length) as { [i: number]: number | bigint };
    const { encode } = codecs[dtype];
    for (let i = 0; i < length; i++) out[i] = encode(values[offset + i]);
    return out as unknown as HostArray;
  }

  compile(kernel: Kernel): Executable {
    this.stats.compiled++;
    return { kernel };
  }

  bind(executable: Executable, extent: number, buffers: readonly Buffer[]): Launch {
    return () => {
      this.stats.kernels++;
      this.#run(executable.kernel, extent, buffersOf(buffers));
    };
  }

  #run(kernel: Kernel, extent: number, buffers: readonly RefBuffer[]): void {
    const full = fullValues(kernel), { values, outer, reduce } = kernel;
    const place = (a: Address, index: readonly number[], value: (id: number) => number): number => {
      let at = a.offset;
      a.strides.forEach((s, d) => at += s * index[d]);
      for (const t of a.dynamic) {
        const i = value(t.value);
        if (!(i >= 0 && i < t.size)) this.#badIndex ??= { index: i, size: t.size };
        else at += i * t.stride;
      }
      return at;
    };
    const zero = reduce.map(() => 0);
    forEachIndex([extent, ...outer.slice(1)], (point) => {
      const rows = new Map<number, number>();
      /** A value at a point of the row; row-level ones are remembered, as a backend's registers would. */
      const evaluate = (
        id: number,
        index: readonly number[],
        seen: Map<number, number>,
      ): number => {
        const memo = full[id] ? seen : rows;
        const known = memo.get(id);
        if (known !== undefined) return known;
        const v = values[id];
        const rules: { [K in Value["kind"]]: (v: Extract<Value, { kind: K }>) => number } = {
          const: (v) => roundTo(v.dtype, v.value),
          index: (v) => v.strides.reduce((at, s, d) => at + s * index[d], v.offset),
          load: (v) =>
            buffers[v.address.buffer].values[
              place(v.address, index, (a) => evaluate(a, index, seen))
            ],
          op: (v) =>
            roundTo(
              v.dtype,
              meaning[v.op](v.dtype, ...v.args.map((a) => evaluate(a, index, seen))),
            ),
          reduce: (v) => {
            const { step } = reductions[v.op];
            let total = reduceStart(v.op, v.dtype);
            forEachIndex(
              reduce,
              (row) => total = step(total, evaluate(v.arg, [...point, ...row], new Map())),
            );
            return roundTo(v.dtype, total);
          },
        };
        const result = (rules[v.kind] as (v: Value) => number)(v);
        memo.set(id, result);
        return result;
      };
      // Every value that is stored is computed before anything is written: kernels may work in place.
      const writes: { buffer: RefBuffer; at: number; value: number; add: boolean }[] = [];
      const write = (index: readonly number[], level: "row" | "full") => {
        const seen = new Map<number, number>();
        for (const s of kernel.stores) {
          if (s.level !== level) continue;
          const value = evaluate(s.value, index, seen);
          const at = place(s.address, index, (a) => evaluate(a, index, seen));
          writes.push({ buffer: buffers[s.address.buffer], at, value, add: s.mode === "add" });
        }
      };
      forEachIndex(reduce, (row) => write([...point, ...row], "full"));
      write([...point, ...zero], "row");
      for (const w of writes) {
        const sum = w.add ? w.buffer.values[w.at] + w.value : w.value;
        w.buffer.values[w.at] = roundTo(w.buffer.dtype, sum);
      }
    });
  }

  /** Routines by plain loops in float64. */
  readonly routines: Routines = {
    ...plainTable((_, run) => (call, buffers) => ({
      start: () => {
        this.stats.routines++;
        const arrays = buffersOf(buffers).map((b) => b.values);
        run(call.params, call.operands.map((o, i) => ({ ...o, data: arrays[i] })));
        for (let r = arrays.length - (call.results ?? 1); r < arrays.length; r++) {
          const values = arrays[r], { dtype } = call.operands[r];
          for (let i = 0; i < values.length; i++) values[i] = roundTo(dtype, values[i]);
        }
      },
    })),
    matmul: (call, buffers) => ({
      start: () => {
        this.stats.routines++;
        matmul(call, buffersOf(buffers));
      },
    }),
    allReduce: (call, buffers) => {
      const [data] = buffersOf(buffers);
      this.stats.routines++;
      return allReduce(call, {
        read: () => data.values,
        write: (v) => data.values.set(v as Float64Array),
      });
    },
  };

  synchronize(): void {
    const bad = this.#badIndex;
    this.#badIndex = undefined;
    if (bad !== undefined) {
      throw new RangeError(`Cannot index with ${bad.index}: the dimension has size ${bad.size}`);
    }
  }
}

function matmul(call: RoutineCall<"matmul">, buffers: readonly RefBuffer[]): void {
  const [a, b, out] = call.operands, [av, bv, ov] = buffers.map((x) => x.values);
  const k = a.shape[a.shape.length - 1], rank = out.shape.length;
  const dot = (operand: typeof a, index: readonly number[]) =>
    operand.strides.reduce((at, s, d) => at + s * index[d], operand.offset);
  forEachIndex(out.shape, (index) => {
    const [i, j] = index.slice(-2), batch = index.slice(0, rank - 2);
    let total = 0;
    for (let p = 0; p < k; p++) {
      total += av[dot(a, [...batch, i, p])] * bv[dot(b, [...batch, p, j])];
    }
    const at = dot(out, index);
    ov[at] = roundTo(out.dtype, call.params.accumulate ? ov[at] + total : total);
  });
}
