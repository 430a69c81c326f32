/** A product with bias and activation by plain loops. */
import type { Activation, RoutineParams } from "../../device.ts";
import type { PlainOperand } from "./mod.ts";

/** The activations as functions of one number; GELU is the form by tanh. */
const activationOf: Readonly<Record<Activation, (x: number) => number>> = {
  none: (x) => x,
  relu: (x) => x <= 0 ? 0 : x,
  gelu: (x) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
};

/** `[a, b, bias, out]`: see `RoutineParams.matmulEpilogue`. */
export function matmulEpilogue(
  { activation }: RoutineParams["matmulEpilogue"],
  [a, b, bias, out]: readonly PlainOperand[],
): void {
  const [m, k] = a.shape, [, n] = b.shape, apply = activationOf[activation];
  for (let i = 0; i < m; i++) {
    for (let j = 0; j < n; j++) {
      let sum = bias.data[bias.offset + j];
      for (let l = 0; l < k; l++) {
        sum += a.data[a.offset + i * a.strides[0] + l * a.strides[1]] *
          b.data[b.offset + l * b.strides[0] + j * b.strides[1]];
      }
      out.data[i * n + j] = apply(sum);
    }
  }
}
