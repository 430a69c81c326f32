/**
 * Rewrites a graph so that values between convolutions lie in memory with channels last, where the device asks for that: `[N, ...spatial, C]` behind a
 * view that still shows `[N, C, ...spatial]`. Tensors, gradients and results never see it: what leaves the graph is row-major as ever.
 *
 * A convolution that the device wants so is the start; pointwise work, gathers, reductions and pooling of such values follow, forward and backward alike.
 * Weights, inputs and results are turned where they enter and leave, by the kernel that casts or updates them if there is one.
 */
import { lastOrder, placeOf } from "../channel_order.ts";
import type { Operand, RoutineCall, RoutineName, RoutineParams } from "../device.ts";
import {
  makeNode,
  type Node,
  type NodeArgs,
  type NodeOf,
  opNode,
  type RoutineResult,
} from "../node.ts";
import { contiguousStrides, numel, sameShape } from "../shape.ts";
import { ChannelViews } from "./channel_views.ts";
import { baseOf } from "./graph_facts.ts";
import type { Graph } from "./order.ts";
import { Worth } from "./worth.ts";

/** What is decided about a graph. */
export interface Arranged {
  /** The graph to schedule; the roots stand for those of the original in order. */
  readonly graph: Graph;
  /** Statistics of channels: other kernels read them from memory, as columns are summed by many blocks at once. */
  readonly apart: ReadonlySet<Node>;
}

/** Whether a device wants a routine's operands with channels last. */
export type WantsLast = (call: RoutineCall) => boolean;

/** Routines that can run so: those that follow what they read, and those that are a start, with the place of their weight, the result included. */
const routines: { readonly [R in RoutineName]?: "follows" | { readonly weight: number } } = {
  convolution: { weight: 1 },
  convolutionInput: { weight: 1 },
  convolutionWeight: { weight: 2 },
  maxPool: "follows",
  poolScatter: "follows",
  batchNorm: "follows",
  batchNormGradient: "follows",
};

/** The place of the weight of a routine that is a start. */
function weightOf(name: RoutineName): number | undefined {
  const routine = routines[name];
  return typeof routine === "object" ? routine.weight : undefined;
}

/** Puts channels last where `wants` says so; the same graph when it never does. */
export function arrangeChannels(graph: Graph, wants: WantsLast | undefined): Arranged {
  const none = { graph, apart: new Set<Node>() };
  const convolves = (n: Node) =>
    n.storage === undefined && n.kind === "routine" && weightOf(n.arg.name) !== undefined &&
    wants!(callOf(n));
  if (wants === undefined) return none;
  const chosen = new Set(graph.order.filter(convolves));
  return chosen.size === 0 ? none : new Arranger(graph, chosen, wants).run();
}

function callOf(node: NodeOf<"routine">): RoutineCall {
  const operand = ({ dtype, shape }: Node): Operand => ({
    dtype,
    shape,
    strides: contiguousStrides(shape),
    offset: 0,
  });
  const { name, params } = node.arg;
  return { name, params, operands: [...node.src, node as Node].map(operand) };
}

class Arranger {
  readonly #views = new ChannelViews();
  readonly #apart = new Set<Node>();
  /** Weights and their gradients: what is computed of them keeps its order, which is that of the parameters. */
  readonly #weights = new Set<Node>();
  /** Operations whose only reason to have channels last is that a convolution reads them. */
  readonly #pulled = new Set<Node>();
  /** What is computed of the sums over all of a channel. */
  readonly #statistics = new Set<Node>();
  readonly #worth: Worth;
  readonly #kept = new Set<Node>();
  readonly #masks = new Map<Node, Node>();
  readonly #results = new Map<readonly RoutineResult[], readonly RoutineResult[]>();

  constructor(
    readonly graph: Graph,
    readonly chosen: ReadonlySet<Node>,
    readonly wants: WantsLast,
  ) {
    this.#worth = new Worth(graph, this.#views.last);
    for (const node of chosen) {
      const weight = weightOf((node as NodeOf<"routine">).arg.name);
      if (weight === node.src.length) this.#weights.add(node);
      node.src.forEach((s, i) => {
        const base = baseOf(s);
        if (base.storage !== undefined || base.kind !== "op") return;
        if (!sameShape(base.shape, s.shape)) return;
        this.#pulled.add(base);
        if (i === weight) this.#weights.add(base);
      });
    }
  }

