/** Decisions before code is written: which loop carries the vector lanes, how far to unroll, what to keep in scratch memory. */
import { type DType, dtypes } from "../../dtype.ts";
import { type Address, fullValues, type Kernel, stages } from "../../kernel.ts";
import { ops } from "../../ops.ts";
import {
  argsOf,
  choosePasses,
  chooseSpills,
  gatherCost,
  passWork,
  storeArgs,
  usesIn,
} from "./lower_passes.ts";

/** Everything decided about a kernel. Loops are numbered like strides: the outer ones, then the reduced ones. */
export interface Plan {
  readonly kernel: Kernel;
  /** Number of outer loops; the row level is inside the last of them. */
  readonly rank: number;
  /** Number of all loops. */
  readonly depth: number;
  readonly sizes: readonly number[];
  /** The loop whose successive iterations are lanes; -1 for none. */
  readonly axis: number;
  /** Vectors of the axis that one iteration handles at most. */
  readonly copies: number;
  /** Vectors of the axis that one iteration of each pass over the row handles. */
  readonly passCopies: readonly number[];
  /** The row is short enough to be held in locals: no loops over it, nothing is computed twice. */
  readonly flat: boolean;
  readonly full: readonly boolean[];
  /** For each value, whether lanes differ. */
  readonly vary: readonly boolean[];
  /** For each value, the innermost loop it depends on; -1 for none. */
  readonly home: readonly number[];
  /** Position in a scratch slot of each value that is kept there, and the stage that puts it there. */
  readonly spills: ReadonlyMap<number, { readonly slot: number; readonly stage: number }>;
  readonly scratchBytes: number;
  /** Passes over the row. */
  readonly stageCount: number;
  /** For each reduction, the pass that adds it up. */
  readonly pass: readonly number[];
  /** For each store, its pass (full level only). */
  readonly storeStage: readonly number[];
  /** For each value, how many values and stores use it. */
  readonly uses: readonly number[];
  /** The same within each pass over the row. */
  readonly passUses: readonly (readonly number[])[];
  /** For each value, whether it is only ever stored as its own dtype, which rounds it. */
  readonly rounded: readonly boolean[];
}

const product = (sizes: readonly number[]): number => sizes.reduce((n, s) => n * s, 1);

/** Cost of rounding to a dtype of fewer bits; reading it costs half as much. */
const codingCost: Partial<Record<DType, number>> = { float16: 16, bfloat16: 6, uint8: 2, bool: 2 };
/** Scratch memory of one thread is at most this, else values are computed again. */
const spillLimit = 256 << 10;
/** Rows of at most this many vectors, and this much work, are held in locals. */
const flatVectors = 8, flatWork = 700;

function varying(kernel: Kernel, axis: number, full: readonly boolean[]): boolean[] {
  const vary: boolean[] = [];
  const differs = (strides: readonly number[]) => axis >= 0 && strides[axis] !== 0;
  kernel.values.forEach((v) => {
    vary.push(
      v.kind === "index"
        ? differs(v.strides)
        : v.kind === "load"
        ? differs(v.address.strides) || v.address.dynamic.some((t) => vary[t.value])
        : v.kind === "op"
        ? v.args.some((a) => vary[a])
        : v.kind === "reduce" && axis < kernel.outer.length && vary[v.arg],
    );
  });
  return full.length === 0 ? [] : vary;
}

function addressCost(a: Address, axis: number, vary: readonly boolean[]): number {
  const stride = axis < 0 ? 0 : a.strides[axis];
  return a.dynamic.some((t) => vary[t.value]) || (stride !== 0 && stride !== 1) ? gatherCost : 1;
}

/** Cost of one iteration at the full and at the row level, when `axis` carries the lanes. */
function costs(
  kernel: Kernel,
  axis: number,
  full: readonly boolean[],
): { full: number; row: number } {
  const vary = varying(kernel, axis, full), sum = { full: 0, row: 0 };
  kernel.values.forEach((v, id) => {
    const level = full[id] ? "full" : "row";
    sum[level] += v.kind === "op"
      ? ops[v.op].cost + (v.op === "cast" ? codingCost[v.dtype] ?? 0 : 0)
      : v.kind === "load"
      ? addressCost(v.address, axis, vary) + (codingCost[v.dtype] ?? 0) / 2
      : v.kind === "const"
      ? 0
      : 1;
  });
  for (const s of kernel.stores) {
    const coding = codingCost[kernel.buffers[s.address.buffer].dtype] ?? 0;
    sum[s.level] += addressCost(s.address, axis, vary) + coding;
  }
  return sum;
}

function chooseAxis(kernel: Kernel, full: readonly boolean[]): number {
  const rank = kernel.outer.length, depth = rank + kernel.reduce.length;
  const last = rank - 1;
  const written = kernel.stores.some((s) =>
    s.address.strides[last] !== 0 || s.address.dynamic.length > 0
  );
  const waste = (n: number) => n === 0 ? 1 : Math.ceil(n / 4) * 4 / n;
  if (depth === rank) return written ? last : -1;
  const n = product(kernel.reduce), m = kernel.reduce[kernel.reduce.length - 1];
  const inRow = costs(kernel, depth - 1, full);
  const reductions = kernel.values.filter((v) => v.kind === "reduce").length;
  const rowCost = n / Math.max(1, m) * Math.ceil(m / 4) * inRow.full + inRow.row + 8 * reductions;
  const across = costs(kernel, last, full);
  const columnCost = (n * across.full + across.row) / 4 *
    (last > 0 ? waste(kernel.outer[last]) : 1);
  return written && columnCost < rowCost ? last : depth - 1;
}

