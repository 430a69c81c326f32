/** Kernel data to a module, one element at a time. */
import type { DType } from "../../dtype.ts";
import { codecs, roundTo } from "../../dtype.ts";
import { type Address, fullValues, type Kernel, stages, type Value } from "../../kernel.ts";
import { meaning, reduceStart } from "../../meaning.ts";
import type { OpName, ReduceOp } from "../../ops.ts";
import { type Code, type Func, type FuncRef, ModuleBuilder } from "./assembler.ts";
import * as ins from "./instructions.ts";
const { i32, i64, f64, f32 } = ins;

const isF = (d: DType) => d === "float32" || d === "float64" || d === "float16" || d === "bfloat16";
const half = new Uint16Array(1), halfView = new Float16Array(half.buffer);
const names = ["exp", "log", "sin", "cos", "tanh", "erf", "pow", "mod"] as const;
/** Functions that generated modules import. */
export const mathImports: Record<string, (...x: number[]) => number> = {
  ...Object.fromEntries(names.map((n) => [n, (...x: number[]) => meaning[n as OpName]("float64", ...x)])),
  randomBits: (...x: number[]) => meaning.randomBits("int32", ...x),
  fromF16: (bits: number) => (half[0] = bits, halfView[0]),
  toF16: (x: number) => (halfView[0] = x, half[0]),
  fromBF16: (bits: number) => codecs.bfloat16.decode(bits),
  toBF16: (x: number) => Number(codecs.bfloat16.encode(x)),
  roundF16: (x: number) => roundTo("float16", x),
  roundBF16: (x: number) => roundTo("bfloat16", x),
};

