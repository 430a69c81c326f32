/**
 * Hands the elementwise end of a linear layer to its product, where the device asks for that: `relu(x @ w + bias)` becomes one routine. Only what nobody else reads is
 * folded, so a pass that keeps the values before an activation for its gradient folds the bias alone.
 */
import type { Activation, RoutineCall } from "../device.ts";
import { makeNode, type Node, type NodeOf, operandOf } from "../node.ts";
import type { OpName } from "../ops.ts";
import { numel } from "../shape.ts";
import { baseOf, straightView } from "./graph_facts.ts";
import type { Graph } from "./order.ts";

/** Whether a device wants a product with its end. */
export type WantsEpilogue = (call: RoutineCall<"matmulEpilogue">) => boolean;

/** What one routine stands for. */
interface Fold {
  readonly product: NodeOf<"routine">;
  readonly bias: Node;
  readonly activation: Activation;
  /** Nodes that are computed inside, but for the last. */
  readonly inside: readonly Node[];
}

/** A formula over one value `y`: a primitive of formulas or numbers. */
type Formula = "y" | number | { readonly op: OpName; readonly src: readonly Formula[] };
const op = (name: OpName, ...src: Formula[]): Formula => ({ op: name, src });

const cubic = op("mul", op("add", op("mul", op("mul", "y", "y"), 0.044715), 1), "y");
/** As `relu()` and `gelu({ approximate: "tanh" })` write them. */
const activations: Readonly<Record<Exclude<Activation, "none">, Formula>> = {
  relu: op("where", op("le", "y", 0), 0, "y"),
  gelu: op(
    "mul",
    op("add", op("tanh", op("mul", cubic, Math.sqrt(2 / Math.PI))), 1),
    op("mul", "y", 0.5),
  ),
};

/** The nodes inside a match of a formula, and what `y` is. */
interface Match {
  y: Node | undefined;
  readonly inside: Set<Node>;
}

/** Whether a node computes a formula. Numbers may have been rounded to half precision. */
function matches(node: Node, formula: Formula, found: Match): boolean {
  if (typeof formula === "number") {
    return node.kind === "const" && Math.abs(node.arg.value - formula) <= Math.abs(formula) / 128;
  }
  const base = baseOf(node);
  if (base !== node) {
    if (!straightView(node)) return false;
    found.inside.add(node);
  }
  if (formula === "y") {
    if (found.y !== undefined && found.y !== base) return false;
    found.y = base;
    return true;
  }
  if (base.kind !== "op" || base.storage !== undefined || base.arg.op !== formula.op) return false;
  found.inside.add(base);
  return base.src.length === formula.src.length &&
    base.src.every((s, i) => matches(s, formula.src[i], found));
}

/** The vector that a node repeats over all dimensions but the last. */
function repeatedVector(node: Node): Node | undefined {
  const base = baseOf(node), size = node.shape.at(-1)!;
  if (node.kind !== "view" || base === node || base.kind === "const") return undefined;
  const { offset, strides } = node.arg, last = strides.length - 1;
  const repeats = strides.every((s, d) =>
    d === last ? s === 1 || size === 1 : s === 0 || node.shape[d] === 1
  );
  return repeats && offset === 0 && numel(base.shape) === size ? base : undefined;
}

class Folder {
  readonly #users = new Map<Node, Set<Node>>();
  readonly #roots: ReadonlySet<Node>;
  readonly #folds = new Map<Node, Fold>();
  /** What only the folded nodes have read. */
  readonly #dropped = new Set<Node>();
  readonly #made = new Map<Node, Node>();

  constructor(readonly graph: Graph, readonly wants: WantsEpilogue) {
    this.#roots = new Set(graph.roots);
    for (const node of graph.order) {
      if (node.storage !== undefined) continue;
      for (const s of node.src) {
        let users = this.#users.get(s);
        if (users === undefined) this.#users.set(s, users = new Set());
        users.add(node);
      }
    }
  }

