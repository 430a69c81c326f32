/** Writes the loops of a kernel: the outer ones, and inside them the passes over a row. */
import type { Store, Value } from "../../kernel.ts";
import type { Code, Local } from "./assembler.ts";
import { Frame, type Level, newLevel } from "./frame.ts";
import { doWhile, get, i32, increment, select, set, v128, whileLoop } from "./instructions.ts";
import type { Kit } from "./kit.ts";
import type { Plan } from "./lower_plan.ts";
import { Values } from "./lower_values.ts";
import type { Machine, Reducer } from "./machine.ts";

/** Iterations after which a running float sum is added to a total, so that errors do not pile up over long rows. */
const SUM_BLOCK = 512;
/** Rows of at least this many iterations are summed in blocks. */
const LONG_ROW = 1024;

/** A reduction under way: locals of its state for each accumulator. */
interface Running {
  readonly id: number;
  readonly reducer: Reducer;
  readonly states: Local[][];
  readonly totals?: Local[][];
}

/** The code generator of one kernel. */
export class Loops {
  readonly #root: Code[] = [];
  readonly frame: Frame;
  readonly values: Values;
  #running: Running[] = [];
  /** Loops written so far, by which a loop knows that none is inside it. */
  #loopCount = 0;

  constructor(readonly kit: Kit, readonly machine: Machine, readonly plan: Plan) {
    this.frame = new Frame(kit, plan);
    this.values = new Values(kit, machine, plan, this.frame);
  }

  /** The statements of the whole kernel. */
  code(): Code[] {
    const { sizes, rank } = this.plan;
    if (sizes.slice(1, rank).includes(0)) return [];
    this.frame.levels.push(this.#fixedLevel(this.#root, 0));
    this.kit.into(this.#root, () => this.#nest(0));
    return this.#root;
  }

  #fixedLevel(list: Code[], fixed: number): Level {
    return newLevel({ list, at: undefined, fixed, step: 1, startsAtZero: true });
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
    this.frame.levels.push(this.#fixedLevel(this.frame.inner.list, position));
    inner();
    this.frame.levels.pop();
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
    const parent = this.frame.inner;
    const level = newLevel({
      list: [],
      at: counter,
      fixed: 0,
      step,
      startsAtZero: start === undefined,
    });
    const before = ++this.#loopCount;
    this.frame.levels.push(level);
    this.kit.into(level.list, inner);
    this.frame.levels.pop();
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

  /** Vectors that one iteration of the axis loop `d` handles. */
  #copies(d: number): number {
    const { rank, copies, passCopies } = this.plan;
    return d >= rank ? passCopies[this.frame.stage] : copies;
  }

  #axisLoop(d: number, inner: () => void): void {
    const { sizes, flat } = this.plan, copies = this.#copies(d), step = 4 * copies;
    if (d === 0) {
      const begin = get(0), end = get(1);
      const main = this.kit.let(
        "i32",
        i32.sub(end, i32.and(i32.sub(end, begin), i32.const(step - 1))),
      );
      const whole = this.frame.as({ copies, limit: undefined }, inner);
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
        this.frame.as({ copies: 1, limit: get(rest) }, inner)();
      };
      this.#countedLoop(get(counter), end, 4, part, undefined, counter);
      return;
    }
    const n = sizes[d];
    const iterations = flat ? 0 : Math.floor(n / step);
    const whole = this.frame.as({ copies, limit: undefined }, inner);
    if (iterations === 1) this.#fixed(0, whole);
    else if (iterations > 1) {
      this.#countedLoop(undefined, i32.const(iterations * step), step, whole, iterations);
    }
    const done = iterations * step, left = n - done;
    if (left === 0) return;
    const limit = left % 4 === 0 ? undefined : left % 4;
    this.#fixed(done, this.frame.as({ copies: Math.ceil(left / 4), limit }, inner));
  }

  // ---- rows

  #row(): void {
    const { plan } = this, { stores } = plan.kernel;
    const empty = plan.sizes.slice(plan.rank).includes(0);
    if (plan.flat) this.frame.levels.push(this.#fixedLevel(this.frame.inner.list, 0));
    if (plan.depth > plan.rank) {
      for (this.frame.stage = 0; this.frame.stage < plan.stageCount; this.frame.stage++) {
        this.#pass(empty);
      }
    }
    if (plan.flat) this.frame.levels.pop();
    const atRow = plan.depth === plan.rank ? stores : stores.filter((s) => s.level === "row");
    this.#write(atRow, plan.rank - 1);
  }

