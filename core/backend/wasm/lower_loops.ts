/** Writes the loops of a kernel: each value in the outermost loop that it allows, addresses as pointers that step along. */
import type { Address, Store, Value } from "../../kernel.ts";
import type { Code, Local } from "./assembler.ts";
import {
  call,
  doWhile,
  get,
  i32,
  i32x4,
  ifElse,
  increment,
  select,
  seq,
  set,
  v128,
  whileLoop,
} from "./instructions.ts";
import type { Kit } from "./kit.ts";
import { elementBytes, type Plan } from "./lower_plan.ts";
import type { Limit, Machine, Place, Reducer, Spot } from "./machine.ts";

/** Iterations after which a running float sum is added to a total, so that errors do not pile up over long rows. */
const SUM_BLOCK = 512;
/** Rows of at least this many iterations are summed in blocks. */
const LONG_ROW = 1024;
const INDEX_ERROR = { flag: 16, index: 20, size: 24 };

/** One loop that is open, or a position on it that is fixed. */
interface Level {
  readonly list: Code[];
  readonly inits: Code[];
  readonly steps: Code[];
  /** The running index, or a fixed one. */
  readonly at: Local | undefined;
  readonly fixed: number;
  /** Elements that one iteration steps over. */
  readonly step: number;
  readonly startsAtZero: boolean;
  readonly memo: Map<string, Code>;
  readonly pointers: Map<string, Spot>;
}

/** Which part of the axis is being written: how many vectors, and how much of the last one is real. */
interface Variant {
  readonly copies: number;
  readonly limit: Limit;
}

/** A reduction under way: locals of its state for each accumulator. */
interface Running {
  readonly id: number;
  readonly reducer: Reducer;
  readonly states: Local[][];
  readonly totals?: Local[][];
}

const plus = (pointer: Code, bytes: number): Code =>
  bytes === 0 ? pointer : i32.add(pointer, i32.const(bytes));
const times = (a: Code, n: number): Code => n === 1 ? a : i32.mul(a, i32.const(n));

/**
 * Whether the offset of an address must be in its pointer: the constant part of an instruction's address is added without wrapping
 * round, so it could not bring back a pointer that was below zero.
 */
const foldsOffset = (a: Address): boolean =>
  a.offset < 0 || a.strides.some((s) => s < 0) || a.dynamic.some((t) => t.stride < 0);

/** The code generator of one kernel. */
export class Loops {
  readonly #root: Code[] = [];
  #levels: Level[] = [];
  #variant: Variant = { copies: 1, limit: undefined };
  #stage = 0;
  #scratch: Local | undefined;
  #running: Running[] = [];
  /** Loops written so far, by which a loop knows that none is inside it. */
  #loopCount = 0;

  constructor(readonly kit: Kit, readonly machine: Machine, readonly plan: Plan) {}

  /** The statements of the whole kernel. */
  code(): Code[] {
    const { sizes, rank } = this.plan;
    if (sizes.slice(1, rank).includes(0)) return [];
    this.#levels = [this.#level(this.#root, undefined, 0, 1, true)];
    this.kit.into(this.#root, () => this.#nest(0));
    return this.#root;
  }

  #level(
    list: Code[],
    at: Local | undefined,
    fixed: number,
    step: number,
    startsAtZero: boolean,
  ): Level {
    const empty = { inits: [], steps: [], memo: new Map(), pointers: new Map() };
    return { list, at, fixed, step, startsAtZero, ...empty };
  }

