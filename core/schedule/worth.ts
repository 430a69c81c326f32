/** What is worth memory of its own, among values with channels last: they are large, and kernels on them wait for memory. */
import type { Node, NodeOf } from "../node.ts";
import { numel } from "../shape.ts";
import { baseOf } from "./graph_facts.ts";
import type { Graph } from "./order.ts";

/** Values of full size from which it pays to keep what is computed of them, if there are several readers. */
const LOADS = 3;

/** Whether a node is `x <= 0 ? 0 : x`. */
function isRectifier(node: Node): node is NodeOf<"op"> {
  if (node.kind !== "op" || node.arg.op !== "where" || node.storage !== undefined) return false;
  const [mask, zero, x] = node.src;
  const isZero = (n: Node) => n.kind === "const" && n.arg.value === 0;
  return mask.storage === undefined && mask.kind === "op" && mask.arg.op === "le" &&
    mask.src[0] === x && isZero(mask.src[1]) && isZero(zero);
}

/** Knows what a kernel would have to load to compute values again. */
export class Worth {
  readonly #last: ReadonlySet<Node>;
  /** How many nodes other than views read a node. */
  readonly #readers = new Map<Node, number>();
  /** What routines read, and so lies in memory. */
  readonly #operands = new Set<Node>();
  /** For each mask of a ReLU's input its result, which shows the same mask. */
  readonly #rectified = new Map<Node, Node>();
  /** For each operation that has been asked about, what would have to be loaded. */
  readonly #loads = new Map<Node, ReadonlySet<Node>>();

  /** @param graph What is computed; @param last Nodes with channels last, as they become known */
  constructor(graph: Graph, last: ReadonlySet<Node>) {
    this.#last = last;
    for (const node of graph.order) {
      if (isRectifier(node)) this.#rectified.set(node.src[0], node);
      if (node.kind === "view") continue;
      for (const base of new Set(node.src.map(baseOf))) {
        if (node.kind === "routine") this.#operands.add(base);
        this.#readers.set(base, (this.#readers.get(base) ?? 0) + 1);
      }
    }
  }

  /**
   * Whether many would have to load much to compute a node again; asked of each in order. Gradients that run along residual branches are sums with one more term for each block: every
   * kernel of a block would read all terms of the blocks above it.
   */
  isDear(node: Node): boolean {
    if (node.kind !== "op") return false;
    const all = new Set<Node>();
    for (const source of node.src.map(baseOf)) {
      const base = this.resultFor(node, source) ?? source;
      if (base.kind === "const" || numel(base.shape) < numel(node.shape)) continue;
      const below = this.#loads.get(base);
      if (below === undefined) all.add(base);
      else for (const b of below) all.add(b);
    }
    const dear = all.size >= LOADS && (this.#readers.get(node) ?? 0) > 1;
    this.#loads.set(node, dear || this.#operands.has(node) ? new Set([node]) : all);
    return dear;
  }

  /**
   * The result of a ReLU by which a reader sees its mask: one value to load, where the input of the ReLU is a sum of several, as at the end of a residual branch. It is in memory for the
   * next layer; the sum need not be.
   */
  resultFor(reader: Node, mask: Node): Node | undefined {
    const result = this.#rectified.get(mask);
    if (result === undefined || result === reader || !this.#last.has(result)) return undefined;
    return (this.#loads.get(mask)?.size ?? 0) > 1 ? result : undefined;
  }
}
