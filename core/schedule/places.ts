/** Which nodes of a graph lie in memory, and whose memory that is. */
import type { Node } from "../node.ts";
import type { Storage } from "../storage.ts";
import { baseOf, isLeaf, straightView } from "./graph_facts.ts";
import type { Graph } from "./order.ts";

/** The memory of a graph's nodes. */
export class Places {
  /** Nodes that get memory of their own in any case, or are written to that of another. */
  readonly stored = new Set<Node>();
  /** Node whose memory another node's value is written to. */
  readonly alias = new Map<Node, Node>();
  /** Nodes whose memory an assignment of this plan overwrites. */
  readonly #overwritten = new Set<Node>();

  /** `copied` assignments are separate copies; the readers of `apart` nodes stand in other kernels. */
  constructor(graph: Graph, copied: ReadonlySet<Node>, apart: ReadonlySet<Node>) {
    const store = (node: Node) => {
      if (node.storage === undefined) this.stored.add(node);
    };
    for (const node of graph.order) {
      if (node.kind !== "assign" || node.storage !== undefined) continue;
      const [target] = node.src;
      this.#overwritten.add(target);
      for (const n of graph.order) {
        if (target.storage !== undefined && n.storage === target.storage) this.#overwritten.add(n);
      }
    }
    apart.forEach(store);
    graph.kept?.forEach(store);
    // A root keeps its value, so it may not lie in memory that later assignments change.
    const taken = new Set<Node>(graph.roots.map((root) => this.rootHolder(root)));
    taken.forEach(store);
    for (const node of graph.order) {
      if (node.storage !== undefined) continue;
      if (node.kind === "routine" && node.arg.name !== "allReduce") {
        node.src.forEach((s) => store(baseOf(s)));
      }
      if (node.kind === "gather") store(baseOf(node.src[0]));
      if (node.kind === "routine" || node.kind === "scatter" || node.kind === "assemble") {
        store(node);
      }
      if (node.kind !== "assign") continue;
      store(node);
      this.alias.set(node, node.src[0]);
      // The kernel that computes the value writes it to the target, unless that has proved impossible.
      const value = this.holder(node.src[1]);
      const direct = !isLeaf(value) && !taken.has(value) && !copied.has(node) &&
        (value.kind === "op" || value.kind === "reduce" || value.kind === "gather");
      if (!direct) {
        // Read from memory of its own: computed while the target is written, it might see new elements.
        const source = baseOf(node.src[1]);
        if (!isLeaf(source)) store(source);
        if (this.place(source) === this.place(node)) store(node.src[1]);
        continue;
      }
      taken.add(value);
      this.alias.set(value, node.src[0]);
      store(value);
    }
  }

  /** The node that holds a root: itself, or the base of a view that shows all of it in order. */
  holder(node: Node): Node {
    return straightView(node) ? baseOf(node) : node;
  }

  /** The holder of a root, which keeps its value: not memory that this plan overwrites. */
  rootHolder(root: Node): Node {
    const holder = this.holder(root);
    return this.#overwritten.has(holder) ? root : holder;
  }

  /** The node or storage behind a node's memory. */
  place(node: Node): Node | Storage {
    let at = node;
    while (this.alias.has(at)) at = this.alias.get(at)!;
    return at.storage ?? at;
  }
}