class Lower {
  readonly m = new ModuleBuilder();
  readonly f: Func;
  readonly index: number[];
  readonly ptr: (b: number) => Code;
  readonly value: number[] = [];
  constructor(readonly k: Kernel) {
    this.f = this.m.func(Array(3 + k.buffers.length).fill("i32"), [], "run");
    this.index = [...k.outer, ...k.reduce].map(() => this.f.local("i32"));
    this.ptr = (b) => this.get(3 + b);
    for (const v of k.values) this.value.push(this.f.local(isF(v.dtype) ? "f64" : "i64"));
  }
  get(l: number): Code {
    return ins.get(l);
  }
  set(l: number, x: Code): Code {
    return ins.set(l, x);
  }
  fn(name: string, args: number): FuncRef {
    return this.m.import(name, Array(args).fill("f64"), ["f64"]);
  }
  math(name: string, ...x: Code[]): Code {
    return ins.call(this.fn(name, x.length), ...x);
  }
  linear(offset: number, strides: readonly number[]): Code {
    return strides.reduce(
      (at: Code, s, d) => s === 0 ? at : i32.add(at, i32.mul(this.get(this.index[d]), i32.const(s))),
      i32.const(offset),
    );
  }
  address(a: Address): Code {
    let at = this.linear(a.offset, a.strides);
    for (const t of a.dynamic) {
      const i = this.f.local("i32");
      this.f.emit(
        this.set(i, i32.wrapI64(this.get(this.value[t.value]))),
        ins.ifElse(
          i32.geU(this.get(i), i32.const(t.size)),
          ins.seq(
            i32.store(i32.const(16), i32.const(1)),
            i32.store(i32.const(20), this.get(i)),
            i32.store(i32.const(24), i32.const(t.size)),
            this.set(i, i32.const(0)),
          ),
        ),
      );
      at = i32.add(at, i32.mul(this.get(i), i32.const(t.stride)));
    }
    const bytes: Record<DType, number> = {
      float32: 4,
      float64: 8,
      float16: 2,
      bfloat16: 2,
      int32: 4,
      int64: 8,
      uint8: 1,
      bool: 1,
    };
    return i32.add(this.ptr(a.buffer), i32.mul(at, i32.const(bytes[this.k.buffers[a.buffer].dtype])));
  }
  load(d: DType, p: Code): Code {
    const u = (x: Code) => f64.convertI32S(x);
    const rules: Record<DType, () => Code> = {
      float32: () => f64.promoteF32(f32.load(p)),
      float64: () => f64.load(p),
      float16: () => this.math("fromF16", u(i32.load16U(p))),
      bfloat16: () => this.math("fromBF16", u(i32.load16U(p))),
      int32: () => i64.extendI32S(i32.load(p)),
      int64: () => i64.load(p),
      uint8: () => i64.extendI32U(i32.load8U(p)),
      bool: () => i64.extendI32U(i32.load8U(p)),
    };
    return rules[d]();
  }
  store(d: DType, p: Code, x: Code): Code {
    const w = (x: Code) => i32.truncSatF64S(x);
    const rules: Record<DType, () => Code> = {
      float32: () => f32.store(p, f32.demoteF64(x)),
      float64: () => f64.store(p, x),
      float16: () => i32.store16(p, w(this.math("toF16", x))),
      bfloat16: () => i32.store16(p, w(this.math("toBF16", x))),
      int32: () => i32.store(p, i32.wrapI64(x)),
      int64: () => i64.store(p, x),
      uint8: () => i32.store8(p, i32.wrapI64(x)),
      bool: () => i32.store8(p, i32.wrapI64(x)),
    };
    return rules[d]();
  }
  /** Rounds a result to its dtype. */
  round(d: DType, x: Code): Code {
    const rules: Record<DType, () => Code> = {
      float32: () => f64.promoteF32(f32.demoteF64(x)),
      float64: () => x,
      float16: () => this.math("roundF16", x),
      bfloat16: () => this.math("roundBF16", x),
      int32: () => i64.extendI32S(i32.wrapI64(x)),
      int64: () => x,
      uint8: () => i64.and(x, i64.const(255n)),
      bool: () => x,
    };
    return rules[d]();
  }
  emit(id: number): void {
    const v = this.k.values[id];
    const out = (x: Code) => this.f.emit(this.set(this.value[id], x));
    const rules: { [K in Value["kind"]]: (v: Extract<Value, { kind: K }>) => void } = {
      const: (v) =>
        out(isF(v.dtype) ? f64.const(roundTo(v.dtype, v.value)) : i64.const(BigInt(roundTo(v.dtype, v.value)))),
      index: (v) => out(i64.extendI32S(this.linear(v.offset, v.strides))),
      load: (v) => out(this.load(v.dtype, this.address(v.address))),
      op: (v) => out(this.round(v.dtype, this.op(v))),
      reduce: () => {},
    };
    (rules[v.kind] as (v: Value) => void)(v);
  }
  op(v: Extract<Value, { kind: "op" }>): Code {
    const a = v.args.map((x) => this.get(this.value[x]));
    const from = this.k.values[v.args[v.args.length - 1]].dtype, F = isF(from), d = v.dtype;
    const flag = (x: Code) => i64.extendI32U(x);
    const un = (x: (a: Code) => Code) => x(a[0]);
    const guard = (f: (x: Code, y: Code) => Code) =>
      ins.select(i64.const(0n), f(a[0], ins.select(i64.const(1n), a[1], i64.eqz(a[1]))), i64.eqz(a[1]));
    const pick = (c: Code, x: Code, y: Code) => ins.select(x, y, c);
    const rules: Record<OpName, () => Code> = {
      neg: () => F ? f64.neg(a[0]) : i64.sub(i64.const(0n), a[0]),
      abs: () => F ? f64.abs(a[0]) : pick(i64.ltS(a[0], i64.const(0n)), i64.sub(i64.const(0n), a[0]), a[0]),
      exp: () => this.math("exp", a[0]),
      log: () => this.math("log", a[0]),
      sqrt: () => un(f64.sqrt),
      sin: () => this.math("sin", a[0]),
      cos: () => this.math("cos", a[0]),
      tanh: () => this.math("tanh", a[0]),
      erf: () => this.math("erf", a[0]),
      floor: () => un(f64.floor),
      round: () => un(f64.nearest),
      trunc: () => un(f64.trunc),
      not: () => d === "bool" ? flag(i64.eqz(a[0])) : i64.xor(a[0], i64.const(-1n)),
      cast: () => {
        if (d === "bool") return flag(F ? f64.ne(a[0], f64.const(0)) : i64.ne(a[0], i64.const(0n)));
        if (F) return isF(d) ? a[0] : i64.truncSatF64S(a[0]);
        return isF(d) ? f64.convertI64S(a[0]) : a[0];
      },
      add: () => F ? f64.add(a[0], a[1]) : i64.add(a[0], a[1]),
      sub: () => F ? f64.sub(a[0], a[1]) : i64.sub(a[0], a[1]),
      mul: () => F ? f64.mul(a[0], a[1]) : i64.mul(a[0], a[1]),
      div: () => F ? f64.div(a[0], a[1]) : guard(i64.divS),
      pow: () => this.math("pow", a[0], a[1]),
      mod: () =>
        F ? this.math("mod", a[0], a[1]) : guard((x, y) => i64.remS(i64.add(i64.remS(x, y), y), y)),
      max: () => F ? f64.max(a[0], a[1]) : pick(i64.gtS(a[0], a[1]), a[0], a[1]),
      min: () => F ? f64.min(a[0], a[1]) : pick(i64.ltS(a[0], a[1]), a[0], a[1]),
      lt: () => flag(F ? f64.lt(a[0], a[1]) : i64.ltS(a[0], a[1])),
      le: () => flag(F ? f64.le(a[0], a[1]) : i64.leS(a[0], a[1])),
      eq: () => flag(F ? f64.eq(a[0], a[1]) : i64.eq(a[0], a[1])),
      and: () => i64.and(a[0], a[1]),
      or: () => i64.or(a[0], a[1]),
      xor: () => i64.xor(a[0], a[1]),
      shl: () => i64.shl(a[0], a[1]),
      shr: () => i64.shrS(a[0], a[1]),
      where: () => pick(i64.ne(a[0], i64.const(0n)), a[1], a[2]),
      randomBits: () => i64.truncSatF64S(this.math("randomBits", ...a.map((x) => f64.convertI64S(x)))),
    };
    return rules[v.op]();
  }
  combine(op: ReduceOp, d: DType, a: Code, b: Code): Code {
    const fake = { sum: "add", prod: "mul", max: "max", min: "min" } as const;
    if (isF(d)) return f64[fake[op]](a, b);
    const rules: Record<ReduceOp, () => Code> = {
      sum: () => i64.add(a, b),
      prod: () => i64.mul(a, b),
      max: () => ins.select(a, b, i64.gtS(a, b)),
      min: () => ins.select(a, b, i64.ltS(a, b)),
    };
    return rules[op]();
  }
  run(): void {
    const { k, f } = this, full = fullValues(k), stage = stages(k), rank = k.outer.length;
    const last = k.values.length === 0 ? 0 : Math.max(...stage);
    const nest = (dims: readonly number[], first: number, body: () => void): Code => {
      let code = f.capture(body);
      for (let d = dims.length - 1; d >= 0; d--) {
        const i = this.index[first + d], inner = code;
        const zero = first + d === 0 ? this.get(0) : i32.const(0);
        const end = first + d === 0 ? this.get(1) : i32.const(dims[d]);
        code = ins.seq(
          this.set(i, zero),
          ins.whileLoop(i32.ltS(this.get(i), end), inner, this.set(i, i32.add(this.get(i), i32.const(1)))),
        );
      }
      return code;
    };
    const needed = (ids: readonly number[]): number[] => {
      const want = new Set<number>();
      const visit = (id: number) => {
        if (want.has(id) || !full[id]) return;
        want.add(id);
        const v = k.values[id];
        if (v.kind === "op") v.args.forEach(visit);
        if (v.kind === "load") v.address.dynamic.forEach((t) => visit(t.value));
      };
      ids.forEach(visit);
      return [...want].sort((a, b) => a - b);
    };
    const write = (s: Kernel["stores"][number]) => {
      const d = k.buffers[s.address.buffer].dtype, p = f.local("i32");
      f.emit(this.set(p, this.address(s.address)));
      const x = this.get(this.value[s.value]);
      const sum = s.mode === "add"
        ? isF(d) ? f64.add(this.load(d, this.get(p)), x) : i64.add(this.load(d, this.get(p)), x)
        : x;
      f.emit(this.store(d, this.get(p), sum));
    };
    f.emit(nest(k.outer, 0, () => {
      for (let s = 0; s <= last; s++) {
        k.values.forEach((v, id) => !full[id] && v.kind !== "reduce" && stage[id] === s && this.emit(id));
        const sums = k.values.flatMap((v, id) => v.kind === "reduce" && stage[id] === s + 1 ? [{ v, id }] : []);
        const stores = s === last ? k.stores.filter((x) => x.level === "full") : [];
        for (const { v, id } of sums) {
          const start = reduceStart(v.op, v.dtype);
          f.emit(this.set(this.value[id], isF(v.dtype) ? f64.const(start) : i64.const(BigInt(start))));
        }
        if (sums.length > 0 || stores.length > 0) {
          f.emit(nest(k.reduce, rank, () => {
            const roots = [
              ...sums.map((x) => x.v.arg),
              ...stores.flatMap((x) => [x.value, ...x.address.dynamic.map((t) => t.value)]),
            ];
            for (const id of needed(roots)) this.emit(id);
            for (const { v, id } of sums) {
              const acc = this.value[id];
              f.emit(this.set(acc, this.combine(v.op, v.dtype, this.get(acc), this.get(this.value[v.arg]))));
            }
            stores.forEach(write);
          }));
        }
        for (const { v, id } of sums) f.emit(this.set(this.value[id], this.round(v.dtype, this.get(this.value[id]))));
      }
      k.stores.filter((x) => x.level === "row").forEach(write);
    }));
  }
}

/** The module of a kernel; see the call in `mod.ts` for its contract. */
export function lowerKernel(
  kernel: Kernel,
): { bytes: Uint8Array<ArrayBuffer>; scratchBytes: number; parallel: boolean } {
  const lower = new Lower(kernel);
  lower.run();
  return { bytes: lower.m.build(), scratchBytes: 0, parallel: false };
}