/** Decides everything about a kernel for a machine of 4 lanes or 1, with `slotBytes` of scratch memory for each value kept. */
export function planKernel(kernel: Kernel, lanes: 1 | 4, slotBytes: number): Plan {
  const { values, stores, outer, reduce } = kernel;
  const rank = outer.length, depth = rank + reduce.length, sizes = [...outer, ...reduce];
  const full = fullValues(kernel), stage = stages(kernel);
  const axis = lanes === 1 ? -1 : chooseAxis(kernel, full);
  const vary = varying(kernel, axis, full);
  const deepest = (strides: readonly number[]) => strides.reduce((d, s, i) => s !== 0 ? i : d, -1);
  const home: number[] = [];
  for (const v of values) {
    home.push(
      v.kind === "index"
        ? deepest(v.strides)
        : v.kind === "load"
        ? Math.max(deepest(v.address.strides), ...v.address.dynamic.map((t) => home[t.value]))
        : v.kind === "op"
        ? Math.max(-1, ...v.args.map((a) => home[a]))
        : v.kind === "reduce"
        ? rank - 1
        : -1,
    );
  }
  const uses = values.map(() => 0);
  for (const v of values) for (const a of argsOf(v)) uses[a]++;
  for (const s of stores) for (const a of storeArgs(s)) uses[a]++;

  const rounded = values.map((v, id) => {
    const stored = stores.filter((s) => s.value === id && s.mode === "set");
    return uses[id] === stored.length &&
      stored.every((s) => kernel.buffers[s.address.buffer].dtype === v.dtype);
  });

  const cost = costs(kernel, axis, full);
  const work = Math.max(1, cost.full + (rank === depth ? cost.row : 0));
  const m = sizes[depth - 1];
  const flat = reduce.length === 1 && axis === depth - 1 && m > 0 &&
    Math.ceil(m / 4) <= flatVectors && Math.ceil(m / 4) * work <= flatWork;
  const copies = axis < 0 ? 1 : flat ? Math.ceil(m / 4) : lightness(work);

  const full0 = (s: Kernel["stores"][number]) => s.level === "full" && depth > rank;
  const own = (s: Kernel["stores"][number]) => Math.max(...storeArgs(s).map((a) => stage[a]));
  const stageCount = Math.max(
    0,
    ...values.map((v) => v.kind === "reduce" ? stage[v.arg] + 1 : 0),
    ...stores.map((s) => full0(s) ? own(s) + 1 : 0),
  );
  // What is also read may be needed again in a later pass, so it is overwritten in the last.
  const storeStage = stores.map((s) =>
    !full0(s) ? -1 : kernel.buffers[s.address.buffer].access === "both" ? stageCount - 1 : own(s)
  );
  const inRow = axis >= rank && !flat;
  const passes = Array.from({ length: stageCount }, (_, i) => i);
  const pass = choosePasses(kernel, { full, stage, storeStage }, stageCount);
  const mine = passes.map((i) => passWork(kernel, { full, pass, storeStage }, i));
  const plan = {
    kernel,
    rank,
    depth,
    sizes,
    axis,
    copies,
    flat,
    full,
    vary,
    home,
    uses,
    rounded,
  };
  const passUses = passes.map((i) => usesIn(kernel, { full, pass, storeStage }, i));
  const rest = { stageCount, storeStage, pass, passUses };
  const points = axis >= rank
    ? product(reduce) / Math.max(1, m) * Math.ceil(m / 4)
    : product(reduce) * copies;
  let kept = flat ? [] : chooseSpills({ ...plan, ...rest });
  if (kept.length * points * slotBytes > spillLimit) kept = [];
  const spills = new Map(kept.map((k, slot) => [k.value, { slot, stage: k.stage }]));
  const scratchBytes = kept.length * points * slotBytes;
  // Short passes are unrolled further, or each sum would wait for the one before; what is kept between passes lies in the order of one unrolling.
  const free = inRow && kept.length === 0;
  const sums = (i: number) =>
    values.filter((v, id) => v.kind === "reduce" && pass[id] === i).length;
  // More running sums than registers would cost more than they save.
  const light = (work: number, i: number) => lightness(work) * sums(i) > 8 ? 2 : lightness(work);
  const passCopies = mine.map((work, i) => free ? Math.max(copies, light(work, i)) : copies);
  return { ...plan, ...rest, passCopies, spills, scratchBytes };
}

/** Vectors that a loop body of this much work handles side by side. */
const lightness = (work: number): number => work <= 40 ? 4 : work <= 90 ? 2 : 1;

/** Bytes between elements of a buffer of the kernel. */
export function elementBytes(kernel: Kernel, a: Address): number {
  return dtypes[kernel.buffers[a.buffer].dtype].bytes;
}
