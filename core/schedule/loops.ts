/** Loops of a kernel: made from the edges of a group, merged once all addresses are known. */
import {
  type Address,
  type Kernel,
  type KernelBuffer,
  kernelKey,
  type Store,
  type Value,
} from "../kernel.ts";
import type { Affine } from "../shape.ts";
import type { Segment } from "./spaces.ts";

/** One loop of a kernel that is being written. */
export interface Loop {
  readonly size: number;
  readonly reduced: boolean;
}

/** The loops of a group, outermost first with the reduced ones last, and the canonical maps of its two levels. */
export function loopsOf(edges: readonly number[], segments: readonly Segment[]): {
  loops: Loop[];
  full: Affine;
  row: Affine;
} {
  const parts: (Loop & { stride: number })[] = [];
  for (let i = edges.length - 1; i > 0; i--) {
    const stride = edges[i - 1];
    const reduced = segments.some(([inner, outer]) => inner <= stride && stride < outer);
    parts.push({ size: edges[i] / stride, reduced, stride });
  }
  const ordered = [...parts.filter((p) => !p.reduced), ...parts.filter((p) => p.reduced)];
  const row = new Array<number>(ordered.length).fill(0);
  for (let d = ordered.length - 1, step = 1; d >= 0; d--) {
    if (ordered[d].reduced) continue;
    row[d] = step;
    step *= ordered[d].size;
  }
  return {
    loops: ordered,
    full: { offset: 0, strides: ordered.map((p) => p.stride) },
    row: { offset: 0, strides: row },
  };
}

/** The kernel of these parts, its neighbouring loops merged where every address allows. */
export function withMergedLoops(
  all: readonly Loop[],
  { values, stores, buffers }: {
    readonly values: readonly Value[];
    readonly stores: readonly Store[];
    readonly buffers: readonly KernelBuffer[];
  },
): Kernel {
  const keep: number[] = [];
  const every = [
    ...values.flatMap((v) =>
      v.kind === "load" ? [v.address.strides] : v.kind === "index" ? [v.strides] : []
    ),
    ...stores.map((s) => s.address.strides),
  ];
  const loops: { size: number; reduced: boolean }[] = [];
  all.forEach((loop, d) => {
    if (loop.size === 1) return;
    const last = loops[loops.length - 1], before = keep[keep.length - 1];
    const merges = last !== undefined && last.reduced === loop.reduced &&
      every.every((s) => s[before] === s[d] * loop.size);
    if (merges) {
      last.size *= loop.size;
      keep[keep.length - 1] = d;
    } else {
      loops.push({ size: loop.size, reduced: loop.reduced });
      keep.push(d);
    }
  });
  const scalar = !loops.some((l) => !l.reduced);
  const pick = (s: readonly number[]) =>
    scalar ? [0, ...keep.map((d) => s[d])] : keep.map((d) => s[d]);
  const address = (a: Address): Address => ({ ...a, strides: pick(a.strides) });
  const outer = scalar ? [1] : loops.filter((l) => !l.reduced).map((l) => l.size);
  const body = {
    outer,
    reduce: loops.filter((l) => l.reduced).map((l) => l.size),
    values: values.map((v): Value =>
      v.kind === "load"
        ? { ...v, address: address(v.address) }
        : v.kind === "index"
        ? { ...v, strides: pick(v.strides) }
        : v
    ),
    stores: stores.map((s) => ({ ...s, address: address(s.address) })),
    buffers,
  };
  return { ...body, key: kernelKey(body), name: kernelName(body.values) };
}

/** The operations of a kernel in order, each once. */
function kernelName(values: readonly Value[]): string {
  const words = values.flatMap((v) => v.kind === "op" || v.kind === "reduce" ? [v.op] : []);
  return [...new Set(words)].slice(0, 6).join("_") || "copy";
}
