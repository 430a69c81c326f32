/** From a graph to a plan: cut into units, emit consumers before producers, order by what reads and writes what. */
import type { RoutineCall } from "../device.ts";
import { type Node, type NodeOf, operandOf, rowMajor } from "../node.ts";
import { composeView, contiguousStrides, numel } from "../shape.ts";
import type { Storage } from "../storage.ts";
import { Emitter, Refine } from "./emit.ts";
import { Conflict, type Graph, makeSteps, orderWorks, type Work } from "./order.ts";
import type { Plan, Slot } from "./plan.ts";
import { baseOf, isLeaf } from "./graph_facts.ts";
import { Places } from "./places.ts";
import { edgesOf } from "./spaces.ts";
import { cutUnits, live, type Unit, type Units } from "./units.ts";

/** Thrown when a kernel would have to read a value that only it, or a kernel already written, computes. */
class Apart extends Error {
  constructor(readonly node: Node) {
    super("A value must be computed before the kernel that reads it");
  }
}

/** Makes the plan of a graph. With `fuse` off every operation is its own kernel; the readers of the nodes of `away` stand in other kernels. */
export function schedule(graph: Graph, fuse: boolean, away: Iterable<Node> = []): Plan {
  const copied = new Set<Node>(), apart = new Set<Node>(away);
  for (;;) {
    try {
      return new Scheduler(graph, fuse, copied, apart).plan();
    } catch (error) {
      if (error instanceof Apart && !apart.has(error.node)) {
        apart.add(error.node);
        continue;
      }
      if (!(error instanceof Conflict)) throw error;
      const fresh = error.assigns.filter((a) => !copied.has(a));
      if (fresh.length > 0) fresh.forEach((a) => copied.add(a));
      else if (fuse) return schedule(graph, false, away);
      else throw new Error(`Cannot order this graph: ${error.message}; realize() earlier`);
    }
  }
}

class Scheduler {
  readonly #slots: Slot[] = [];
  readonly #slotIds = new Map<Node | Storage, number>();
  readonly #places: Places;
  readonly #units: Units;
  readonly #works: Work[] = [];
  #current: Work | undefined;

  readonly #begun = new Set<Unit>();
  /** Results that one call computes, in order, by their list. */
  readonly #calls = new Map<unknown, NodeOf<"routine">[]>();

  /** `copied` assignments are separate copies; the readers of `apart` nodes stand in other kernels. */
  constructor(
    readonly graph: Graph,
    readonly fuse: boolean,
    readonly copied: ReadonlySet<Node>,
    readonly apart: ReadonlySet<Node>,
  ) {
    this.#places = new Places(graph, copied, apart);
    const { stored, alias } = this.#places;
    const users = new Map<Node, number>();
    for (const node of graph.order) {
      if (node.kind === "view" && !stored.has(node)) continue;
      if (isLeaf(node)) continue;
      if (node.kind === "routine" && node.arg.among !== undefined) {
        const { results } = node.arg.among, known = this.#calls.get(results);
        if (known === undefined) this.#calls.set(results, [node]);
        else known.push(node);
      }
      for (const s of new Set(node.src.map(baseOf))) users.set(s, (users.get(s) ?? 0) + 1);
    }
    const inPlace = (node: Node) => alias.has(node);
    this.#units = cutUnits(graph.order, { stored, users, apart, inPlace }, fuse);
  }

