/** Parameters as one vector and back. */
import { shapeText } from "../shape.ts";
import { cat, noGrad, type Tensor } from "../tensor/mod.ts";

/**
 * All elements of parameters, one after the other; gradients flow.
 *
 * @param parameters Of one dtype, on one device
 * @returns `[n]`, n the number of all elements
 * @throws {TypeError} When there is none, or they lie on different devices
 */
export function parametersToVector(parameters: Iterable<Tensor>): Tensor {
  const parts = [...parameters].map((p) => p.reshape(-1));
  if (parts.length === 0) throw new TypeError("Cannot make a vector of no parameters");
  return cat(parts);
}

/**
 * Writes the elements of a vector over parameters, in the order of {@linkcode parametersToVector}.
 *
 * @param vector `[n]`
 * @param parameters With n elements together
 * @throws {TypeError} When the numbers of elements differ; nothing has been written then
 */
export function vectorToParameters(vector: Tensor, parameters: Iterable<Tensor>): void {
  const list = [...parameters], wanted = list.reduce((n, p) => n + p.numel, 0);
  if (vector.ndim !== 1 || vector.numel !== wanted) {
    throw new TypeError(
      `Cannot write ${shapeText(vector.shape)} over parameters: they have ${wanted} elements`,
    );
  }
  noGrad(() => {
    let at = 0;
    for (const p of list) {
      p.assign(vector.detach().narrow(0, at, p.numel).reshape(p.shape).to(p.device).to(p.dtype));
      at += p.numel;
    }
  });
}
