/** Reverse-mode differentiation: one walk over the graph, rules from the table. */
import { setWalking } from "./anomaly.ts";
import { setAutocastContext } from "./amp/state.ts";
import { gradientParents, nodeRules } from "./grad_rules.ts";
import { constNode, type Node, setGradEnabled } from "./node.ts";
import { onRealize } from "./realize.ts";
import { onScopeEnd } from "./scope.ts";
import { sameShape, shapeText } from "./shape.ts";
import { wrap } from "./tensor/base.ts";
import { assembleNode } from "./tensor/movement.ts";
import type { Tensor } from "./tensor/tensor.ts";

/** Runs `fn` without recording operations for gradients. */
export function noGrad<T>(fn: () => T): T {
  return withGrad(false, fn);
}

/** Runs `fn` with operations recorded for gradients, also inside `noGrad`. */
export function enableGrad<T>(fn: () => T): T {
  return withGrad(true, fn);
}

function withGrad<T>(enabled: boolean, fn: () => T): T {
  const before = setGradEnabled(enabled);
  try {
    const result = fn();
    if (result instanceof Promise) {
      throw new TypeError("Cannot run an async function here: the mode would end before it does");
    }
    return result;
  } finally {
    setGradEnabled(before);
  }
}

/** The nodes between `roots` and the leaves through which gradients flow, roots last. */
function gradientOrder(roots: readonly Node[], stops?: ReadonlySet<Node>): Node[] {
  const order: Node[] = [], seen = new Set<Node>();
  const stack: { node: Node; parents: readonly Node[]; next: number }[] = [];
  const push = (node: Node) => {
    if (seen.has(node) || !node.needsGrad) return;
    seen.add(node);
    const ends = node.leaf !== undefined || stops?.has(node);
    stack.push({ node, parents: ends ? [] : gradientParents(node), next: 0 });
  };
  for (const root of roots) {
    push(root);
    while (stack.length > 0) {
      const top = stack[stack.length - 1];
      if (top.next < top.parents.length) push(top.parents[top.next++]);
      else order.push(stack.pop()!.node);
    }
  }
  return order;
}

/** Adds up contributions. Slices of one tensor give zeros with a filled box each; disjoint boxes become one assembly. */
function total(parts: readonly Node[]): Node {
  if (parts.length === 1) return parts[0];
  const boxes = parts.map((p) =>
    p.kind === "assemble" && p.storage === undefined && p.src.length === 1 && p.arg.fill === 0
      ? { part: p.src[0], start: p.arg.starts[0] }
      : undefined
  );
  if (boxes.every((b) => b !== undefined)) {
    const apart = boxes.every((a, i) =>
      boxes.every((b, j) =>
        i <= j ||
        a.start.some((s, d) =>
          s >= b.start[d] + b.part.shape[d] || b.start[d] >= s + a.part.shape[d]
        )
      )
    );
    if (apart) {
      return assembleNode(
        boxes.map((b) => b.part),
        boxes.map((b) => b.start),
        parts[0].shape,
      );
    }
  }
  return parts.slice(1).reduce((sum, p) => wrap(sum).add(wrap(p)).node, parts[0]);
}

/** Gradients of `outputs` at every node reached; leaves and `stops` are walked to but not through. */
export function walk(
  outputs: readonly Node[],
  seeds: readonly Node[],
  createGraph: boolean,
  stops?: ReadonlySet<Node>,
): Map<Node, Node> {
  const before = setGradEnabled(createGraph);
  // Gradients have the types of the forward pass, also where backward() is called inside a region.
  const region = setAutocastContext(undefined);
  try {
    const contributions = new Map<Node, Node[]>();
    const give = (node: Node, g: Node) => {
      const list = contributions.get(node);
      if (list === undefined) contributions.set(node, [g]);
      else list.push(g);
    };
    outputs.forEach((o, i) => give(o, seeds[i]));
    const gradients = new Map<Node, Node>();
    for (const node of gradientOrder(outputs, stops).reverse()) {
      const parts = contributions.get(node);
      if (parts === undefined) continue;
      const g = total(parts);
      gradients.set(node, g);
      if (node.leaf !== undefined || stops?.has(node)) continue;
      const rule = nodeRules[node.kind] as (n: Node, g: Tensor) => readonly (Node | undefined)[];
      const outer = setWalking(node);
      const flows = rule(node, wrap(g));
      setWalking(outer);
      gradientParents(node).forEach((parent, i) => {
        const flow = flows[i];
        if (flow !== undefined && parent.needsGrad) give(parent, flow);
      });
    }
    return gradients;
  } finally {
    setWalking(undefined);
    setAutocastContext(region);
    setGradEnabled(before);
  }
}

