/** Writes one kernel: walks from what must be stored back to what lies in memory, folding views into the addresses. */
import type { DType } from "../dtype.ts";
import type { Address, Kernel, KernelBuffer, Store, Value } from "../kernel.ts";
import type { Node, NodeKind, NodeOf } from "../node.ts";
import {
  type Affine,
  composeView,
  contiguousStrides,
  coordinates,
  numel,
  type Shape,
} from "../shape.ts";
import { baseOf } from "./graph_facts.ts";
import { type Loop, loopsOf, withMergedLoops } from "./loops.ts";
import { edgesOf, joinEdges, type Segment } from "./spaces.ts";
import { live, type Unit, type Units } from "./units.ts";

/** What the emitter asks of the schedule. */
export interface Memory {
  /** Number of the memory slot that a kernel reads a node from, making it one that must be stored. */
  readSlot(node: Node): number;
  /** Number of the memory slot that a node is written to. */
  writeSlot(node: Node): number;
  /** Whether the node lies in memory already, or will in any case. */
  inMemory(node: Node): boolean;
}

/** A kernel with the slots of its buffers and the extent of its first loop. */
export interface Emitted {
  readonly kernel: Kernel;
  readonly extent: number;
  readonly slots: readonly number[];
}

/** Thrown when a view needs loops split at more places: emission starts over with these edges. */
export class Refine extends Error {
  /** Takes the finer edges. */
  constructor(readonly edges: readonly number[]) {
    super("The loops of this kernel must be split");
  }
}

/** Builds one kernel. */
export class Emitter {
  readonly #loops: readonly Loop[];
  readonly #sizes: Shape;
  readonly #full: Affine;
  readonly #row: Affine;
  readonly #values: Value[] = [];
  readonly #stores: Store[] = [];
  readonly #memo = new Map<string, number>();
  /** Values by node and place: graphs share nodes, and walking each path to one would take exponential time. */
  readonly #seen = new Map<Node, Map<string, number>>();
  readonly #buffers = new Map<number, { dtype: DType; read: boolean; write: boolean }>();

  /** `unit` is the group whose members are computed here; undefined for a lone copy. */
  constructor(
    readonly memory: Memory,
    readonly units: Units,
    readonly edges: readonly number[],
    segments: readonly Segment[],
    readonly unit: Unit | undefined,
  ) {
    const { loops, full, row } = loopsOf(edges, segments);
    this.#loops = loops;
    this.#sizes = loops.map((l) => l.size);
    this.#full = full;
    this.#row = row;
  }

  /** Canonical map of the full space, or of the row level. */
  map(level: "full" | "row"): Affine {
    return level === "full" ? this.#full : this.#row;
  }

  /** Splits a map into one map for each coordinate of `shape`. */
  split(map: Affine, shape: Shape): Affine[] | undefined {
    return coordinates(map, this.#sizes, shape);
  }

  #push(key: string, value: Value): number {
    const known = this.#memo.get(key);
    if (known !== undefined) return known;
    const id = this.#values.push(value) - 1;
    this.#memo.set(key, id);
    return id;
  }

  #buffer(slot: number, dtype: DType, access: "read" | "write"): number {
    let entry = this.#buffers.get(slot);
    if (entry === undefined) this.#buffers.set(slot, entry = { dtype, read: false, write: false });
    entry[access] = true;
    return [...this.#buffers.keys()].indexOf(slot);
  }

