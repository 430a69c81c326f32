/** A look at the gradients just before the optimizer uses them. */
import type { optim } from "@pta/core";

/**
 * Has `before` called ahead of every `optimizer.step()`. In a captured step it runs when the step is recorded, so it builds and realizes tensors;
 * its launches are replayed with the step.
 *
 * @returns Takes the hook away
 */
export function beforeOptimizerStep(optimizer: optim.Optimizer, before: () => void): () => void {
  const own = Object.getOwnPropertyDescriptor(optimizer, "step");
  const { step } = optimizer;
  Object.defineProperty(optimizer, "step", {
    value: (...args: Parameters<optim.Optimizer["step"]>) => {
      before();
      return step.apply(optimizer, args);
    },
    writable: true,
    configurable: true,
    enumerable: false,
  });
  return () => {
    if (own !== undefined) Object.defineProperty(optimizer, "step", own);
    else delete (optimizer as { step?: unknown }).step;
  };
}
