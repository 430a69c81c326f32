/** Steps that may turn out not to count, decided on the device. */
import { makeNode } from "../node.ts";
import { wrap } from "../tensor/base.ts";
import { type Tensor, where } from "../tensor/mod.ts";

/** What a loss scaler tells an optimizer; everything stays on the device, so that the step can be captured. */
export interface StepGuard {
  /** 0-d bool: where true, neither parameters nor what is remembered for them change. */
  readonly skip?: Tensor;
  /** 0-d: factor of every gradient, applied first. */
  readonly unscale?: Tensor;
}

/** Makes a pending assignment one that keeps the old value where `skip` is true. */
export function guardAssign(target: Tensor, skip: Tensor): void {
  rewriteAssign(target, (old, value) => where(skip, old, value));
}

/** Replaces the value of a pending assignment. Nobody may have read the target since. */
export function rewriteAssign(
  target: Tensor,
  rewrite: (old: Tensor, value: Tensor) => Tensor,
): void {
  const { node } = target;
  if (node.kind !== "assign" || node.storage !== undefined) return;
  const { shape, dtype, device, needsGrad, leaf } = node, [old, value] = node.src;
  const next = rewrite(wrap(old), wrap(value));
  target.node = makeNode("assign", null, [old, next.node], shape, dtype, device, needsGrad);
  target.node.leaf = leaf;
}