  /** One pass over the row: what is reduced and stored in this stage. */
  #pass(empty: boolean): void {
    const { plan, kit, machine } = this, { values, stores } = plan.kernel;
    const inRow = plan.axis >= plan.rank;
    const row = this.frame.levels[plan.rank];
    const reduced = values.flatMap((v, id) =>
      v.kind === "reduce" && plan.pass[id] === this.frame.stage ? [id] : []
    );
    const mine = stores.filter((_, i) => plan.storeStage[i] === this.frame.stage);
    if (reduced.length === 0 && mine.length === 0) return;
    const chain = plan.sizes.slice(plan.rank).reduce((n, s) => n * s, 1) /
      (inRow ? 4 * this.#copies(plan.depth - 1) : 1);
    this.#running = reduced.map((id): Running => {
      const v = values[id] as Extract<Value, { kind: "reduce" }>;
      const reducer = machine.reducer(v.op, v.dtype);
      const count = inRow
        ? Math.min(4, this.#rowCopies())
        : plan.vary[v.arg]
        ? this.frame.variant.copies
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
      this.frame.scratch ??= kit.run.local("i32");
      row.list.push(set(this.frame.scratch, get(2)));
    }
    if (!empty) this.#passLoops(plan.rank, mine);
    kit.into(row.list, () => {
      for (const r of this.#running) this.#finish(r, inRow);
    });
    this.#running = [];
  }

  /** Vectors of the row that are handled side by side at most. */
  #rowCopies(): number {
    const { sizes, depth } = this.plan;
    return Math.min(this.#copies(depth - 1), Math.max(1, Math.ceil(sizes[depth - 1] / 4)));
  }

  #passLoops(d: number, stores: readonly Store[]): void {
    const { plan } = this;
    if (d === plan.depth) this.#point(stores);
    else if (plan.flat) {
      const limit = plan.sizes[d] % 4 === 0 ? undefined : plan.sizes[d] % 4;
      this.frame.as({ copies: plan.copies, limit }, () => this.#passLoops(d + 1, stores))();
    } else this.#loop(d, () => this.#passLoops(d + 1, stores));
  }

  /** What happens at one point of the row, or at a few vectors of points. */
  #point(stores: readonly Store[]): void {
    const { plan, kit, machine } = this, inRow = plan.axis >= plan.rank;
    const updates: [Running, number, Code][] = [];
    const products: [Running, number, Code][] = [];
    for (const r of this.#running) {
      const { arg } = plan.kernel.values[r.id] as Extract<Value, { kind: "reduce" }>;
      const copies = inRow || plan.vary[arg] ? this.frame.variant.copies : 1;
      for (let u = 0; u < copies; u++) {
        const state = u % r.states.length;
        const fused = inRow && this.frame.limit(u) !== undefined
          ? undefined
          : this.values.fusedSum(r.id, u, get(r.states[state][0]));
        if (fused !== undefined) {
          products.push([r, state, fused]);
          continue;
        }
        let x = this.values.value(arg, u);
        const limit = inRow ? this.frame.limit(u) : undefined;
        if (limit !== undefined) {
          x = kit.vec(v128.bitselect(x, r.reducer.identity, this.frame.mask(limit)));
        }
        updates.push([r, u % r.states.length, x]);
      }
    }
    const list = this.frame.inner.list;
    kit.into(list, () => {
      for (const [{ states }, u, sum] of products) kit.out.push(set(states[u][0], sum));
      for (const [{ reducer, states }, u, x] of updates) {
        reducer.step(states[u].map(get), x).forEach((c, j) => kit.out.push(set(states[u][j], c)));
      }
    });
    this.#write(stores, plan.depth - 1);
    if (plan.spills.size > 0) {
      const bytes = plan.spills.size * machine.slotBytes *
        (plan.axis < 0 ? 1 : this.frame.variant.copies);
      list.push(increment(this.frame.scratch!, i32.const(bytes)));
    }
  }

  #finish({ id, reducer, states, totals }: Running, inRow: boolean): void {
    const { plan, kit, machine } = this, { dtype } = plan.kernel.values[id];
    const memo = this.frame.levels[plan.rank].memo, type = machine.type(dtype);
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

  /**
   * Stores a few values at the level of loop `d`. What the kernel also reads is written after everything has been read; the rest at once, vector by
   * vector, so that few values are alive at a time.
   */
  #write(stores: readonly Store[], d: number): void {
    const { plan, kit, machine } = this;
    const perLane = plan.axis >= 0 && plan.axis <= d;
    const { list } = this.frame.levels[d + 1];
    const late: (() => void)[] = [];
    for (let u = 0; u < (perLane ? this.frame.variant.copies : 1); u++) {
      for (const s of stores) {
        const { dtype, access } = plan.kernel.buffers[s.address.buffer];
        const value = this.values.value(s.value, u);
        const limit = perLane ? this.frame.limit(u) : undefined;
        const place = this.values.addresses.place(s.address, d, u, perLane, undefined);
        const write = () =>
          machine[s.mode === "add" ? "accumulate" : "store"](dtype, place, value, limit);
        if (access === "write") kit.into(list, write);
        else late.push(write);
      }
    }
    kit.into(list, () => {
      for (const write of late) write();
    });
  }
}
