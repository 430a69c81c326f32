/** Gradients of gradients of what devices compute as one routine. */
import { walk } from "../../grad.ts";
import { wrap } from "../../tensor/base.ts";
import type { Tensor } from "../../tensor/mod.ts";

/**
 * The gradient of a routine whose own gradient routine has none, for gradients of it: that of the same function by operations that can be differentiated
 * as often as one likes.
 *
 * @param plain The function by such operations
 * @param inputs Where
 * @param gradient In the shape of its value
 * @returns One for each input; undefined where nothing flows
 */
export function plainGradient(
  plain: (...inputs: Tensor[]) => Tensor,
  inputs: readonly Tensor[],
  gradient: Tensor,
): (Tensor | undefined)[] {
  // Nodes of their own, at which the walk ends: several inputs may be one tensor.
  const again = inputs.map((x) => x.withGradient([x], (g) => [g])),
    nodes = again.map((x) => x.node);
  const gradients = walk([plain(...again).node], [gradient.node], true, new Set(nodes));
  return nodes.map((node) => {
    const found = gradients.get(node);
    return found && wrap(found);
  });
}
