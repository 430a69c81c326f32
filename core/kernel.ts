/**
 * A fused kernel as data. No backend is named here: the schedule makes kernels, each backend prints them.
 *
 * A kernel runs over an outer space (parallel) and, inside it, over a reduce space (a "row", possibly empty). Its values are in topological
 * order. A value is *row-level* when it is the same for every point of the reduce space, else *full*. A full value that
 * depends on a reduction can only be computed after a complete pass over the row, so a backend runs a row as a few loops, one a stage
 * (softmax: maximum; sum of exponentials; quotient), all while the row is in cache or registers.
 */
import type { DType } from "./dtype.ts";
import type { OpName, ReduceOp } from "./ops.ts";

/** One term of an address that is computed: `value * stride`, where `value` must lie in `[0, size)`. */
export interface DynamicTerm {
  /** Id of an int32 (or int64) value of the kernel. */
  readonly value: number;
  /** Stride in elements. */
  readonly stride: number;
  /** Extent of the indexed dimension; an index outside raises the backend's index error. */
  readonly size: number;
}

/**
 * Where an element lies in a buffer, in elements: `offset + sum(strides[d] * i[d]) + sum(dynamic)`. `strides` has one entry for each
 * loop dimension: the outer ones, then the reduce ones.
 */
export interface Address {
  /** Index of the buffer. */
  readonly buffer: number;
  /** Element where the access starts. */
  readonly offset: number;
  /** Distance in elements for each dimension of the space. */
  readonly strides: readonly number[];
  /** Computed parts of the address. */
  readonly dynamic: readonly DynamicTerm[];
}

/** A value of a kernel; its id is its position in {@linkcode Kernel.values}. */
export type Value =
  | { readonly kind: "const"; readonly dtype: DType; readonly value: number }
  | {
    /** `offset + sum(strides[d] * i[d])`, an int32. */
    readonly kind: "index";
    readonly dtype: DType;
    readonly offset: number;
    readonly strides: readonly number[];
  }
  | { readonly kind: "load"; readonly dtype: DType; readonly address: Address }
  | {
    readonly kind: "op";
    readonly dtype: DType;
    readonly op: OpName;
    readonly args: readonly number[];
  }
  | {
    /** Over the whole reduce space; row-level by definition. */
    readonly kind: "reduce";
    readonly dtype: DType;
    readonly op: ReduceOp;
    readonly arg: number;
  };

/** Writes (or adds) one value to a buffer, once a point of the space that its level names. */
export interface Store {
  /** Where to. */
  readonly address: Address;
  /** Index of the value. */
  readonly value: number;
  /** `add` accumulates: several points may address the same element, so the outer space must not be split. */
  readonly mode: "set" | "add";
  /** `row`: once for each point of the outer space; `full`: for each point of outer x reduce. */
  readonly level: "row" | "full";
}

/** A buffer parameter of a kernel. */
export interface KernelBuffer {
  /** Dtype of the elements. */
  readonly dtype: DType;
  /** How the kernel uses it. */
  readonly access: "read" | "write" | "both";
}

/** A fused kernel. `outer` has at least one dimension, whose extent is passed at launch and is not part of the key. */
export interface Kernel {
  /** Sizes of the outer space. */
  readonly outer: readonly number[];
  /** Sizes of the row. */
  readonly reduce: readonly number[];
  /** Values in order of computation. */
  readonly values: readonly Value[];
  /** What is written. */
  readonly stores: readonly Store[];
  /** The buffers it is launched with. */
  readonly buffers: readonly KernelBuffer[];
  /** Full canonical text of everything but `outer[0]`: equal keys mean equal programs. */
  readonly key: string;
  /** Short name for people, such as `reduce_max_exp_sum_div`. */
  readonly name: string;
}

const addressKey = (a: Address): string =>
  `${a.buffer}@${a.offset}:${a.strides.join(",")}` +
  a.dynamic.map((t) => `+v${t.value}*${t.stride}<${t.size}`).join("");

const valueKeys: { readonly [K in Value["kind"]]: (v: Extract<Value, { kind: K }>) => string } = {
  const: (v) => `${v.dtype} ${Object.is(v.value, -0) ? "-0" : v.value}`,
  index: (v) => `i${v.offset}:${v.strides.join(",")}`,
  load: (v) => `ld${addressKey(v.address)}`,
  op: (v) => `${v.op}.${v.dtype}(${v.args.join(",")})`,
  reduce: (v) => `${v.op}~${v.dtype}(${v.arg})`,
};

/** The canonical text of a kernel without the extent of its first outer dimension. */
export function kernelKey(k: Omit<Kernel, "key" | "name">): string {
  const values = k.values.map((v) => (valueKeys[v.kind] as (v: Value) => string)(v));
  const stores = k.stores.map((s) => `${s.mode}.${s.level}${addressKey(s.address)}=${s.value}`);
  const buffers = k.buffers.map((b) => `${b.dtype}.${b.access}`);
  return [
    `*,${k.outer.slice(1).join(",")}|${k.reduce.join(",")}`,
    buffers.join(","),
    values.join(";"),
    stores.join(";"),
  ].join("\n");
}

/** For each value, whether it varies over the reduce space. */
export function fullValues(k: Pick<Kernel, "outer" | "values">): boolean[] {
  const rank = k.outer.length;
  const full: boolean[] = [];
  const varies = (strides: readonly number[]) => strides.some((s, d) => d >= rank && s !== 0);
  const rules: { readonly [K in Value["kind"]]: (v: Extract<Value, { kind: K }>) => boolean } = {
    const: () => false,
    index: (v) => varies(v.strides),
    load: (v) => varies(v.address.strides) || v.address.dynamic.some((t) => full[t.value]),
    op: (v) => v.args.some((a) => full[a]),
    reduce: () => false,
  };
  for (const v of k.values) full.push((rules[v.kind] as (v: Value) => boolean)(v));
  return full;
}

/**
 * For each value, the number of complete passes over the row that must come before it: a reduction is available one stage after its
 * argument.
 */
export function stages(k: Pick<Kernel, "values">): number[] {
  const stage: number[] = [];
  const most = (ids: readonly number[]) => ids.reduce((m, a) => Math.max(m, stage[a]), 0);
  const rules: { readonly [K in Value["kind"]]: (v: Extract<Value, { kind: K }>) => number } = {
    const: () => 0,
    index: () => 0,
    load: (v) => most(v.address.dynamic.map((t) => t.value)),
    op: (v) => most(v.args),
    reduce: (v) => stage[v.arg] + 1,
  };
  for (const v of k.values) stage.push((rules[v.kind] as (v: Value) => number)(v));
  return stage;
}
