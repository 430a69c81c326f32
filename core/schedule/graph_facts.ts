/** What is true of a node before anything is decided about it. */
import type { Node } from "../node.ts";
import { isContiguous, numel } from "../shape.ts";

/** The node behind views. */
export function baseOf(node: Node): Node {
  return node.kind === "view" && node.storage === undefined ? node.src[0] : node;
}

/** Whether a node needs no computation: its value lies in memory or is a constant or a ramp. */
export function isLeaf(node: Node): boolean {
  return node.storage !== undefined || node.kind === "const" || node.kind === "index" ||
    node.kind === "buffer";
}

/** Whether a node shows all of its base in order. */
export function straightView(node: Node): boolean {
  const base = baseOf(node);
  return base === node || node.kind !== "view" ||
    (numel(base.shape) === numel(node.shape) && node.arg.offset === 0 &&
      isContiguous(node.shape, node.arg.strides));
}

/** Whether a kernel that reads a node finds it in memory in any case. */
export function comesFromMemory(base: Node): boolean {
  return base.kind !== "const" && base.kind !== "index" &&
    (isLeaf(base) || base.kind === "routine" || base.kind === "scatter" ||
      base.kind === "assemble");
}
