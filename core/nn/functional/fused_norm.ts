/** Batch normalisation as one routine of the device, forward and backward, where the device wants it so. */
import { isGradEnabled } from "../../node.ts";
import { backendOf } from "../../runtime.ts";
import { contiguousStrides } from "../../shape.ts";
import { wrap } from "../../tensor/base.ts";
import { full, routineResults, type Tensor } from "../../tensor/mod.ts";
import { operandNode } from "../../tensor/routine.ts";
import { plainGradient } from "./plain_gradient.ts";

/** A normalised tensor with what it was normalised by, both `[C]` float32. */
export interface Normalized {
  /** Same shape as the input. */
  readonly out: Tensor;
  /** Mean of each channel. */
  readonly mean: Tensor;
  /** Biased variance of each channel. */
  readonly variance: Tensor;
}

/**
 * Training batch normalisation by the device's routines `batchNorm` and `batchNormGradient`.
 *
 * @param x `[N, C, ...]`
 * @param source The values of `x` in the dtype that they come from
 * @param weight `[C]`, if any
 * @param bias `[C]`, if any
 * @param eps Added to the variance
 * @param plain The same function by operations that can be differentiated as often as one likes; tracks nothing
 * @returns undefined where the device does not want to
 */
export function batchNormOfDevice(
  x: Tensor,
  source: Tensor,
  weight: Tensor | undefined,
  bias: Tensor | undefined,
  eps: number,
  plain: (x: Tensor, weight?: Tensor, bias?: Tensor) => Tensor,
): Normalized | undefined {
  const { device, shape } = x, { dtype } = source, channels = shape[1];
  const backend = backendOf(device),
    operand = { dtype, shape, strides: contiguousStrides(shape), offset: 0 };
  if (!backend.normalizes?.(operand)) return undefined;
  const channel = (t: Tensor | undefined, otherwise: number) =>
    wrap(operandNode(t ?? full([channels], otherwise, { device }), "float32"));
  const values = wrap(operandNode(source, dtype)), by = channel(weight, 1);
  const each = { shape: [channels], dtype: "float32" } as const;
  const params = { eps }, given = [bias, weight].filter((t) => t !== undefined);
  const [y, mean, scale] = routineResults("batchNorm", params, [values, by, channel(bias, 0)], [
    { shape, dtype },
    each,
    each,
  ]);
  const out = y.to(x.dtype).withGradient([x, ...given], (g) => {
    if (isGradEnabled()) {
      const again = (first: Tensor, ...others: Tensor[]) => {
        const of = (t: Tensor | undefined) => t && others[given.indexOf(t)];
        return plain(first, of(weight), of(bias));
      };
      return plainGradient(again, [x, ...given], g);
    }
    const gradient = wrap(operandNode(g, dtype));
    const results = [{ shape, dtype }, each, each];
    const [ofX, ofWeight, ofBias] = routineResults(
      "batchNormGradient",
      params,
      [values, gradient, by, mean, scale],
      results,
    );
    return [
      ofX.to(x.dtype),
      ...(bias === undefined ? [] : [ofBias.to(bias.dtype)]),
      ...(weight === undefined ? [] : [ofWeight.to(weight.dtype)]),
    ];
  });
  return { out, mean, variance: scale.square().reciprocal().sub(eps) };
}
