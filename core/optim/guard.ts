/** Steps that may turn out not to count, decided on the device. */
import { makeNode, type Node } from "../node.ts";
import { wrap } from "../tensor/base.ts";
import { type Tensor, where } from "../tensor/mod.ts";

/** What a loss scaler tells an optimizer; everything stays on the device, so that the step can be captured. */
export interface StepGuard {
  /** 0-d bool: where true, neither parameters nor what is remembered for them change. */
  readonly skip?: Tensor;
}

/**
 * Makes pending assignments keep the old values where `skip` is true. What is assigned to one target may be computed from what is assigned to another (a parameter
 * from the new average of its gradients): it then sees the guarded value, so that one kernel still writes them all. Nothing is lost by that: where the
 * two differ, neither counts.
 *
 * @param targets Tensors whose assignments have not run, and that nobody has read since
 * @param skip 0-d bool
 */
export function guardAssigns(targets: readonly Tensor[], skip: Tensor): void {
  const pending = targets.filter((t) => t.node.kind === "assign" && t.node.storage === undefined);
  if (pending.length === 0) return;
  const owners = new Map<Node, Tensor>();
  for (const t of pending) {
    const [, value] = t.node.src;
    // A value of two targets stays as it is for everybody else, and so does one that exists already.
    if (value.storage === undefined && !owners.has(value)) owners.set(value, t);
  }
  const first = Math.min(...[...owners.keys()].map((n) => n.id), Infinity);
  const guarded = new Map<Tensor, Node>(), rebuilt = new Map<Node, Node>();
  /** The same node over guarded sources. Sources have lower ids, so nothing older than the first value needs a look. */
  const rebuild = (node: Node): Node => {
    if (node.id < first || node.storage !== undefined) return node;
    let known = rebuilt.get(node);
    if (known !== undefined) return known;
    const src = node.src.map(seen);
    known = src.every((s, i) => s === node.src[i])
      ? node
      : makeNode(node.kind, node.arg, src, node.shape, node.dtype, node.device, node.needsGrad);
    rebuilt.set(node, known);
    return known;
  };
  const seen = (node: Node): Node => {
    const owner = owners.get(node);
    return owner === undefined ? rebuild(node) : guard(owner);
  };
  const guard = (t: Tensor): Node => {
    let known = guarded.get(t);
    if (known === undefined) {
      const [old, value] = t.node.src;
      known = where(skip, wrap(old), wrap(rebuild(value))).node;
      guarded.set(t, known);
    }
    return known;
  };
  for (const t of pending) {
    const { shape, dtype, device, needsGrad, leaf, src: [old] } = t.node;
    const node = makeNode("assign", null, [old, guard(t)], shape, dtype, device, needsGrad);
    node.leaf = leaf;
    t.node = node;
  }
}