  /** The value of a node that lies, or must lie, in memory. */
  load(node: Node, map: Affine): number {
    const buffer = this.#buffer(this.memory.readSlot(node), node.dtype, "read");
    const address: Address = { buffer, offset: map.offset, strides: map.strides, dynamic: [] };
    return this.#push(`ld ${buffer} ${map.offset} ${map.strides}`, {
      kind: "load",
      dtype: node.dtype,
      address,
    });
  }

  /** Starts over with loops that also end where the dimensions of `shape` do, if the whole space is read under that shape. */
  #refine(shape: Shape, map: Affine): void {
    const whole = map.offset === 0 && numel(shape) === numel(this.#sizes) &&
      map.strides.every((s, d) => s === this.#full.strides[d]);
    const edges = whole ? joinEdges(this.edges, edgesOf(shape)) : undefined;
    if (edges !== undefined && edges.length > this.edges.length) throw new Refine(edges);
  }

  #computedHere(node: Node): boolean {
    if (node.storage !== undefined) return false;
    const home = this.units.home.get(node);
    return home !== undefined && this.unit !== undefined && live(home) === this.unit;
  }

  /** Whether `node` can be computed at `map` in this kernel without its own memory. */
  #inline(node: Node): boolean {
    return this.#computedHere(node) || (this.units.cheap.has(node) && !this.memory.inMemory(node));
  }

  readonly #rules: { [K in NodeKind]: (n: NodeOf<K>, map: Affine) => number | undefined } = {
    buffer: () => undefined,
    const: (n) => this.constant(n.arg.value, n.dtype),
    index: (n, map) =>
      this.#push(`index ${map.offset} ${map.strides}`, {
        kind: "index",
        dtype: n.dtype,
        offset: map.offset,
        strides: map.strides,
      }),
    op: (n, map) => {
      if (!this.#inline(n as Node)) return undefined;
      const args = n.src.map((s) => this.value(s, map));
      return this.#push(`${n.arg.op} ${n.dtype} ${args}`, {
        kind: "op",
        dtype: n.dtype,
        op: n.arg.op,
        args,
      });
    },
    reduce: (n, map) => {
      const canonical = map.offset === 0 &&
        map.strides.every((s, d) => s === this.#row.strides[d] || this.#sizes[d] === 1);
      if (!this.#computedHere(n as Node) || !canonical) return undefined;
      const arg = this.value(n.src[0], this.#full);
      return this.#push(`${n.arg.op}~ ${n.dtype} ${arg}`, {
        kind: "reduce",
        dtype: n.dtype,
        op: n.arg.op,
        arg,
      });
    },
    view: (n, map) => {
      const coords = this.split(map, n.shape);
      if (coords === undefined) {
        this.#refine(n.shape, map);
        return undefined;
      }
      return this.value(n.src[0], composeView(n.arg, coords, this.#sizes.length));
    },
    gather: (n, map) => {
      const coords = this.#computedHere(n as Node) ? this.split(map, n.shape) : undefined;
      if (coords === undefined) return undefined;
      const address = this.indexed(n.src[0], n.arg.dim, coords, this.value(n.src[1], map), "read");
      return this.#push(`gather ${JSON.stringify(address)}`, {
        kind: "load",
        dtype: n.dtype,
        address,
      });
    },
    scatter: () => undefined,
    assemble: () => undefined,
    routine: () => undefined,
    assign: () => undefined,
  };

  /** The value of `node` at a linear position given as a map of the loops; its id in the kernel. */
  value(node: Node, map: Affine): number {
    let places = this.#seen.get(node);
    if (places === undefined) this.#seen.set(node, places = new Map());
    const key = `${map.offset} ${map.strides}`;
    let id = places.get(key);
    if (id === undefined) places.set(key, id = this.#value(node, map));
    return id;
  }

  #value(node: Node, map: Affine): number {
    // A view folds into the address even where it also gets memory of its own: its base comes earlier.
    const fold = node.kind === "view" || this.#computedHere(node) || !this.memory.inMemory(node);
    if (node.storage === undefined && fold) {
      const rule = this.#rules[node.kind] as (n: Node, m: Affine) => number | undefined;
      const id = rule(node, map);
      if (id !== undefined) return id;
    } else if (node.kind === "const") {
      return this.#rules.const(node, map)!;
    }
    return this.load(node, map);
  }

  /** A constant of the kernel. */
  constant(value: number, dtype: DType): number {
    return this.#push(`const ${dtype} ${Object.is(value, -0) ? "-0" : value}`, {
      kind: "const",
      dtype,
      value,
    });
  }

  /** Like {@linkcode Emitter.value}, but computes `node` itself even where it will have its own memory. */
  compute(node: Node, map: Affine): number {
    const rule = this.#rules[node.kind] as (n: Node, m: Affine) => number | undefined;
    return rule(node, map) ?? this.load(node, map);
  }

  /** Address of `base` at coordinates where dimension `dim` is a computed index. */
  indexed(
    base: Node,
    dim: number,
    coords: readonly Affine[],
    index: number,
    access: "read" | "write",
  ): Address {
    const root = access === "write" ? base : baseOf(base);
    const view = base.kind === "view" && root !== base ? base.arg : undefined;
    const strides = view?.strides ?? contiguousStrides(base.shape);
    const rest = coords.map((c, d) =>
      d === dim ? { offset: 0, strides: c.strides.map(() => 0) } : c
    );
    const map = composeView({ offset: view?.offset ?? 0, strides }, rest, this.#sizes.length);
    const slot = access === "write" ? this.memory.writeSlot(root) : this.memory.readSlot(root);
    return {
      buffer: this.#buffer(slot, root.dtype, access),
      offset: map.offset,
      strides: map.strides,
      dynamic: [{ value: index, stride: strides[dim], size: base.shape[dim] }],
    };
  }

  /** Stores a value at a map of a slot. */
  store(slot: number, dtype: DType, map: Affine, value: number, level: "full" | "row"): void {
    const buffer = this.#buffer(slot, dtype, "write");
    const address = { buffer, offset: map.offset, strides: map.strides, dynamic: [] };
    this.#stores.push({ address, value, mode: "set", level });
  }

  /** Adds a value at a computed address. */
  accumulate(address: Address, value: number): void {
    this.#buffers.get([...this.#buffers.keys()][address.buffer])!.read = true;
    this.#stores.push({ address, value, mode: "add", level: "full" });
  }

  /** Adds a full value to the element of its place in the row. */
  accumulateColumn(slot: number, dtype: DType, value: number): void {
    const buffer = this.#buffer(slot, dtype, "write");
    this.#buffers.get(slot)!.read = true;
    const strides = this.#full.strides.map((s, d) => this.#loops[d].reduced ? s : 0);
    const address = { buffer, offset: 0, strides, dynamic: [] };
    this.#stores.push({ address, value, mode: "add", level: "full" });
  }

  /** Whether some load of `slot` does not read exactly the element that a store of the same point writes. */
  hazard(slot: number): boolean {
    const buffer = [...this.#buffers.keys()].indexOf(slot);
    const text = (a: Address) => `${a.offset} ${a.strides} ${a.dynamic.length}`;
    const written = this.#stores.filter((s) => s.address.buffer === buffer);
    return this.#values.some((v) =>
      v.kind === "load" && v.address.buffer === buffer &&
      written.some((s) => text(s.address) !== text(v.address))
    ) || (written.some((s) => s.level === "row") &&
      this.#values.some((v) =>
        v.kind === "load" && v.address.buffer === buffer &&
        v.address.strides.some((s, d) => s !== 0 && this.#loops[d].reduced)
      ));
  }

  /** The finished kernel, its neighbouring loops merged where every address allows. */
  finish(): Emitted {
    const buffers = [...this.#buffers.values()].map((b): KernelBuffer => ({
      dtype: b.dtype,
      access: b.read && b.write ? "both" : b.write ? "write" : "read",
    }));
    const kernel = withMergedLoops(this.#loops, {
      values: this.#values,
      stores: this.#stores,
      buffers,
    });
    return { kernel, extent: kernel.outer[0], slots: [...this.#buffers.keys()] };
  }
}