  run(): Arranged {
    for (const node of this.graph.order) this.#visit(node);
    const roots = this.graph.roots.map((r) => this.#views.second(r));
    const graph = { ...this.graph, roots, order: this.#views.order, kept: this.#kept };
    return { graph, apart: this.#apart };
  }

  #visit(node: Node): void {
    if (node.storage !== undefined) return void this.#views.made.set(node, this.#views.add(node));
    // Made anew where somebody reads them.
    if (node.kind === "view") return;
    if (this.#wantsLast(node)) {
      if (node.shape.length > 2) this.#views.last.add(node);
      const made = this.#views.add(this.#turned(node));
      this.#views.made.set(node, made);
      if (this.#worth.isDear(node)) this.#kept.add(made);
      if (this.#isStatistic(node)) this.#statistics.add(node);
      return;
    }
    const whole = node.kind === "routine" && node.arg.name !== "allReduce";
    const src = node.src.map((s) => {
      const second = this.#views.second(s);
      return whole && second !== s ? this.#views.whole(second) : second;
    });
    const same = src.every((s, i) => s === node.src[i]);
    const { kind, arg, shape, dtype, device } = node;
    this.#views.made.set(
      node,
      this.#views.add(same ? node : makeNode(kind, arg as never, src, shape, dtype, device, false)),
    );
    if (this.#isStatistic(node)) this.#statistics.add(node);
  }

  /** Whether a node reads a value with channels last element for element. */
  #follows(source: Node): boolean {
    const base = baseOf(source), { shape } = source;
    if (!this.#views.last.has(base) || this.#weights.has(base) || shape.length < 3) return false;
    const place = this.#views.placeOf(source);
    return place !== undefined && place.strides[1] === 1 && shape[1] > 1 &&
      place.strides.every((s, d) => s !== 0 || shape[d] === 1);
  }

  #wantsLast(node: Node): boolean {
    if (this.chosen.has(node)) return true;
    // A routine may have results without places beside those that have some.
    if (node.shape.length < 3 && node.kind !== "routine") return false;
    switch (node.kind) {
      case "op":
        return this.#pulled.has(node) || node.src.some((s) => this.#follows(s));
      case "reduce":
      case "gather":
        return this.#follows(node.src[0]);
      case "assemble":
        return node.src.some((s) => this.#follows(s));
      case "routine":
        return routines[node.arg.name] === "follows" &&
          this.#follows(node.src[0]) && this.wants(callOf(node));
      default:
        return false;
    }
  }

  /** Whether a node is computed of sums over all of a channel alone. */
  #isStatistic(node: Node): boolean {
    if (node.kind === "reduce") {
      return this.#views.last.has(node) && node.shape.every((n, d) => d === 1 || n === 1);
    }
    return node.kind === "op" && node.src.some((s) => {
      const base = baseOf(s);
      return this.#statistics.has(base) && numel(base.shape) === numel(node.shape);
    });
  }

  /** A node with channels last. */
  #turned(node: Node): Node {
    const { dtype, device } = node, rank = node.shape.length;
    const shape = rank > 2 ? lastOrder(node.shape) : node.shape;
    const make = <K extends Node["kind"]>(kind: K, arg: NodeArgs[K], src: readonly Node[]) =>
      makeNode(kind, arg, src, shape, dtype, device, false);
    const src = () => node.src.map((s) => this.#maskOf(node, s) ?? this.#views.turn(s));
    switch (node.kind) {
      case "op":
        for (const s of node.src) this.#keepApart(node, s);
        return make("op", node.arg, src());
      case "reduce":
        return make("reduce", {
          ...node.arg,
          dims: node.arg.dims.map((d) => placeOf(d, rank)).sort((a, b) => a - b),
        }, src());
      case "gather":
        return make("gather", { dim: placeOf(node.arg.dim, rank) }, src());
      case "assemble":
        return make("assemble", { ...node.arg, starts: node.arg.starts.map(lastOrder) }, src());
      case "routine": {
        const params = { ...node.arg.params, channelsLast: true } as RoutineParams[RoutineName];
        const among = node.arg.among && {
          ...node.arg.among,
          results: this.#turnedResults(node.arg.among.results),
        };
        const arg = { ...node.arg, params, ...(among && { among }) };
        return make("routine", arg, src().map((s) => this.#views.whole(s)));
      }
      default:
        throw new Error(`A ${node.kind} cannot have channels last`);
    }
  }

  /** The mask of a ReLU for a reader that sees it by the result; undefined for others. */
  #maskOf(reader: Node, mask: Node): Node | undefined {
    const result = this.#worth.resultFor(reader, mask);
    if (result === undefined) return undefined;
    let made = this.#masks.get(mask);
    if (made === undefined) {
      const sign = opNode("le", [this.#views.turn(result), this.#views.turn(mask.src[1])], "bool");
      this.#masks.set(mask, made = this.#views.add(sign));
    }
    return made;
  }

  /** The results of one call, of which those with places have channels last: one list for all its nodes. */
  #turnedResults(results: readonly RoutineResult[]): readonly RoutineResult[] {
    let turned = this.#results.get(results);
    if (turned === undefined) {
      turned = results.map((r) => r.shape.length > 2 ? { ...r, shape: lastOrder(r.shape) } : r);
      this.#results.set(results, turned);
    }
    return turned;
  }

  /** A statistic that is repeated over its channel comes from another kernel. */
  #keepApart(node: Node, source: Node): void {
    const base = baseOf(source);
    if (this.#statistics.has(base) && numel(base.shape) < numel(node.shape)) {
      this.#apart.add(this.#views.made.get(base)!);
    }
  }
}
