/** Decisions about a row: how many passes, what happens in which, what stays in registers between them. */
import { dtypes } from "../../dtype.ts";
import type { Kernel, Store } from "../../kernel.ts";
import { ops } from "../../ops.ts";
import type { Body, Kept } from "./print_body.ts";
import { argsOf, product, type Schedule } from "./print_schedule.ts";

/** The passes over a row. */
export interface RowPlan {
  /** Accesses of `width` elements that a row takes. */
  readonly vectors: number;
  /** Those that one thread does. */
  readonly steps: number;
  /** The steps are written out, so that arrays indexed by them are registers. */
  readonly unrolled: boolean;
  /** Number of passes. */
  readonly stages: number;
  /** For each store, its pass; -1 for those at the row level. */
  readonly storeStage: readonly number[];
}

/** Steps that are written out at most. */
const UNROLLED_STEPS = 8;
/** Registers that values kept between stages, or sums of columns, may take. */
const KEPT_REGISTERS = 64;
/** Values that take more additions than this are kept rather than computed again. */
const KEEP_COST = 3;

/** Values that a store needs. */
export const storeArgs = (s: Store): number[] => [
  s.value,
  ...s.address.dynamic.map((t) => t.value),
];

/** Plans the passes of a kernel. */
export function rowPlan(kernel: Kernel, schedule: Schedule, body: Body): RowPlan {
  const { values, stores } = kernel, { stage } = body;
  const own = (s: Store) => Math.max(...storeArgs(s).map((a) => stage[a]));
  const stages = Math.max(
    0,
    ...values.map((v) => v.kind === "reduce" ? stage[v.arg] + 1 : 0),
    ...stores.map((s) => s.level === "full" ? own(s) + 1 : 0),
  );
  // What is also read may be needed again in a later pass, so it is overwritten in the last.
  const storeStage = stores.map((s) =>
    s.level === "row"
      ? -1
      : kernel.buffers[s.address.buffer].access === "both"
      ? stages - 1
      : own(s)
  );
  const vectors = product(kernel.reduce) / schedule.width;
  const steps = Math.ceil(vectors / schedule.team);
  const unrolled = !schedule.split && steps > 0 && steps <= UNROLLED_STEPS;
  return { vectors, steps, unrolled, stages, storeStage };
}

/** Registers that an array of one element for each point of a thread takes. */
const registers = (kernel: Kernel, schedule: Schedule, plan: RowPlan, id: number) =>
  plan.steps * schedule.width * (dtypes[kernel.values[id].dtype].bytes === 8 ? 2 : 1);

/** Stores that add to one element of the row over all rows: each thread sums its own columns first. */
export function gatheredStores(kernel: Kernel, schedule: Schedule, plan: RowPlan): Store[] {
  if (schedule.kind !== "rows" || !plan.unrolled) return [];
  let room = KEPT_REGISTERS;
  return kernel.stores.filter((s) => {
    const fits = s.level === "full" && s.mode === "add" && s.address.dynamic.length === 0 &&
      s.address.strides.slice(0, kernel.outer.length).every((x) => x === 0) &&
      kernel.buffers[s.address.buffer].dtype !== "bool";
    if (!fits) return false;
    const need = registers(kernel, schedule, plan, s.value);
    if (need > room) return false;
    room -= need;
    return true;
  });
}

/** Full values that later passes need and that are dearer to compute than to keep. */
export function chooseKept(
  kernel: Kernel,
  body: Body,
  plan: RowPlan,
  gathered: readonly Store[],
): Map<number, Kept> {
  const kept = new Map<number, Kept>(), { schedule, full, stage } = body;
  if (!plan.unrolled) return kept;
  let room = KEPT_REGISTERS -
    gathered.reduce((sum, s) => sum + registers(kernel, schedule, plan, s.value), 0);
  const computed = new Map<number, number>();
  const cost = (id: number, seen: Set<number>): number => {
    if (!full[id] || seen.has(id) || kept.has(id)) return 0;
    seen.add(id);
    const v = kernel.values[id];
    const self = v.kind === "op" ? ops[v.op].cost : v.kind === "load" ? KEEP_COST + 1 : 1;
    return argsOf(v).reduce((sum, a) => sum + cost(a, seen), self);
  };
  for (let now = 0; now < plan.stages; now++) {
    const visit = (id: number): void => {
      if (!full[id] || kept.has(id)) return;
      const first = computed.get(id);
      if (first === now) return;
      if (first === undefined) computed.set(id, now);
      else if (cost(id, new Set()) > KEEP_COST) {
        const need = registers(kernel, schedule, plan, id);
        if (need <= room) {
          room -= need;
          const at = body.level(id) === 2 ? `k * ${schedule.width} + u` : "k";
          kept.set(id, { stage: first, element: `k${id}[${at}]` });
          return;
        }
      }
      for (const a of argsOf(kernel.values[id])) visit(a);
    };
    for (const v of kernel.values) if (v.kind === "reduce" && stage[v.arg] === now) visit(v.arg);
    kernel.stores.forEach((s, i) => {
      if (plan.storeStage[i] === now) storeArgs(s).forEach(visit);
    });
  }
  return kept;
}
