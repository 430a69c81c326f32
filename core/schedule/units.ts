/**
 * Cuts a graph into units: fused kernels (groups), and the nodes that stand alone (routines, scatters, assemblies, copies). What may share
 * a kernel is decided here, once, for all backends.
 *
 * A group has a *full* space (all elements of its largest nodes) and, once a reduction has joined, a reduce space inside it: some
 * *segments* of the linear row-major position. Members are at the full level (one element for each point) or at the row level (one for
 * each point outside the segments, as reductions and what follows from them). Two nodes share a group when one reads the other at the same
 * point, when a full node reads a row node broadcast back over the segments, or when a reduction ends a row of full nodes. A sum over all rows
 * (a *column* node: one element for each point of a row) is added up in memory as the rows go by.
 */
import type { Node } from "../node.ts";
import { ops } from "../ops.ts";
import { numel, type Shape } from "../shape.ts";
import { baseOf, comesFromMemory, isLeaf, straightView } from "./graph_facts.ts";
import { sumsOfMemoryLast } from "./order.ts";
import {
  broadcastsRows,
  edgesOf,
  joinEdges,
  sameSegments,
  type Segment,
  segmentsOf,
} from "./spaces.ts";

/** One kernel to be, or one lone node. */
export interface Unit {
  readonly kind: "group" | "lone";
  /** Members in topological order. */
  nodes: Node[];
  /** Elements of the full space. */
  numel: number;
  /** Products of trailing sizes at which some member's shape has an edge; a divisor chain. */
  edges: number[];
  segments: readonly Segment[] | undefined;
  /** Units read by this one. */
  readonly deps: Set<Unit>;
  /** Set when this unit was merged into another. */
  merged: Unit | undefined;
}

/** The result of the cut. */
export interface Units {
  /** Home of every node that is computed. */
  readonly home: Map<Node, Unit>;
  readonly level: Map<Node, "full" | "row" | "column">;
  /** Nodes that another kernel computes again rather than load. */
  readonly cheap: Set<Node>;
}

/** A value dearer than this, in additions since the last stored value, is stored instead of computed twice. */
const cheapLimit = 12;
/** A primitive dearer than this is never computed twice. */
const dearOp = 10;
/** A reduction to few values over more elements than this does not draw its many-user source into its kernel. */
const lonelyReduce = 16384;

/** Rows up to which a column sum is added up one after the other: beyond, rounding errors would pile up. */
const mostColumnRows = 16384;
/** Elements from which saving another walk over them pays for clearing the sums first. */
const leastColumnSum = 1024;

/** More members than this do not share a kernel: printing one is recursive, and registers run out long before. */
const mostMembers = 256;

/** The group that a unit has become part of. */
export function live(unit: Unit): Unit {
  while (unit.merged !== undefined) unit = unit.merged;
  return unit;
}

/** Whether `unit` needs `other`, directly or not. */
function needs(unit: Unit, other: Unit): boolean {
  const seen = new Set<Unit>();
  const stack = [unit];
  for (let u = stack.pop(); u !== undefined; u = stack.pop()) {
    if (u === other) return true;
    if (seen.has(u)) continue;
    seen.add(u);
    for (const dep of u.deps) stack.push(live(dep));
  }
  return false;
}

function rowCount(unit: Unit): number {
  return (unit.segments ?? []).reduce((n, [inner, outer]) => n / (outer / inner), unit.numel);
}

/** What {@linkcode cutUnits} is told about the nodes of a graph. */
export interface CutFacts {
  /** Nodes that get memory of their own in any case. */
  readonly stored: ReadonlySet<Node>;
  /** Number of nodes that read each node. */
  readonly users: ReadonlyMap<Node, number>;
  /** Nodes whose readers stand in other groups. */
  readonly apart: ReadonlySet<Node>;
  /** Whether a node is written over memory that somebody may still read. */
  readonly inPlace: (node: Node) => boolean;
}

