/**
 * How the threads of a launch share a kernel's work: pure functions of the kernel and of the extent of its first dimension, so that equal kernels
 * make equal texts and launches.
 */
import { type DType, dtypes } from "../../dtype.ts";
import { type Address, fullValues, type Kernel, stages, type Value } from "../../kernel.ts";

/** What one printed text does with the spaces of its kernel. */
export interface Schedule {
  /**
   * `points`: no rows, threads walk the outer space. `rows`: a team of neighbouring threads walks each row. `columns`: neighbouring threads stand on
   * neighbouring rows, a team is a column of the block.
   */
  readonly kind: "points" | "rows" | "columns";
  /** Neighbouring elements that a thread handles together, as one access of up to 128 bits where the address allows. */
  readonly width: number;
  /** Threads that share a row, a power of two. */
  readonly team: number;
  /** Threads of a block. */
  readonly block: number;
  /** Rows are cut into chunks for different blocks; a second kernel joins their results. */
  readonly split: boolean;
  /** Indices have 64 bits. */
  readonly wide: boolean;
}

/** Canonical text of a schedule. */
export function scheduleKey(s: Schedule): string {
  return `${s.kind} ${s.width} ${s.team}/${s.block}${s.split ? " split" : ""}${
    s.wide ? " wide" : ""
  }`;
}

/** Multiprocessors that launches are sized for where nobody says otherwise (an H100 has 132). */
export const PROCESSORS = 132;

/** Indices of up to this many elements have 32 bits, with room for one more stride of the grid. */
const NARROW = 2 ** 30;
/** Vectors of a row up to which one warp walks it. */
const WARP_ROW = 256;
/** Vectors of a row from which it is worth cutting. */
const SPLIT_ROW = 4096;
/** Points that a thread of a column team handles at least. */
const COLUMN_STEPS = 8;

/** Product of sizes. */
export const product = (sizes: readonly number[]): number => sizes.reduce((n, s) => n * s, 1);
const powerAbove = (n: number): number => 2 ** Math.ceil(Math.log2(Math.max(1, n)));
const clamp = (x: number, low: number, high: number) => Math.min(high, Math.max(low, x));

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

/** An access that a thread makes at every point, with its dtype. */
interface Access {
  readonly address: Address;
  readonly dtype: DType;
}

/** Loads and stores at the full level (all of them where there are no rows). */
function accesses(kernel: Kernel): Access[] {
  const full = fullValues(kernel), flat = kernel.reduce.length === 0;
  const loads = kernel.values.flatMap((v, id) =>
    v.kind === "load" && (flat || full[id]) ? [{ address: v.address, dtype: v.dtype }] : []
  );
  const stores = kernel.stores.filter((s) => flat || s.level === "full").map((s) => ({
    address: s.address,
    dtype: kernel.buffers[s.address.buffer].dtype,
  }));
  return [...loads, ...stores];
}

/** For each value, whether it differs between neighbours along `axis`. */
export function varying(kernel: Kernel, axis: number): boolean[] {
  const vary: boolean[] = [];
  for (const v of kernel.values) {
    vary.push(
      v.kind === "index"
        ? v.strides[axis] !== 0
        : v.kind === "load"
        ? v.address.strides[axis] !== 0 || v.address.dynamic.some((t) => vary[t.value])
        : v.kind === "op" && v.args.some((a) => vary[a]),
    );
  }
  return vary;
}

/** Whether `width` neighbours along `axis` are one aligned access. Buffers themselves start at multiples of 16 bytes. */
export function packs(
  a: Address,
  axis: number,
  width: number,
  vary: readonly boolean[],
): boolean {
  return width > 1 && a.strides[axis] === 1 && a.offset % width === 0 &&
    a.strides.every((s, d) => d === axis || s % width === 0) &&
    a.dynamic.every((t) => t.stride % width === 0 && !vary[t.value]);
}

/** Elements that one thread handles together: 16 bytes of the widest dtype, less where sizes or addresses do not allow it. */
function chooseWidth(kernel: Kernel, axis: number, all: readonly Access[]): number {
  const vary = varying(kernel, axis);
  const moving = all.filter(({ address: a }) =>
    a.strides[axis] !== 0 || a.dynamic.some((t) => vary[t.value])
  );
  const bytes = Math.max(2, ...moving.map((x) => dtypes[x.dtype].bytes));
  for (let width = 16 / bytes; width > 1; width /= 2) {
    // The extent of the first dimension is not known here; what is left of it is done one by one.
    const size = axis === 0 ? 0 : [...kernel.outer, ...kernel.reduce][axis];
    const good = moving.filter((x) => packs(x.address, axis, width, vary)).length;
    if (size % width === 0 && good > 0 && 2 * good >= moving.length) return width;
  }
  return 1;
}

