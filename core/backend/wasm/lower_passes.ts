/** What each pass over a row computes: the reductions it adds up, and the values it leaves in scratch memory for later ones. */
import type { Kernel, Value } from "../../kernel.ts";
import { ops } from "../../ops.ts";

/** A full value dearer than this is kept in scratch memory for later passes. */
const spillCost = 5;

/** Cost of a gather or scatter of four lanes, in additions. */
export const gatherCost = 6;

/** Values that a value is computed from. */
export function argsOf(v: Value): readonly number[] {
  return v.kind === "op"
    ? v.args
    : v.kind === "reduce"
    ? [v.arg]
    : v.kind === "load"
    ? v.address.dynamic.map((t) => t.value)
    : [];
}

/** Values that a store needs. */
export const storeArgs = (s: Kernel["stores"][number]): number[] => [
  s.value,
  ...s.address.dynamic.map((t) => t.value),
];

/**
 * The pass of each reduction: the one, of those between its inputs and its readers, that computes most of what it needs anyway. So the
 * two sums in the gradient of a norm share one walk.
 */
export function choosePasses(
  kernel: Kernel,
  p: Omit<PassFacts, "pass"> & { readonly stage: readonly number[] },
  stageCount: number,
): number[] {
  const { values, stores } = kernel;
  const pass = values.map((v) => v.kind === "reduce" ? p.stage[v.arg] : -1);
  /** The first pass that reads each value. */
  const read = values.map(() => stageCount);
  const readBy = (ids: readonly number[], at: number) => {
    for (const id of ids) read[id] = Math.min(read[id], at);
  };
  stores.forEach((s, i) =>
    readBy(storeArgs(s), p.storeStage[i] < 0 ? stageCount : p.storeStage[i])
  );
  for (let id = values.length - 1; id >= 0; id--) {
    const v = values[id];
    if (v.kind !== "reduce") {
      readBy(argsOf(v), read[id]);
      continue;
    }
    let least = Infinity, best = pass[id];
    for (let i = p.stage[v.arg]; i < read[id]; i++) {
      const others = pass.with(id, -1);
      const extra = passWork(kernel, { ...p, pass: pass.with(id, i) }, i) -
        passWork(kernel, { ...p, pass: others }, i);
      if (extra < least) [least, best] = [extra, i];
    }
    pass[id] = best;
    readBy([v.arg], best);
  }
  return pass;
}

/** What one pass is told to do. */
interface PassFacts {
  /** For each value, whether it differs along the row. */
  readonly full: readonly boolean[];
  /** For each reduction, the pass that adds it up. */
  readonly pass: readonly number[];
  /** For each store, its pass. */
  readonly storeStage: readonly number[];
}

/** For each value, how many values and stores use it in one pass; full values that the pass does not need have none. */
export function usesIn(kernel: Kernel, p: PassFacts, pass: number): number[] {
  const uses = kernel.values.map(() => 0);
  const use = (id: number): void => {
    if (++uses[id] === 1 && p.full[id]) argsOf(kernel.values[id]).forEach(use);
  };
  kernel.values.forEach((v, id) => {
    if (v.kind === "reduce" && p.pass[id] === pass) use(v.arg);
  });
  kernel.stores.forEach((s, i) => {
    if (p.storeStage[i] === pass) storeArgs(s).forEach(use);
  });
  return uses;
}

/** Work at one point of the row in one pass. */
export function passWork(kernel: Kernel, p: PassFacts, pass: number): number {
  const own = (v: Value) => v.kind === "op" ? ops[v.op].cost : v.kind === "const" ? 0 : 1;
  const ends = kernel.values.filter((v, id) => v.kind === "reduce" && p.pass[id] === pass).length +
    p.storeStage.filter((s) => s === pass).length;
  return usesIn(kernel, p, pass).reduce(
    (sum, n, id) => n > 0 && p.full[id] ? sum + own(kernel.values[id]) : sum,
    ends,
  );
}

/** Full values worth keeping between passes, each with the pass that computes it. */
export function chooseSpills(
  p: PassFacts & { kernel: Kernel; home: readonly number[]; depth: number; stageCount: number },
): { value: number; stage: number }[] {
  const { kernel, full, pass, home, depth } = p;
  const computedIn = new Map<number, number>();
  const kept = new Map<number, number>();
  const subtree = (id: number, seen: Set<number>): number => {
    if (!full[id] || seen.has(id)) return 0;
    seen.add(id);
    if (kept.has(id)) return 1;
    const v = kernel.values[id];
    const self = v.kind === "op"
      ? ops[v.op].cost
      : v.kind === "load" && v.address.dynamic.length > 0
      ? gatherCost
      : 1;
    return argsOf(v).reduce((sum, a) => sum + subtree(a, seen), self);
  };
  for (let s = 0; s < p.stageCount; s++) {
    const visit = (id: number) => {
      if (!full[id]) return;
      const first = computedIn.get(id);
      if (first === s || kept.has(id)) return;
      if (first === undefined) computedIn.set(id, s);
      else if (home[id] === depth - 1 && subtree(id, new Set()) > spillCost) {
        kept.set(id, first);
        return;
      }
      for (const a of argsOf(kernel.values[id])) visit(a);
    };
    kernel.values.forEach((v, id) => {
      if (v.kind === "reduce" && pass[id] === s) visit(v.arg);
    });
    kernel.stores.forEach((st, i) => {
      if (p.storeStage[i] === s) { for (const a of storeArgs(st)) visit(a); }
    });
  }
  return [...kept].map(([value, stage]) => ({ value, stage }));
}