function seedOf(output: Tensor, given: Tensor | undefined): Node {
  if (given === undefined) {
    if (output.numel !== 1) {
      throw new TypeError(
        `Cannot differentiate a tensor of shape ${shapeText(output.shape)} without a gradient: ` +
          "only a scalar needs none",
      );
    }
    return constNode(1, output.shape, output.dtype, output.device);
  }
  if (!sameShape(given.shape, output.shape)) {
    throw new TypeError(
      `Cannot differentiate ${shapeText(output.shape)} with a gradient of shape ${
        shapeText(given.shape)
      }`,
    );
  }
  return given.node;
}

/** Values that the next realization computes too: losses whose graph an optimizer step would invalidate, and gradients. */
const pendingRoots = new Set<Node>();
const pendingLeaves = new Set<Tensor>();

/** Has a tensor computed with whatever is computed next: statistics that a forward pass changes in place, say. */
export function dueWithNext(tensor: Tensor): void {
  pendingRoots.add(tensor.node);
}

function pendingNodes(): Node[] {
  const nodes = [...pendingRoots];
  for (const leaf of pendingLeaves) if (leaf.grad !== undefined) nodes.push(leaf.grad.node);
  return nodes.filter((n) => n.storage === undefined);
}

function settlePending(): void {
  for (const leaf of pendingLeaves) leaf.keepGrad();
  pendingRoots.clear();
  pendingLeaves.clear();
}

onRealize(pendingNodes, settlePending);
onScopeEnd(() => {
  // Gradients outlive the scope, what they are computed from does not.
  const nodes = pendingNodes();
  if (nodes.length > 0) { for (const n of nodes) wrap(n).realize(); }
  settlePending();
});

const noHistory = "Cannot differentiate a tensor that does not require gradients: " +
  "no input of it has requiresGrad, or it was made under noGrad";

/** See `Tensor.backward`. */
export function backward(
  output: Tensor,
  gradient: Tensor | undefined,
  options: { createGraph?: boolean },
): void {
  if (!output.requiresGrad) {
    throw new Error(noHistory);
  }
  const root = output.node, createGraph = options.createGraph ?? false;
  const gradients = walk([root], [seedOf(output, gradient)], createGraph);
  const before = setGradEnabled(createGraph);
  try {
    for (const [node, g] of gradients) {
      const leaf = node.leaf as Tensor | undefined;
      if (leaf === undefined) continue;
      leaf.grad = leaf.grad === undefined ? wrap(g) : leaf.grad.add(wrap(g));
      pendingLeaves.add(leaf);
    }
  } finally {
    setGradEnabled(before);
  }
  pendingRoots.add(root);
}

/**
 * Gradients of outputs with respect to inputs, without touching `grad`.
 *
 * @param outputs One or several tensors
 * @param inputs Tensors the outputs were computed from
 * @returns One gradient for each input; zeros where an input has no influence
 * @throws {TypeError} When an output is no scalar and has no gradient given
 * @throws {Error} When no output requires gradients
 */
export function grad(
  outputs: Tensor | readonly Tensor[],
  inputs: readonly Tensor[],
  options: { gradOutputs?: readonly Tensor[]; createGraph?: boolean } = {},
): Tensor[] {
  const list = Array.isArray(outputs) ? outputs as readonly Tensor[] : [outputs as Tensor];
  if (!list.some((o) => o.requiresGrad)) throw new Error(noHistory);
  const seeds = list.map((o, i) => seedOf(o, options.gradOutputs?.[i]));
  const gradients = walk(list.map((o) => o.node), seeds, options.createGraph ?? false);
  return inputs.map((input) => {
    const g = gradients.get(input.node);
    return wrap(g ?? constNode(0, input.shape, input.dtype, input.device));
  });
}
