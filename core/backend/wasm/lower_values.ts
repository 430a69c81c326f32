/** Values: each is computed once, in the outermost loop that it allows, or read back from scratch memory. */
import type { Value } from "../../kernel.ts";
import type { Code } from "./assembler.ts";
import { type Frame, plus, times } from "./frame.ts";
import { get, i32 } from "./instructions.ts";
import type { Kit } from "./kit.ts";
import { Addresses } from "./lower_address.ts";
import type { Plan } from "./lower_plan.ts";
import type { Machine } from "./machine.ts";
import { plainContext } from "./table.ts";

/** Writes the values of one kernel. */
export class Values {
  /** Where loads and stores lie. */
  readonly addresses: Addresses;

  constructor(
    readonly kit: Kit,
    readonly machine: Machine,
    readonly plan: Plan,
    readonly frame: Frame,
  ) {
    this.addresses = new Addresses(kit, machine, plan, frame, (id, u) => this.value(id, u));
  }

  /** The value `id` of the vector `u` of this iteration, as the read of a local. */
  value(id: number, u: number): Code {
    const { plan, machine, kit } = this, v = plan.kernel.values[id];
    if (v.kind === "const") return machine.constant(v.dtype, v.value);
    const copy = plan.vary[id] ? u : 0;
    const key = plan.vary[id] ? `${id}:${u}` : `${id}`;
    return this.frame.once(plan.home[id], key, () => {
      const spill = plan.spills.get(id), type = machine.type(v.dtype);
      const spot = () => ({
        pointer: get(this.frame.scratch!),
        offset: (spill!.slot * this.frame.variant.copies + copy) * machine.slotBytes,
      });
      if (spill !== undefined && spill.stage < this.frame.stage) {
        return kit.let(type, machine.unspill(v.dtype, spot()));
      }
      const local = kit.let(type, this.#compute(id, v, copy));
      if (spill !== undefined && spill.stage === this.frame.stage) {
        machine.spill(v.dtype, spot(), local);
      }
      return local;
    });
  }

  #compute(id: number, v: Value, u: number): Code {
    const { plan, machine } = this, d = plan.home[id];
    switch (v.kind) {
      case "load": {
        const varies = plan.vary[id];
        const place = this.addresses.place(
          v.address,
          d,
          u,
          varies,
          varies ? this.frame.limit(u) : undefined,
        );
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
        throw new Error(
          `Cannot compute value ${id} here: a ${v.kind} of stage ${this.frame.stage}`,
        );
    }
  }

  /** `offset + sum(strides * i)` of the loops up to `d`. */
  #position(id: number, v: Extract<Value, { kind: "index" }>, d: number): Code {
    if (d < 0) return i32.const(v.offset);
    const stride = v.strides[d], level = this.frame.levels[d + 1];
    if (stride === 0) return this.#position(id, v, d - 1);
    return this.frame.once(d, `position ${id}`, () => {
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
    const args = v.args.map((a) => this.value(a, u));
    const known = v.args.map((a) => {
      const x = values[a];
      return x.kind === "const" ? x.value : undefined;
    });
    const operand = values[v.args[v.op === "where" ? 1 : 0]].dtype;
    const hoist = (operands: readonly number[], key: string, make: () => Code): Code => {
      const ids = operands.map((i) => v.args[i]);
      if (ids.some((a) => plan.vary[a])) return make();
      const d = Math.max(-1, ...ids.map((a) => plan.home[a]));
      const type = machine.type(values[ids[0]].dtype);
      return this.frame.once(d, `${key} ${ids}`, () => this.kit.let(type, make()));
    };
    const narrow = v.dtype === "float16" || v.dtype === "bfloat16";
    const result = v.op === "cast" && narrow && plan.rounded[id] ? "float32" : v.dtype;
    return machine.op(v.op, { operand, result, known, hoist }, args);
  }

  /** How many values and stores use a value where it is being written: in this pass, or in the whole kernel. */
  #uses(id: number): number {
    const { depth, rank, flat, full, uses, passUses } = this.plan;
    return depth > rank && !flat && full[id] ? passUses[this.frame.stage][id] : uses[id];
  }

  /** A running sum of float32 products that nobody else uses, one product further; undefined where that is no single instruction. */
  fusedSum(id: number, u: number, sum: Code): Code | undefined {
    const { plan, machine } = this, v = plan.kernel.values[id];
    if (v.kind !== "reduce" || v.op !== "sum" || machine.fused === undefined) return undefined;
    const p = plan.kernel.values[v.arg];
    const fits = p.kind === "op" && p.op === "mul" && p.dtype === v.dtype &&
      this.#uses(v.arg) === 1 && !plan.spills.has(v.arg);
    if (!fits) return undefined;
    const [a, b] = p.args.map((x) => this.value(x, u));
    return machine.fused(v.dtype, false, a, b, sum);
  }

  /** The negative of a value of an outer loop, for vector `u`, computed there. */
  #negative(id: number, u: number): Code {
    const { plan, machine, kit } = this, { dtype } = plan.kernel.values[id];
    const copy = plan.vary[id] ? u : 0;
    return this.frame.once(plan.home[id], `negative ${id}:${copy}`, () =>
      kit.let(
        machine.type(dtype),
        machine.op("neg", plainContext(dtype), [this.value(id, copy)]),
      ));
  }

  /** A product that is used only in this sum becomes part of one instruction. */
  #fused(id: number, v: Extract<Value, { kind: "op" }>, u: number): Code | undefined {
    const { plan, machine } = this, { values } = plan.kernel;
    if (machine.fused === undefined) return undefined;
    const [first, second] = v.args;
    for (const [product, other] of [[second, first], [first, second]]) {
      const p = values[product];
      const fits = p.kind === "op" && p.op === "mul" && this.#uses(product) === 1 &&
        plan.home[product] === plan.home[id] && plan.vary[product] === plan.vary[id] &&
        p.dtype === v.dtype && !plan.spills.has(product);
      if (!fits) continue;
      const ahead = v.op === "sub" && product === first;
      // Of `a * b - c` there is no instruction, but `-c` may be at hand.
      if (ahead && plan.home[other] >= plan.home[id]) continue;
      const [a, b] = p.args.map((x) => this.value(x, u));
      const c = ahead ? this.#negative(other, u) : this.value(other, u);
      const code = machine.fused(v.dtype, v.op === "sub" && !ahead, a, b, c);
      if (code !== undefined) return code;
    }
    return undefined;
  }
}