  get #inner(): Level {
    return this.#levels[this.#levels.length - 1];
  }

  // ---- loops

  #nest(d: number): void {
    if (d === this.plan.rank) this.#row();
    else this.#loop(d, () => this.#nest(d + 1));
  }

  #loop(d: number, inner: () => void): void {
    const { sizes, axis } = this.plan;
    if (d === axis) this.#axisLoop(d, inner);
    else if (d === 0) this.#countedLoop(get(0), get(1), 1, inner);
    else if (sizes[d] === 1) this.#fixed(0, inner);
    else this.#countedLoop(undefined, i32.const(sizes[d]), 1, inner, sizes[d]);
  }

  #fixed(position: number, inner: () => void): void {
    this.#levels.push(this.#level(this.#inner.list, undefined, position, 1, true));
    inner();
    this.#levels.pop();
  }

  /** A loop from `start` (0 when undefined) up to `end`; `iterations` when known. Returns the index local. */
  #countedLoop(
    start: Code | undefined,
    end: Code,
    step: number,
    inner: () => void,
    iterations?: number,
    counter: Local = this.kit.run.local("i32"),
  ): Local {
    const parent = this.#inner;
    const level = this.#level([], counter, 0, step, start === undefined);
    const before = ++this.#loopCount;
    this.#levels.push(level);
    this.kit.into(level.list, inner);
    this.#levels.pop();
    const body = [...level.list, ...level.steps, increment(counter, i32.const(step))];
    const innermost = this.#loopCount === before;
    const blocked = innermost && this.#running.some((r) => r.totals !== undefined);
    parent.list.push(set(counter, start ?? i32.const(0)), ...level.inits);
    const more = i32.ltU(get(counter), end);
    if (blocked && iterations !== undefined && iterations > SUM_BLOCK) {
      const stop = this.kit.run.local("i32");
      const next = i32.add(get(counter), i32.const(SUM_BLOCK * step));
      parent.list.push(doWhile(
        more,
        set(stop, next),
        set(stop, select(get(stop), end, i32.ltU(get(stop), end))),
        doWhile(i32.ltU(get(counter), get(stop)), ...body),
        ...this.#flush(),
      ));
    } else {
      const known = iterations !== undefined && iterations > 0;
      parent.list.push(known ? doWhile(more, ...body) : whileLoop(more, ...body));
      if (blocked) parent.list.push(...this.#flush());
    }
    return counter;
  }

  /** Adds running sums to their totals and clears them. */
  #flush(): Code[] {
    const out: Code[] = [];
    for (const { reducer, states, totals } of this.#running) {
      totals?.forEach((total, i) => {
        reducer.merge(total.map(get), states[i].map(get)).forEach((c, j) =>
          out.push(set(total[j], c))
        );
        reducer.start.forEach((c, j) => out.push(set(states[i][j], c)));
      });
    }
    return out;
  }

  #as(variant: Variant, inner: () => void): () => void {
    return () => {
      const saved = this.#variant;
      this.#variant = variant;
      inner();
      this.#variant = saved;
    };
  }

  #axisLoop(d: number, inner: () => void): void {
    const { sizes, copies, flat } = this.plan, step = 4 * copies;
    if (d === 0) {
      const begin = get(0), end = get(1);
      const main = this.kit.let(
        "i32",
        i32.sub(end, i32.and(i32.sub(end, begin), i32.const(step - 1))),
      );
      const whole = this.#as({ copies, limit: undefined }, inner);
      const counter = this.#countedLoop(begin, main, step, whole);
      const rest = this.kit.run.local("i32");
      const left = i32.sub(end, get(counter));
      const part = () => {
        this.kit.out.push(
          set(rest, left),
          set(
            rest,
            select(get(rest), i32.const(4), i32.ltU(get(rest), i32.const(4))),
          ),
        );
        this.#as({ copies: 1, limit: get(rest) }, inner)();
      };
      this.#countedLoop(get(counter), end, 4, part, undefined, counter);
      return;
    }
    const n = sizes[d];
    const iterations = flat ? 0 : Math.floor(n / step);
    const whole = this.#as({ copies, limit: undefined }, inner);
    if (iterations === 1) this.#fixed(0, whole);
    else if (iterations > 1) {
      this.#countedLoop(undefined, i32.const(iterations * step), step, whole, iterations);
    }
    const done = iterations * step, left = n - done;
    if (left === 0) return;
    const limit = left % 4 === 0 ? undefined : left % 4;
    this.#fixed(done, this.#as({ copies: Math.ceil(left / 4), limit }, inner));
  }

  // ---- rows

  #row(): void {
    const { plan } = this, { stores } = plan.kernel;
    const empty = plan.sizes.slice(plan.rank).includes(0);
    if (plan.flat) this.#levels.push(this.#level(this.#inner.list, undefined, 0, 1, true));
    if (plan.depth > plan.rank) {
      for (this.#stage = 0; this.#stage < plan.stageCount; this.#stage++) this.#pass(empty);
    }
    if (plan.flat) this.#levels.pop();
    const atRow = plan.depth === plan.rank ? stores : stores.filter((s) => s.level === "row");
    this.#write(atRow, plan.rank - 1);
  }

  /** One pass over the row: what is reduced and stored in this stage. */
  #pass(empty: boolean): void {
    const { plan, kit, machine } = this, { values, stores } = plan.kernel;
    const inRow = plan.axis >= plan.rank;
    const row = this.#levels[plan.rank];
    const reduced = values.flatMap((v, id) =>
      v.kind === "reduce" && plan.stage[v.arg] === this.#stage ? [id] : []
    );
    const mine = stores.filter((_, i) => plan.storeStage[i] === this.#stage);
    if (reduced.length === 0 && mine.length === 0) return;
    const chain = plan.sizes.slice(plan.rank).reduce((n, s) => n * s, 1) /
      (inRow ? 4 * plan.copies : 1);
    this.#running = reduced.map((id): Running => {
      const v = values[id] as Extract<Value, { kind: "reduce" }>;
      const reducer = machine.reducer(v.op, v.dtype);
      const count = inRow
        ? Math.min(4, this.#rowCopies())
        : plan.vary[v.arg]
        ? this.#variant.copies
        : 1;
      const fresh = () =>
        Array.from({ length: count }, () =>
          reducer.start.map((start) => {
            const local = kit.run.local(machine.type(v.dtype));
            row.list.push(set(local, start));
            return local;
          }));
      const long = v.op === "sum" && (v.dtype === "float32" || v.dtype === "float16" ||
        v.dtype === "bfloat16") &&
        chain > LONG_ROW;
      return { id, reducer, states: fresh(), ...(long ? { totals: fresh() } : {}) };
    });
    if (plan.spills.size > 0) {
      this.#scratch ??= kit.run.local("i32");
      row.list.push(set(this.#scratch, get(2)));
    }
    if (!empty) this.#passLoops(plan.rank, mine);
    kit.into(row.list, () => {
      for (const r of this.#running) this.#finish(r, inRow);
    });
    this.#running = [];
  }

  /** Vectors of the row that are handled side by side at most. */
  #rowCopies(): number {
    const { sizes, depth, copies } = this.plan;
    return Math.min(copies, Math.max(1, Math.ceil(sizes[depth - 1] / 4)));
  }

  #passLoops(d: number, stores: readonly Store[]): void {
    const { plan } = this;
    if (d === plan.depth) this.#point(stores);
    else if (plan.flat) {
      const limit = plan.sizes[d] % 4 === 0 ? undefined : plan.sizes[d] % 4;
      this.#as({ copies: plan.copies, limit }, () => this.#passLoops(d + 1, stores))();
    } else this.#loop(d, () => this.#passLoops(d + 1, stores));
  }

  /** What happens at one point of the row, or at a few vectors of points. */
  #point(stores: readonly Store[]): void {
    const { plan, kit, machine } = this, inRow = plan.axis >= plan.rank;
    const updates: [Running, number, Code][] = [];
    for (const r of this.#running) {
      const { arg } = plan.kernel.values[r.id] as Extract<Value, { kind: "reduce" }>;
      const copies = inRow || plan.vary[arg] ? this.#variant.copies : 1;
      for (let u = 0; u < copies; u++) {
        let x = this.#value(arg, u);
        const limit = inRow ? this.#limit(u) : undefined;
        if (limit !== undefined) {
          x = kit.vec(v128.bitselect(x, r.reducer.identity, this.#mask(limit)));
        }
        updates.push([r, u % r.states.length, x]);
      }
    }
    const list = this.#inner.list;
    kit.into(list, () => {
      for (const [{ reducer, states }, u, x] of updates) {
        reducer.step(states[u].map(get), x).forEach((c, j) => kit.out.push(set(states[u][j], c)));
      }
    });
    this.#write(stores, plan.depth - 1);
    if (plan.spills.size > 0) {
      const bytes = plan.spills.size * machine.slotBytes *
        (plan.axis < 0 ? 1 : this.#variant.copies);
      list.push(increment(this.#scratch!, i32.const(bytes)));
    }
  }

  #finish({ id, reducer, states, totals }: Running, inRow: boolean): void {
    const { plan, kit, machine } = this, { dtype } = plan.kernel.values[id];
    const memo = this.#levels[plan.rank].memo, type = machine.type(dtype);
    let parts = states.map((s) => s.map(get));
    if (totals !== undefined) {
      parts = parts.map((p, i) =>
        reducer.merge(totals[i].map(get), p).map((c) => kit.let(type, c))
      );
    }
    if (!inRow || machine.lanes === 1) {
      parts.forEach((p, u) =>
        memo.set(plan.vary[id] ? `${id}:${u}` : `${id}`, kit.let(type, reducer.finish(p, false)))
      );
      return;
    }
    while (parts.length > 1) {
      const half = Math.ceil(parts.length / 2);
      parts = parts.slice(0, half).map((p, i) =>
        i + half < parts.length ? reducer.merge(p, parts[i + half]).map((c) => kit.let(type, c)) : p
      );
    }
    memo.set(`${id}`, kit.let(type, reducer.finish(parts[0], true)));
  }

  /** Stores a few values at the level of loop `d`: everything is read and computed before anything is written. */
  #write(stores: readonly Store[], d: number): void {
    const { plan, kit, machine } = this;
    const perLane = plan.axis >= 0 && plan.axis <= d;
    const writes: (() => void)[] = [];
    for (const s of stores) {
      const { dtype } = plan.kernel.buffers[s.address.buffer];
      for (let u = 0; u < (perLane ? this.#variant.copies : 1); u++) {
        const value = this.#value(s.value, u);
        const limit = perLane ? this.#limit(u) : undefined;
        const place = this.#place(s.address, d, u, perLane, undefined);
        writes.push(() =>
          machine[s.mode === "add" ? "accumulate" : "store"](dtype, place, value, limit)
        );
      }
    }
    kit.into(this.#levels[d + 1].list, () => {
      for (const write of writes) write();
    });
  }

  // ---- values

  #limit(u: number): Limit {
    return u === this.#variant.copies - 1 ? this.#variant.limit : undefined;
  }

  /** All ones in the real lanes. */
  #mask(limit: Exclude<Limit, undefined>): Code {
    const { kit } = this;
    if (typeof limit === "number") {
      const lane = (l: number) => l < limit ? -1 : 0;
      return kit.lanes(lane(0), lane(1), lane(2), lane(3));
    }
    return this.#once(
      this.plan.axis,
      "mask",
      () => kit.vec(i32x4.ltS(kit.lanes(0, 1, 2, 3), i32x4.splat(limit))),
    );
  }

  /** Runs `make` in loop `d` once for each iteration of it, however often it is asked for. */
  #once(d: number, key: string, make: () => Code): Code {
    const level = this.#levels[d + 1];
    let code = level.memo.get(key);
    if (code === undefined) {
      this.kit.into(level.list, () => code = make());
      level.memo.set(key, code!);
    }
    return code!;
  }

  /** The value `id` of the vector `u` of this iteration, as the read of a local. */
  #value(id: number, u: number): Code {
    const { plan, machine, kit } = this, v = plan.kernel.values[id];
    if (v.kind === "const") return machine.constant(v.dtype, v.value);
    const copy = plan.vary[id] ? u : 0;
    const key = plan.vary[id] ? `${id}:${u}` : `${id}`;
    return this.#once(plan.home[id], key, () => {
      const spill = plan.spills.get(id), type = machine.type(v.dtype);
      const spot = () => ({
        pointer: get(this.#scratch!),
        offset: (spill!.slot * this.#variant.copies + copy) * machine.slotBytes,
      });
      if (spill !== undefined && spill.stage < this.#stage) {
        return kit.let(type, machine.unspill(v.dtype, spot()));
      }
      const local = kit.let(type, this.#compute(id, v, copy));
      if (spill !== undefined && spill.stage === this.#stage) machine.spill(v.dtype, spot(), local);
      return local;
    });
  }

  #compute(id: number, v: Value, u: number): Code {
    const { plan, machine } = this, d = plan.home[id];
    switch (v.kind) {
      case "load": {
        const varies = plan.vary[id];
        const place = this.#place(v.address, d, u, varies, varies ? this.#limit(u) : undefined);
        return machine.load(plan.kernel.buffers[v.address.buffer].dtype, place);
      }
      case "index": {
        const stride = plan.axis < 0 ? 0 : v.strides[plan.axis];
        return machine.ramp(v.dtype, plus(this.#position(id, v, d), 4 * u * stride), stride);
      }
      case "op":
        return this.#operation(id, v, u);
      case "const":
      case "reduce":
        throw new Error(`Cannot compute value ${id} here: a ${v.kind} of stage ${this.#stage}`);
    }
  }

  /** `offset + sum(strides * i)` of the loops up to `d`. */
  #position(id: number, v: Extract<Value, { kind: "index" }>, d: number): Code {
    if (d < 0) return i32.const(v.offset);
    const stride = v.strides[d], level = this.#levels[d + 1];
    if (stride === 0) return this.#position(id, v, d - 1);
    return this.#once(d, `position ${id}`, () => {
      const base = this.#position(id, v, d - 1);
      return level.at === undefined
        ? this.kit.let("i32", plus(base, level.fixed * stride))
        : this.kit.let("i32", i32.add(base, times(get(level.at), stride)));
    });
  }

  #operation(id: number, v: Extract<Value, { kind: "op" }>, u: number): Code {
    const { plan, machine } = this, { values } = plan.kernel;
    if (v.op === "add" || v.op === "sub") {
      const fused = this.#fused(id, v, u);
      if (fused !== undefined) return fused;
    }
    const args = v.args.map((a) => this.#value(a, u));
    const known = v.args.map((a) => {
      const x = values[a];
      return x.kind === "const" ? x.value : undefined;
    });
    const operand = values[v.args[v.op === "where" ? 1 : 0]].dtype;
    return machine.op(v.op, { operand, result: v.dtype, known }, args);
  }

  /** A product that is used only in this sum becomes part of one instruction. */
  #fused(id: number, v: Extract<Value, { kind: "op" }>, u: number): Code | undefined {
    const { plan, machine } = this, { values } = plan.kernel;
    if (machine.fused === undefined) return undefined;
    const [first, second] = v.args;
    const candidates: [number, number][] = v.op === "add"
      ? [[second, first], [first, second]]
      : [[second, first]];
    for (const [product, other] of candidates) {
      const p = values[product];
      const fits = p.kind === "op" && p.op === "mul" && plan.uses[product] === 1 &&
        plan.home[product] === plan.home[id] && plan.vary[product] === plan.vary[id] &&
        p.dtype === v.dtype && !plan.spills.has(product);
      if (!fits) continue;
      const [a, b, c] = [p.args[0], p.args[1], other].map((x) => this.#value(x, u));
      const code = machine.fused(v.dtype, v.op === "sub", a, b, c);
      if (code !== undefined) return code;
    }
    return undefined;
  }

  // ---- addresses

  /** Where element 0 of the inner loops lies, inside loop `d`; without dynamic terms that differ between lanes. */
  #base(a: Address, d: number, folded: boolean = foldsOffset(a)): Spot {
    const { plan, kit } = this;
    const level = this.#levels[d + 1];
    const uniform = a.dynamic.filter((t) => !plan.vary[t.value]);
    const dynamicHome = Math.max(-2, ...uniform.map((t) => plan.home[t.value]));
    const moved = uniform.length > 0 && d >= dynamicHome;
    const bytes = elementBytes(plan.kernel, a);
    const key = `${a.buffer} ${a.strides}${folded ? `@${a.offset}` : ""}` +
      (moved ? uniform.map((t) => ` ${t.value}*${t.stride}<${t.size}`).join("") : "");
    const found = level.pointers.get(key);
    if (found !== undefined) return found;
    const make = (): Spot => {
      if (moved && d === dynamicHome) {
        const base = this.#base({ ...a, dynamic: [] }, d, folded);
        let at = base.pointer;
        for (const t of uniform) {
          const index = this.#checked(t.value, t.size);
          at = i32.add(at, times(index, t.stride * bytes));
        }
        const local = kit.run.local("i32");
        level.list.push(set(local, at));
        return { pointer: get(local), offset: base.offset };
      }
      if (d < 0) {
        const pointer = get(3 + a.buffer);
        if (!folded || a.offset === 0) return { pointer, offset: 0 };
        const local = kit.run.local("i32");
        level.list.push(set(local, plus(pointer, a.offset * bytes)));
        return { pointer: get(local), offset: 0 };
      }
      const parent = this.#base(a, d - 1, folded), stride = a.strides[d] * bytes;
      if (stride === 0) return parent;
      if (level.at === undefined) {
        return { pointer: parent.pointer, offset: parent.offset + level.fixed * stride };
      }
      const local = kit.run.local("i32");
      const start = level.startsAtZero
        ? parent.pointer
        : i32.add(parent.pointer, times(get(level.at), stride));
      level.inits.push(set(local, start));
      level.steps.push(increment(local, i32.const(level.step * stride)));
      return { pointer: get(local), offset: parent.offset };
    };
    const spot = make();
    level.pointers.set(key, spot);
    return spot;
  }

  /** The same with the constant part of the address. */
  #pointer(a: Address, d: number): Spot {
    const base = this.#base(a, d);
    if (foldsOffset(a)) return base;
    return {
      pointer: base.pointer,
      offset: base.offset + a.offset * elementBytes(this.plan.kernel, a),
    };
  }

  /** A computed index that is the same in all lanes, as a scalar in range. */
  #checked(id: number, size: number): Code {
    const { plan, kit, machine } = this, { dtype } = plan.kernel.values[id];
    return this.#once(plan.home[id], `checked ${id} ${size}`, () => {
      const value = this.#value(id, 0), local = kit.run.local("i32");
      kit.out.push(
        set(local, machine.lane(dtype, value, 0)),
        ifElse(
          i32.geU(get(local), i32.const(size)),
          seq(call(this.#report(), get(local), i32.const(size)), set(local, i32.const(0))),
        ),
      );
      return get(local);
    });
  }

  /** A computed index that differs between lanes, in range in every lane. */
  #checkedLanes(id: number, size: number, u: number, limit: Limit): Code {
    const { plan, kit } = this;
    return this.#once(plan.home[id], `checked ${id}:${u} ${size}`, () => {
      const value = this.#value(id, u), local = kit.run.local("v128");
      const real = limit === undefined ? value : v128.and(value, this.#mask(limit));
      const bad: Code = i32x4.geU(get(local), kit.i(size));
      const report = this.#report();
      kit.out.push(
        set(local, real),
        ifElse(
          v128.anyTrue(bad),
          seq(
            ...[0, 1, 2, 3].map((lane) =>
              ifElse(
                i32x4.extractLane(lane, bad),
                call(report, i32x4.extractLane(lane, get(local)), i32.const(size)),
              )
            ),
            set(local, v128.andnot(get(local), bad)),
          ),
        ),
      );
      return get(local);
    });
  }

  #report() {
    return this.kit.helper("report", ["i32", "i32"], [], (f) => {
      const zero = i32.const(0);
      f.emit(
        i32.store(zero, get(0), INDEX_ERROR.index),
        i32.store(zero, get(1), INDEX_ERROR.size),
        i32.store(zero, i32.const(1), INDEX_ERROR.flag),
      );
    });
  }

  /**
   * Where vector `u` of an access lies. With `perLane` each lane is a point of its own; with a `limit` lanes beyond it get the address
   * of the last real one, so that nothing outside is touched.
   */
  #place(a: Address, d: number, u: number, perLane: boolean, limit: Limit): Place {
    const { plan, kit, machine } = this, bytes = elementBytes(plan.kernel, a);
    const base = this.#pointer(a, d);
    const stride = plan.axis < 0 || plan.axis > d ? 0 : a.strides[plan.axis];
    const at = (pointer: Code, offset: number): Spot =>
      offset >= 0 ? { pointer, offset } : { pointer: plus(pointer, offset), offset: 0 };
    const first = base.offset + 4 * u * stride * bytes;
    const moving = a.dynamic.filter((t) => plan.vary[t.value]);
    if (!perLane || machine.lanes === 1) return { kind: "same", spot: at(base.pointer, first) };
    if (stride === 1 && moving.length === 0) {
      return { kind: "vector", spot: at(base.pointer, first) };
    }
    const indices = moving.map((t) => ({
      stride: t.stride * bytes,
      lanes: this.#checkedLanes(t.value, t.size, u, this.#limit(u)),
    }));
    const spots = [0, 1, 2, 3].map((lane): Spot => {
      let pointer = base.pointer, offset = first;
      if (typeof limit === "number") offset += Math.min(lane, limit - 1) * stride * bytes;
      else if (typeof limit === "function" && lane > 0 && stride !== 0) {
        const clamped = this.#once(plan.axis, `lane ${lane}`, () =>
          kit.let(
            "i32",
            select(
              i32.const(lane),
              i32.sub(limit, i32.const(1)),
              i32.ltU(i32.const(lane), limit),
            ),
          ));
        pointer = i32.add(pointer, times(clamped, stride * bytes));
      } else offset += lane * stride * bytes;
      for (const index of indices) {
        pointer = i32.add(pointer, times(i32x4.extractLane(lane, index.lanes), index.stride));
      }
      return at(pointer, offset);
    });
    return { kind: "lanes", spots };
  }
}