/** Cuts `order` (topological, computed nodes only) into units. */
export function cutUnits(
  order: readonly Node[],
  { stored, users, apart, inPlace }: CutFacts,
  fuse: boolean,
): Units {
  const home = new Map<Node, Unit>();
  const level = new Map<Node, "full" | "row" | "column">();
  /** Groups that read, at their own points, a value which another launch or nobody computes. */
  const readers = new Map<Node, Unit>();
  const cheap = new Set<Node>();
  const costs = new Map<Node, number>();

  const unitOf = (node: Node): Unit | undefined => {
    const unit = home.get(node);
    return unit && live(unit);
  };
  const start = (node: Node, kind: Unit["kind"], full: Shape, segments?: Segment[]): Unit => ({
    kind,
    nodes: [node],
    numel: numel(full),
    edges: joinEdges(edgesOf(full), (segments ?? []).flat()) ?? [],
    segments,
    deps: new Set(),
    merged: undefined,
  });
  /** Whether merging two units would make a third one both need and be needed by the result. */
  const wouldCycle = (a: Unit, b: Unit): boolean => {
    const through = (from: Unit, to: Unit) =>
      [...from.deps].map(live).some((d) => d !== to && d !== from && needs(d, to));
    return through(a, b) || through(b, a);
  };
  const absorb = (into: Unit, from: Unit) => {
    into.nodes = [...into.nodes, ...from.nodes];
    for (const dep of from.deps) if (live(dep) !== into) into.deps.add(live(dep));
    from.merged = into;
    into.deps.delete(from);
  };
  /** Whether a node may not stand in the group that these become, since it reads a value that must come before. */
  const barred = (node: Node, units: readonly Unit[]): boolean =>
    apart.size > 0 && node.src.some((s) => {
      const base = baseOf(s), unit = unitOf(base);
      return apart.has(base) && unit !== undefined && units.includes(unit);
    });
  /** Merges two groups whose members meet at the given levels; returns the level at which they met, or undefined. */
  const merge = (
    a: Unit,
    la: "full" | "row",
    b: Unit,
    lb: "full" | "row",
  ): { unit: Unit; level: "full" | "row" } | undefined => {
    if (a === b) return la === lb ? { unit: a, level: la } : undefined;
    if ([...a.nodes, ...b.nodes].some((n) => barred(n, [a, b]))) return undefined;
    if (la !== lb) {
      // A group without a reduction can become the row level of one that has it.
      const [row, full] = la === "row" ? [a, b] : [b, a];
      if (full.segments !== undefined || full.numel !== rowCount(row) || wouldCycle(row, full)) {
        return undefined;
      }
      for (const node of full.nodes) level.set(node, "row");
      absorb(row, full);
      return { unit: row, level: "row" };
    }
    if (a.numel !== b.numel || a.nodes.length + b.nodes.length > mostMembers) return undefined;
    if (a.segments && b.segments && !sameSegments(a.segments, b.segments)) return undefined;
    if (la === "row" && !(a.segments && b.segments)) return undefined;
    const edges = joinEdges(a.edges, b.edges);
    if (edges === undefined || wouldCycle(a, b)) return undefined;
    a.edges = edges;
    a.segments ??= b.segments;
    absorb(a, b);
    return { unit: a, level: la };
  };

  /** How `node` could read `source` inside the source's own group. */
  const meet = (
    node: Node,
    source: Node,
  ): { unit: Unit; level: "full" | "row" } | undefined => {
    const base = baseOf(source), unit = unitOf(base);
    if (unit === undefined || unit.kind !== "group" || apart.has(base)) return undefined;
    const at = level.get(base)!;
    if (at === "column") return undefined;
    const view = source === base || source.kind !== "view" ? undefined : source.arg;
    if (straightView(source)) return { unit, level: at };
    const broadcast = at === "row" && unit.segments !== undefined &&
      numel(node.shape) === unit.numel && broadcastsRows(node.shape, view!, unit.segments);
    return broadcast ? { unit, level: "full" } : undefined;
  };

  /**
   * Whether a full node would read the sum of one long row in the group of that sum. Such a row cannot be shared among threads; as two
   * kernels, the sum and what reads it both can.
   */
  const readsLonelySum = (node: Node, unit: Unit): boolean =>
    unit.segments !== undefined && unit.numel > lonelyReduce && rowCount(unit) === 1 &&
    node.src.some((s) => unitOf(baseOf(s)) === unit && level.get(baseOf(s)) === "row");

  const joinOp = (node: Node): boolean => {
    const from = node.kind === "gather" ? [node.src[1]] : [...node.src];
    // Groups that already reduce come first: they are the harder ones to please.
    const reduces = (s: Node) => Number(unitOf(baseOf(s))?.segments !== undefined);
    from.sort((x, y) => reduces(y) - reduces(x));
    let at: { unit: Unit; level: "full" | "row" } | undefined;
    const others = (...units: Unit[]) =>
      node.src.map((s) => unitOf(baseOf(s))).filter((u) =>
        u !== undefined && !units.includes(u)
      ) as Unit[];
    for (const source of from) {
      const m = meet(node, source);
      if (m === undefined || m.unit === at?.unit || m.unit.nodes.length >= mostMembers) continue;
      if (m.level === "full" && readsLonelySum(node, m.unit)) continue;
      const now = at === undefined ? [m.unit] : [m.unit, at.unit];
      if (barred(node, now) || others(...now).some((u) => now.some((n) => needs(u, n)))) continue;
      if (at !== undefined) {
        at = merge(at.unit, at.level, m.unit, m.level) ?? at;
        continue;
      }
      const edges = m.level === "full"
        ? joinEdges(m.unit.edges, edgesOf(node.shape))
        : m.unit.edges;
      if (edges === undefined) continue;
      m.unit.edges = edges;
      at = m;
    }
    if (at === undefined) return false;
    const unit = live(at.unit);
    unit.nodes.push(node);
    home.set(node, unit);
    level.set(node, at.level);
    for (const u of others(unit)) unit.deps.add(u);
    if (at.level === "full") {
      for (const s of node.src) {
        const base = baseOf(s);
        if (comesFromMemory(base) && straightView(s)) readers.set(base, unit);
      }
    }
    return true;
  };

  /** Puts a sum over all rows into the group that walks these rows anyway. */
  const joinColumn = (node: Node, unit: Unit, segments: readonly Segment[]): boolean => {
    const [row] = unit.segments ?? [], [sum] = segments;
    const whole = unit.segments?.length === 1 && segments.length === 1 && row[0] === 1 &&
      sum[0] === row[1] && sum[1] === unit.numel;
    const fits = whole && unit.numel >= leastColumnSum && sum[1] / sum[0] <= mostColumnRows &&
      node.kind === "reduce" &&
      node.arg.op === "sum" && node.dtype === "float32" && !inPlace(node);
    if (!fits || unit.nodes.length >= mostMembers) return false;
    unit.nodes.push(node);
    home.set(node, unit);
    level.set(node, "column");
    return true;
  };

  const joinReduce = (node: Node, dims: readonly number[]): boolean => {
    const [source] = node.src, base = baseOf(source);
    const m = meet(node, source);
    const segments = segmentsOf(source.shape, dims);
    if (m === undefined && comesFromMemory(base) && straightView(source)) {
      const reader = readers.get(base);
      return reader !== undefined && joinColumn(node, live(reader), segments);
    }
    if (m === undefined || m.level !== "full") return false;
    const unit = m.unit;
    if (joinColumn(node, unit, segments)) return true;
    const trailing = segments.length === 1 && segments[0][0] === 1;
    const alone = users.get(base) === 1 && !stored.has(base);
    const few = segments.length === 1 && segments[0][1] === numel(source.shape);
    // A group that walks these rows already walks them for this one too.
    const walked = unit.segments !== undefined && sameSegments(unit.segments, segments);
    if (!alone && !walked && (!trailing || (few && numel(source.shape) > lonelyReduce))) {
      return false;
    }
    if (unit.segments !== undefined && !sameSegments(unit.segments, segments)) return false;
    // Members that already sit outside would be at the row level of nothing.
    const edges = joinEdges(
      joinEdges(unit.edges, edgesOf(source.shape)) ?? [2, 3],
      segments.flat(),
    );
    if (edges === undefined) return false;
    unit.edges = edges;
    unit.segments = segments;
    unit.nodes.push(node);
    home.set(node, unit);
    level.set(node, "row");
    return true;
  };

  for (const node of sumsOfMemoryLast(order, stored)) {
    if (isLeaf(node) && !stored.has(node)) continue;
    if (node.kind === "view" && !stored.has(node)) continue;
    const cost = node.src.reduce((sum, s) => {
      const b = baseOf(s);
      if (b.kind === "const" || b.kind === "index") return sum;
      return sum + (cheap.has(b) && !stored.has(b) ? costs.get(b)! : 1);
    }, node.kind === "op" ? ops[node.arg.op].cost : 0);
    costs.set(node, cost);
    if (fuse && node.kind === "op" && ops[node.arg.op].cost < dearOp && cost <= cheapLimit) {
      cheap.add(node);
    }
    const kind = node.kind === "op" || node.kind === "gather" || node.kind === "reduce"
      ? "group"
      : "lone";
    const joined = fuse && kind === "group" && !(isLeaf(node)) &&
      (node.kind === "reduce" ? joinReduce(node, node.arg.dims) : joinOp(node));
    if (joined) continue;
    const unit = node.kind === "reduce"
      ? start(node, "group", node.src[0].shape, segmentsOf(node.src[0].shape, node.arg.dims))
      : start(node, kind, node.shape);
    home.set(node, unit);
    level.set(node, node.kind === "reduce" ? "row" : "full");
    for (const s of node.src) {
      const dep = unitOf(baseOf(s));
      if (dep !== undefined) unit.deps.add(dep);
    }
  }
  return { home, level, cheap };
}
