/** When tensors are computed and how long they last. */
import { realizeNodes } from "../realize.ts";
import type { Tensor } from "./tensor.ts";

/** Computes tensors now, all in one plan, together with the gradients and changes in place that are due. */
export function realize(...tensors: readonly Tensor[]): void {
  realizeNodes(tensors.map((t) => t.node));
}

/** Computes a tensor and lets it outlive the step scope it was made in; returns it. */
export function keep<T extends Tensor>(t: T): T {
  realizeNodes([t.node]);
  const { storage } = t.node;
  if (storage !== undefined) storage.kept = true;
  return t;
}
