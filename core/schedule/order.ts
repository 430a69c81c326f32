/** Orders nodes before units are cut of them, then what the units run, and makes the steps of the plan of it. */
import type { RoutineCall } from "../device.ts";
import type { Node } from "../node.ts";
import type { Storage } from "../storage.ts";
import type { Emitted } from "./emit.ts";
import { baseOf, comesFromMemory, isLeaf } from "./graph_facts.ts";
import type { Slot, Step } from "./plan.ts";
import type { Unit } from "./units.ts";

/** What a unit runs, and the values (not yet slots) it reads and writes. */
export interface Work {
  readonly unit: Unit;
  readonly launches: (
    | Emitted
    | { readonly call: RoutineCall; readonly slots: readonly number[]; readonly async: boolean }
  )[];
  readonly reads: Set<Node>;
  readonly writes: Set<Node>;
}

/** A graph in topological order with the leaf storages it reads, as {@linkcode collect} finds it. */
export interface Graph {
  readonly roots: readonly Node[];
  readonly order: readonly Node[];
  readonly leaves: readonly Storage[];
  /** Nodes that get memory of their own in any case. */
  readonly kept?: ReadonlySet<Node>;
}

/** Thrown when assignments in place leave no order. */
export class Conflict extends Error {
  /** Takes the assignments that could be made by a copy instead. */
  constructor(readonly assigns: readonly Node[]) {
    super("An assignment in place overwrites a value that is still needed");
  }
}

/** What is known of assignments in place. */
export interface InPlace {
  /** Node that holds a value: itself, or the base of a view that shows all of it in order. */
  readonly holder: (node: Node) => Node;
  /** Node whose memory another node's value is written to. */
  readonly alias: ReadonlyMap<Node, Node>;
}

/**
 * A topological order in which sums of values in memory stand as late as their readers allow: by then the group that walks the same
 * rows, as the backward pass of a norm does, is there to be joined.
 */
export function sumsOfMemoryLast(order: readonly Node[], stored: ReadonlySet<Node>): Node[] {
  const waiting = new Set<Node>(), out: Node[] = [];
  for (const node of order) {
    if (node.kind === "reduce" && !isLeaf(node) && comesFromMemory(baseOf(node.src[0]))) {
      waiting.add(node);
      continue;
    }
    // A view that nobody stores is read through the nodes behind it.
    if (node.kind !== "view" || stored.has(node)) {
      for (const s of node.src) if (waiting.delete(baseOf(s))) out.push(baseOf(s));
    }
    out.push(node);
  }
  return [...out, ...waiting];
}

/**
 * Orders works so that readers of a value follow its writer and precede whoever overwrites it.
 * @throws {Conflict} When assignments in place allow no such order
 */
export function orderWorks(
  graph: Graph,
  works: readonly Work[],
  { holder, alias }: InPlace,
): Work[] {
  const writer = new Map<Node, Work>();
  for (const work of works) for (const n of work.writes) writer.set(n, work);
  const after = new Map<Work, Set<Work>>(works.map((w) => [w, new Set()]));
  const readers = new Map<Node, Work[]>();
  for (const work of works) {
    for (const n of work.reads) {
      readers.set(n, [...(readers.get(n) ?? []), work]);
      const from = writer.get(n);
      if (from !== undefined && from !== work) after.get(work)!.add(from);
    }
  }
  for (const node of graph.order) {
    if (node.kind !== "assign" || node.storage !== undefined) continue;
    const [target, value] = node.src, held = holder(value);
    const direct = alias.get(held) === target;
    const write = writer.get(direct ? held : node)!;
    const mark = writer.get(node)!;
    if (mark !== write) after.get(mark)!.add(write);
    // Every leaf node of the same storage shows the old value, and so does the value assigned last.
    const last = target.kind === "assign" ? holder(target.src[1]) : undefined;
    const old = graph.order.filter((n) =>
      n === target || (n === last && alias.has(n)) ||
      (target.storage !== undefined && n.storage === target.storage)
    );
    for (const n of old) {
      for (const reader of readers.get(n) ?? []) {
        if (reader !== write) after.get(write)!.add(reader);
      }
    }
    const before = writer.get(target);
    if (before !== undefined && before !== write) after.get(write)!.add(before);
  }
  const rank = new Map(graph.order.map((n, i) => [n, i]));
  const priority = (w: Work) => Math.max(...w.unit.nodes.map((n) => rank.get(n) ?? 0));
  const waiting = [...works].sort((a, b) => priority(a) - priority(b));
  const out: Work[] = [], done = new Set<Work>();
  while (out.length < waiting.length) {
    const next = waiting.find((w) => !done.has(w) && [...after.get(w)!].every((d) => done.has(d)));
    if (next === undefined) {
      throw new Conflict(
        graph.order.filter((a) => a.kind === "assign" && a.storage === undefined),
      );
    }
    done.add(next);
    out.push(next);
  }
  return out;
}

/** Steps of ordered works: what each waits for and what is free after it. */
export function makeSteps(
  works: readonly Work[],
  slots: readonly Slot[],
  results: readonly number[],
): Step[] {
  const launches = works.flatMap((w) => w.launches);
  const last = new Map<number, number>(), pending = new Map<number, number>();
  launches.forEach((l, i) => l.slots.forEach((s) => last.set(s, i)));
  return launches.map((l, i): Step => {
    const waits = [...new Set(l.slots.map((s) => pending.get(s)).filter((w) => w !== undefined))];
    for (const s of l.slots) pending.delete(s);
    if ("call" in l && l.async) l.slots.forEach((s) => pending.set(s, i));
    const frees = [...new Set(l.slots)].filter((s) =>
      last.get(s) === i && slots[s].kind === "temp" && !results.includes(s)
    );
    const rest = { slots: l.slots, waits, frees };
    return "call" in l
      ? { kind: "routine", call: l.call, ...rest }
      : { kind: "kernel", kernel: l.kernel, extent: l.extent, ...rest };
  });
}
