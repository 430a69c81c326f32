/** Addresses: pointers that step along with the loops, computed indices in range, and the place of each lane. */
import type { Address } from "../../kernel.ts";
import type { Code, FuncRef } from "./assembler.ts";
import { type Frame, plus, times } from "./frame.ts";
import {
  call,
  get,
  i32,
  i32x4,
  ifElse,
  increment,
  select,
  seq,
  set,
  v128,
} from "./instructions.ts";
import type { Kit } from "./kit.ts";
import { elementBytes, type Plan } from "./lower_plan.ts";
import type { Limit, Machine, Place, Spot } from "./machine.ts";

/** Where an index out of range is left, as byte addresses. */
const INDEX_ERROR = { flag: 16, index: 20, size: 24 };

/**
 * Whether the offset of an address must be in its pointer: the constant part of an instruction's address is added without wrapping
 * round, so it could not bring back a pointer that was below zero.
 */
const foldsOffset = (a: Address): boolean =>
  a.offset < 0 || a.strides.some((s) => s < 0) || a.dynamic.some((t) => t.stride < 0);

/** Writes the addresses of one kernel. */
export class Addresses {
  /** @param value Reads a value of the kernel, for vector `u` */
  constructor(
    readonly kit: Kit,
    readonly machine: Machine,
    readonly plan: Plan,
    readonly frame: Frame,
    readonly value: (id: number, u: number) => Code,
  ) {}

  /** Where element 0 of the inner loops lies, inside loop `d`; without dynamic terms that differ between lanes. */
  #base(a: Address, d: number, folded: boolean = foldsOffset(a)): Spot {
    const { plan, kit } = this;
    const level = this.frame.levels[d + 1];
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
    return this.frame.once(plan.home[id], `checked ${id} ${size}`, () => {
      const value = this.value(id, 0), local = kit.run.local("i32");
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
    return this.frame.once(plan.home[id], `checked ${id}:${u} ${size}`, () => {
      const value = this.value(id, u), local = kit.run.local("v128");
      const real = limit === undefined ? value : v128.and(value, this.frame.mask(limit));
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

  #report(): FuncRef {
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
  place(a: Address, d: number, u: number, perLane: boolean, limit: Limit): Place {
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
      lanes: this.#checkedLanes(t.value, t.size, u, this.frame.limit(u)),
    }));
    const spots = [0, 1, 2, 3].map((lane): Spot => {
      let pointer = base.pointer, offset = first;
      if (typeof limit === "number") offset += Math.min(lane, limit - 1) * stride * bytes;
      else if (typeof limit === "function" && lane > 0 && stride !== 0) {
        const clamped = this.frame.once(plan.axis, `lane ${lane}`, () =>
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
