/** Values of a graph whose memory has channels last, as others see them: views of the old shape or of the new one, and row-major copies where strides cannot tell. */
import { channelsLastStrides, lastOrder } from "../channel_order.ts";
import { constNode, makeNode, type Node, type NodeOf, opNode } from "../node.ts";
import {
  composeView,
  contiguousStrides,
  coordinates,
  isContiguous,
  numel,
  sameShape,
  type Shape,
} from "../shape.ts";
import { baseOf } from "./graph_facts.ts";

/** Memory as a node of its own, and where a view's elements lie in it. */
export interface Place {
  /** What holds them. */
  readonly base: Node;
  readonly offset: number;
  readonly strides: readonly number[];
}

/** The new nodes of a graph, in order, and what stands for the old ones. */
export class ChannelViews {
  /** The new nodes. */
  readonly order: Node[] = [];
  /** For nodes with channels last, `[N, ..., C]`; for all others what stands for them, of the same shape. */
  readonly made: Map<Node, Node> = new Map();
  /** Nodes with channels last. */
  readonly last: Set<Node> = new Set();
  readonly #views = new Map<Node, Map<string, Node>>();
  /** Row-major copies of views. */
  readonly #copies = new Map<Node, Node>();

  /** Puts a node next in the order. */
  add(node: Node): Node {
    this.order.push(node);
    return node;
  }

  /** Where the elements of a node lie now; undefined when strides cannot tell. */
  placeOf(source: Node): Place | undefined {
    const base = baseOf(source), made = this.made.get(base)!;
    const view = source === base || source.kind !== "view"
      ? { offset: 0, strides: contiguousStrides(source.shape) }
      : source.arg;
    if (!this.last.has(base)) return { base: made, offset: view.offset, strides: view.strides };
    const coords = coordinates(view, source.shape, base.shape);
    if (coords === undefined) return undefined;
    const memory = { offset: 0, strides: channelsLastStrides(base.shape) };
    return { base: made, ...composeView(memory, coords, source.shape.length) };
  }

  /** As above, out of a row-major copy where strides cannot tell. */
  #place(source: Node): Place {
    const place = this.placeOf(source);
    if (place !== undefined) return place;
    const base = baseOf(source), { offset, strides } = (source as NodeOf<"view">).arg;
    return { base: this.whole(this.second(base)), offset, strides };
  }

  #view(source: Node, { base, offset, strides }: Place, shape: Shape): Node {
    const { dtype, device } = source;
    if (base.kind === "const") return constNode(base.arg.value, shape, dtype, device);
    const straight = offset === 0 && isContiguous(shape, strides) &&
      sameShape(shape, base.shape);
    if (straight) return base;
    let known = this.#views.get(base);
    if (known === undefined) this.#views.set(base, known = new Map());
    const key = `${offset} ${strides} ${shape}`;
    let view = known.get(key);
    if (view === undefined) {
      const arg = {
        offset,
        strides,
        movement: { kind: "alias", stop: true },
        parent: base,
      } as const;
      view = this.add(makeNode("view", arg, [base], shape, dtype, device, false));
      known.set(key, view);
    }
    return view;
  }

  /** What stands for a node in its own shape. */
  second(source: Node): Node {
    const base = baseOf(source);
    if (!this.last.has(base) && this.made.get(base) === base) {
      if (source !== base && !this.made.has(source)) this.made.set(source, this.add(source));
      return source;
    }
    return this.#view(source, this.#place(source), source.shape);
  }

  /** A node with its second dimension last. */
  turn(source: Node): Node {
    if (source.shape.length < 3) return this.second(source);
    const { base, offset, strides } = this.#place(source);
    return this.#view(
      source,
      { base, offset, strides: lastOrder(strides) },
      lastOrder(source.shape),
    );
  }

  /** A row-major node: itself, or a copy. */
  whole(node: Node): Node {
    const base = baseOf(node);
    const whole = node.kind !== "const" && (base === node || (node.kind === "view" &&
      node.arg.offset === 0 && numel(base.shape) === numel(node.shape) &&
      isContiguous(node.shape, node.arg.strides)));
    if (whole) return node;
    let copy = this.#copies.get(node);
    if (copy === undefined) {
      this.#copies.set(node, copy = this.add(opNode("cast", [node], node.dtype)));
    }
    return copy;
  }
}