  #slot(node: Node): number {
    const place = this.#places.place(node);
    let id = this.#slotIds.get(place);
    if (id === undefined) {
      const leaf = this.graph.leaves.indexOf(place as Storage);
      id = this.#slots.push(
        leaf >= 0
          ? { kind: "leaf", leaf }
          : { kind: "temp", dtype: node.dtype, length: numel(node.shape) },
      ) - 1;
      this.#slotIds.set(place, id);
    }
    return id;
  }

  /** Slot of a node that a kernel reads; a node nobody stored yet becomes stored. */
  #read(node: Node): number {
    this.#current!.reads.add(node);
    const home = this.#units.home.get(node);
    const begun = home !== undefined && this.#begun.has(live(home));
    if (begun && (live(home) === this.#current!.unit || !this.#places.stored.has(node))) {
      throw new Apart(node);
    }
    if (node.storage === undefined && !this.#places.stored.has(node)) {
      this.#places.stored.add(node);
      if (home === undefined) {
        const unit: Unit = {
          kind: "lone",
          nodes: [node],
          numel: numel(node.shape),
          edges: edgesOf(node.shape),
          segments: undefined,
          deps: new Set(),
          merged: undefined,
        };
        this.#units.home.set(node, unit);
        this.#late.push(unit);
      }
    }
    return this.#slot(node);
  }
  readonly #late: Unit[] = [];

  #write(node: Node): number {
    this.#current!.writes.add(node);
    return this.#slot(node);
  }

  /** Appends one kernel that `write` emits, over loops that are split as finely as the views inside need. */
  #kernel(edges: readonly number[], unit: Unit | undefined, write: (e: Emitter) => void): void {
    const memory = {
      readSlot: (node: Node) => this.#read(node),
      writeSlot: (node: Node) => this.#write(node),
      inMemory: (node: Node) => node.storage !== undefined || this.#places.stored.has(node),
    };
    for (;;) {
      const emitter = new Emitter(memory, this.#units, edges, unit?.segments ?? [], unit);
      try {
        write(emitter);
        this.#current!.launches.push(emitter.finish());
        return;
      } catch (error) {
        if (!(error instanceof Refine)) throw error;
        edges = error.edges;
      }
    }
  }

  #emitGroup(unit: Unit): void {
    const outs = unit.nodes.filter((n) => this.#places.stored.has(n));
    if (outs.length === 0) return;
    let unsafe: Node[] = [];
    for (const node of outs) {
      if (this.#units.level.get(node) !== "column") continue;
      this.#kernel(edgesOf(node.shape), undefined, (emitter) => {
        const zero = emitter.constant(0, node.dtype);
        emitter.store(this.#write(node), node.dtype, emitter.map("full"), zero, "full");
      });
    }
    this.#kernel(unit.edges, unit, (emitter) => {
      for (const node of outs) {
        const level = this.#units.level.get(node)!;
        if (level === "column") {
          const value = emitter.value(node.src[0], emitter.map("full"));
          emitter.accumulateColumn(this.#write(node), node.dtype, value);
          continue;
        }
        const value = emitter.value(node, emitter.map(level));
        emitter.store(this.#write(node), node.dtype, emitter.map(level), value, level);
      }
      unsafe = outs.filter((n) => this.#places.alias.has(n) && emitter.hazard(this.#slot(n)));
    });
    if (unsafe.length === 0) return;
    throw new Conflict(
      this.graph.order.filter((a) =>
        a.kind === "assign" && unsafe.includes(this.#places.holder(a.src[1]))
      ),
    );
  }

  /** A kernel that writes `value` over all of `out`: from memory, computed, or whichever is the rule. */
  #emitCopy(value: Node, out: Node, how: "load" | "compute" | "value" = "value"): void {
    if (numel(out.shape) === 0) return void this.#write(out);
    this.#kernel(edgesOf(out.shape), undefined, (emitter) => {
      const map = emitter.map("full");
      const id = emitter[how](value, map);
      emitter.store(this.#write(out), out.dtype, map, id, "full");
    });
  }

  #emitAssemble(node: NodeOf<"assemble">): void {
    const out = node as Node, strides = contiguousStrides(node.shape);
    const covered = node.src.reduce((n, s) => n + numel(s.shape), 0) === numel(node.shape);
    if (!covered) {
      this.#kernel(edgesOf(node.shape), undefined, (emitter) => {
        const fill = emitter.constant(node.arg.fill, node.dtype);
        emitter.store(this.#write(out), node.dtype, emitter.map("full"), fill, "full");
      });
    }
    node.src.forEach((part, i) => {
      if (numel(part.shape) === 0) return;
      this.#kernel(edgesOf(part.shape), undefined, (emitter) => {
        const full = emitter.map("full");
        const offset = node.arg.starts[i].reduce((sum, at, d) => sum + at * strides[d], 0);
        const coords = emitter.split(full, part.shape)!;
        const map = composeView({ offset, strides }, coords, full.strides.length);
        const value = emitter.value(part, full);
        emitter.store(this.#write(out), node.dtype, map, value, "full");
      });
    });
  }

  #emitScatter(node: NodeOf<"scatter">): void {
    const [base, index, values] = node.src, out = node as Node;
    this.#emitCopy(base, out);
    this.#kernel(edgesOf(values.shape), undefined, (emitter) => {
      const full = emitter.map("full");
      const coords = emitter.split(full, values.shape)!;
      const at = emitter.value(index, full), value = emitter.value(values, full);
      emitter.accumulate(emitter.indexed(out, node.arg.dim, coords, at, "write"), value);
    });
  }

  #emitRoutine(node: NodeOf<"routine">): void {
    const out = node as Node, { name, params, among } = node.arg;
    const together = among === undefined ? [node] : this.#calls.get(among.results)!;
    // The first result's call computes the others too.
    if (together[0] !== node) return;
    const inPlace = name === "allReduce";
    if (inPlace) this.#emitCopy(node.src[0], out);
    const inputs = inPlace ? [] : node.src;
    const slots = inputs.map((s) => this.#read(baseOf(s)));
    const outputs = among?.results ?? [out];
    const written = outputs.map(({ dtype, shape }, i) => {
      const wanted = among === undefined ? node : together.find((n) => n.arg.among?.index === i);
      if (wanted !== undefined) return this.#write(wanted as Node);
      // Nobody reads this result, but the routine writes it.
      return this.#slots.push({ kind: "temp", dtype, length: numel(shape) }) - 1;
    });
    const call: RoutineCall = {
      name,
      params,
      operands: [...inputs.map(operandOf), ...outputs.map(rowMajor)],
      results: outputs.length,
    };
    this.#current!.launches.push({ call, slots: [...slots, ...written], async: inPlace });
  }

  #emitLone(node: Node): void {
    switch (node.kind) {
      case "assemble":
        return this.#emitAssemble(node);
      case "scatter":
        return this.#emitScatter(node);
      case "routine":
        return this.#emitRoutine(node);
      case "assign": {
        const value = this.#places.holder(node.src[1]);
        // Written by the kernel of the value already; only the order of versions is left to state.
        if (this.#places.alias.get(value) === node.src[0]) this.#current!.writes.add(node);
        else {this.#emitCopy(
            node.src[1],
            node,
            this.#places.stored.has(node.src[1]) ? "load" : "value",
          );}
        return;
      }
      default:
        return this.#emitCopy(node, node, "compute");
    }
  }

  #emit(unit: Unit): void {
    const work: Work = { unit, launches: [], reads: new Set(), writes: new Set() };
    this.#current = work;
    this.#begun.add(unit);
    if (unit.kind === "group") this.#emitGroup(unit);
    else if (this.#places.stored.has(unit.nodes[0])) this.#emitLone(unit.nodes[0]);
    if (work.launches.length > 0 || work.writes.size > 0) this.#works.push(work);
    for (let u = this.#late.pop(); u !== undefined; u = this.#late.pop()) this.#emit(u);
  }

  plan(): Plan {
    for (const unit of this.#unitOrder().reverse()) this.#emit(unit);
    const results = this.graph.roots.map((root) => this.#slot(this.#places.rootHolder(root)));
    const inPlace = { holder: (n: Node) => this.#places.holder(n), alias: this.#places.alias };
    const works = orderWorks(this.graph, this.#works, inPlace);
    const written = this.graph.order.flatMap((n) => {
      if (n.kind !== "assign" || n.storage !== undefined) return [];
      const slot = this.#slots[this.#slot(n)];
      return slot.kind === "leaf" ? [slot.leaf] : [];
    });
    const steps = makeSteps(works, this.#slots, results);
    return { slots: this.#slots, steps, results, written: [...new Set(written)] };
  }

  #unitOrder(): Unit[] {
    const out: Unit[] = [], state = new Map<Unit, 1 | 2>();
    // Iterative depth-first walk: graphs of deep models would overflow the call stack.
    for (const node of this.graph.order) {
      const home = this.#units.home.get(node);
      const stack = home === undefined ? [] : [live(home)];
      while (stack.length > 0) {
        const unit = stack[stack.length - 1], seen = state.get(unit);
        if (seen === undefined) {
          state.set(unit, 1);
          for (const dep of unit.deps) if (!state.has(live(dep))) stack.push(live(dep));
        } else {
          stack.pop();
          if (seen === 1) {
            state.set(unit, 2);
            out.push(unit);
          }
        }
      }
    }
    return out;
  }
}
