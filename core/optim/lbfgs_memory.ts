/** What L-BFGS remembers of its last moves. */
import { stack, type Tensor } from "../tensor/mod.ts";

/** One remembered change: of the gradient, of the parameters, and `1 / (y . s)`. */
export interface Change {
  readonly y: Tensor;
  readonly s: Tensor;
  readonly ro: Tensor;
}

/** What goes from step to step; absent before the first. */
export interface Memory {
  changes: Change[];
  direction: Tensor;
  t: number;
  scale: Tensor;
  gradient: Tensor;
  loss: number;
}

/** Gives memory back. */
export const dispose = (...tensors: Tensor[]): void => tensors.forEach((t) => t.dispose());

/** Several 0-d tensors on the host, in one plan. */
export const read = (...scalars: Tensor[]): number[] =>
  Array.from(stack(scalars).to("float64").data() as Float64Array);

/** The direction to go: the gradient times the approximate inverse Hessian, by the two-loop recursion, without reading anything back. */
export function twoLoop(gradient: Tensor, { changes, scale }: Memory): Tensor {
  let q = gradient.neg();
  const shares: Tensor[] = [];
  for (let i = changes.length - 1; i >= 0; i--) {
    const { y, s, ro } = changes[i];
    shares[i] = s.dot(q).mul(ro);
    q = q.sub(y.mul(shares[i]));
  }
  let r = q.mul(scale);
  changes.forEach(({ y, s, ro }, i) => {
    r = r.add(s.mul(shares[i].sub(y.dot(r).mul(ro))));
  });
  return r.realize();
}