  /** Whether nobody but `end` and the nodes inside reads what is inside. */
  #isClosed(inside: ReadonlySet<Node>, end: Node): boolean {
    return [...inside].every((n) =>
      n === end || (!this.#roots.has(n) &&
        [...this.#users.get(n) ?? []].every((u) => u === end || inside.has(u)))
    );
  }

  #wanted(fold: Fold, end: Node): boolean {
    const operands = [...fold.product.src, fold.bias, end].map(operandOf);
    return this.wants({
      name: "matmulEpilogue",
      params: { activation: fold.activation },
      operands,
    });
  }

  /** A product of matrices and what is added to it, when `end` is that sum. */
  #biased(end: Node): Fold | undefined {
    if (end.kind !== "op" || end.arg.op !== "add" || end.storage !== undefined) return undefined;
    for (const [i, source] of end.src.entries()) {
      const product = baseOf(source), bias = repeatedVector(end.src[1 - i]);
      if (product.kind !== "routine" || product.arg.name !== "matmul") continue;
      // A single row may be added to itself.
      if (bias === undefined || bias === product) continue;
      if (product.storage !== undefined || !straightView(source)) continue;
      const fits = product.shape.length === 2 && product.shape[1] === end.shape.at(-1) &&
        bias.dtype === product.dtype && end.dtype === product.dtype;
      if (!fits || !this.#isClosed(new Set([product, source]), end)) continue;
      return { product, bias, activation: "none", inside: [product, source] };
    }
    return undefined;
  }

  #find(): void {
    const sums = new Map<Node, Fold>();
    for (const node of this.graph.order) {
      const fold = this.#biased(node);
      if (fold !== undefined) sums.set(node, fold);
    }
    if (sums.size === 0) return;
    for (const node of this.graph.order) {
      for (const [name, formula] of Object.entries(activations)) {
        const found: Match = { y: undefined, inside: new Set() };
        if (!matches(node, formula, found) || node.kind === "view") continue;
        const sum = sums.get(found.y!);
        if (sum === undefined || !this.#isClosed(found.inside.add(found.y!), node)) continue;
        found.inside.delete(node);
        const inside = [...sum.inside, ...found.inside];
        const fold: Fold = { ...sum, activation: name as Activation, inside };
        if (!this.#wanted(fold, node)) continue;
        this.#folds.set(node, fold);
        sums.delete(found.y!);
      }
    }
    for (const [end, fold] of sums) if (this.#wanted(fold, end)) this.#folds.set(end, fold);
  }

  run(): Graph {
    this.#find();
    if (this.#folds.size === 0) return this.graph;
    for (const { inside } of this.#folds.values()) inside.forEach((n) => this.#dropped.add(n));
    const order: Node[] = [];
    for (const node of this.graph.order) {
      if (this.#dropped.has(node)) continue;
      const made = this.#rebuilt(node);
      this.#made.set(node, made);
      order.push(made);
    }
    const roots = this.graph.roots.map((r) => this.#made.get(r)!);
    return { ...this.graph, roots, order };
  }

  #rebuilt(node: Node): Node {
    if (node.storage !== undefined) return node;
    const { dtype, device, shape } = node, fold = this.#folds.get(node);
    const now = (n: Node) => this.#made.get(n) ?? n;
    if (fold !== undefined) {
      const src = [...fold.product.src, fold.bias].map(now);
      const arg = { name: "matmulEpilogue", params: { activation: fold.activation } } as const;
      return makeNode("routine", arg, src, shape, dtype, device, false);
    }
    const src = node.src.map(now);
    if (src.every((s, i) => s === node.src[i])) return node;
    if (node.kind === "view") {
      const movement = { kind: "alias", stop: true } as const;
      const arg = { ...node.arg, movement, parent: src[0] };
      return makeNode("view", arg, src, shape, dtype, device, false);
    }
    return makeNode(node.kind, node.arg as never, src, shape, dtype, device, false);
  }
}

/** Folds biases and activations into products where `wants` says so; the same graph when it never does. */
export function foldEpilogues(graph: Graph, wants: WantsEpilogue | undefined): Graph {
  return wants === undefined ? graph : new Folder(graph, wants).run();
}