/** Whether neighbours in memory are neighbours in the outer space rather than in the row. */
function prefersColumns(kernel: Kernel, all: readonly Access[]): boolean {
  const last = kernel.outer.length - 1, inner = last + kernel.reduce.length;
  let columns = 0, rows = 0;
  for (const { address: { strides } } of all) {
    if (Math.abs(strides[inner]) === 1) rows++;
    else if (Math.abs(strides[last]) === 1) columns++;
  }
  return columns > rows;
}

/** Whether the rows of a kernel can be walked in pieces: one pass, after which only row-level values are left. */
export function canSplit(kernel: Kernel): boolean {
  const { values, stores, reduce } = kernel, stage = stages(kernel), full = fullValues(kernel);
  if (reduce.length === 0 || !values.some((v) => v.kind === "reduce")) return false;
  const single = values.every((v) => v.kind !== "reduce" || stage[v.arg] === 0) &&
    stores.every((s) =>
      s.level === "row" ||
      [s.value, ...s.address.dynamic.map((t) => t.value)].every((a) => stage[a] === 0)
    );
  const written = new Set(stores.flatMap((s) => s.level === "full" ? [s.address.buffer] : []));
  return single &&
    values.every((v, id) => v.kind !== "load" || full[id] || !written.has(v.address.buffer));
}

/** Whether some index of this launch needs more than 32 bits. */
function needsWide(kernel: Kernel, extent: number): boolean {
  const sizes = [extent, ...kernel.outer.slice(1), ...kernel.reduce];
  const reach = (a: Address) =>
    Math.abs(a.offset) +
    a.strides.reduce((sum, s, d) => sum + Math.abs(s) * Math.max(0, sizes[d] - 1), 0) +
    a.dynamic.reduce((sum, t) => sum + Math.abs(t.stride) * t.size, 0);
  const all = [
    ...kernel.values.flatMap((v) => v.kind === "load" ? [v.address] : []),
    ...kernel.stores.map((s) => s.address),
  ];
  return product(sizes) > NARROW || product(kernel.outer.slice(1)) * extent > NARROW ||
    all.some((a) => reach(a) > NARROW);
}

/**
 * The schedule of a launch.
 *
 * @param kernel What is launched; `kernel.outer[0]` is not looked at
 * @param extent Extent of its first outer dimension
 * @param processors Multiprocessors of the device
 */
export function scheduleFor(kernel: Kernel, extent: number, processors = PROCESSORS): Schedule {
  const wide = needsWide(kernel, extent), all = accesses(kernel);
  const rank = kernel.outer.length, depth = rank + kernel.reduce.length;
  const common = { split: false, wide };
  if (depth === rank) {
    const width = chooseWidth(kernel, rank - 1, all);
    return { ...common, kind: "points", width, team: 1, block: 256 };
  }
  const n = product(kernel.reduce), rows = extent * product(kernel.outer.slice(1));
  if (prefersColumns(kernel, all)) {
    const enough = rows >= 32 * 8 * processors;
    const team = enough ? 1 : clamp(powerAbove(n / COLUMN_STEPS), 1, 16);
    const blocks = Math.ceil(rows / 32), block = team === 1 ? 128 : 32 * team;
    const split = canSplit(kernel) && blocks < processors && n >= 4 * COLUMN_STEPS * team;
    return { ...common, kind: "columns", width: 1, team, block, split };
  }
  const width = chooseWidth(kernel, depth - 1, all), vectors = n / width;
  if (canSplit(kernel) && vectors >= SPLIT_ROW && 2 * rows <= processors) {
    return { ...common, kind: "rows", width, team: 256, block: 256, split: true };
  }
  const few = rows <= processors && vectors > 64;
  if (vectors <= WARP_ROW && !few) {
    return { ...common, kind: "rows", width, team: Math.min(32, powerAbove(vectors)), block: 256 };
  }
  const team = clamp(powerAbove(few ? vectors : vectors / 8), 64, 1024);
  return { ...common, kind: "rows", width, team, block: team };
}

/** Rows that a block of this schedule works on at the same time. */
export function rowsPerBlock(s: Schedule): number {
  return s.block / s.team;
}

/** Pieces that each row is cut into by a split schedule. */
export function chunksFor(
  kernel: Kernel,
  s: Schedule,
  extent: number,
  processors = PROCESSORS,
): number {
  if (!s.split) return 1;
  const rows = extent * product(kernel.outer.slice(1));
  const teams = Math.max(1, Math.ceil(rows / rowsPerBlock(s)));
  const vectors = product(kernel.reduce) / s.width;
  const steps = s.kind === "columns" ? COLUMN_STEPS : 4;
  return clamp(
    Math.min(Math.ceil(4 * processors / teams), Math.floor(vectors / (steps * s.team))),
    1,
    1024,
  );
}
