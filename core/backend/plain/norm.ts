/** Batch normalisation and its gradients by plain loops. */
import type { BatchNormParams } from "../../device.ts";
import type { PlainOperand } from "./mod.ts";

/** Calls `visit` for each element of a channel. */
function eachOf(
  { shape: [batches, channels, ...spatial] }: PlainOperand,
  channel: number,
  visit: (i: number) => void,
): void {
  const places = spatial.reduce((a, b) => a * b, 1);
  for (let n = 0; n < batches; n++) {
    const first = (n * channels + channel) * places;
    for (let p = 0; p < places; p++) visit(first + p);
  }
}

const countOf = ({ shape }: PlainOperand) => shape.reduce((a, b) => a * b, 1) / shape[1];

/** `[x, weight, bias, out, mean, scale]`: see `RoutineParams.batchNorm`. */
export function batchNorm({ eps }: BatchNormParams, operands: readonly PlainOperand[]): void {
  const [x, weight, bias, out, mean, scale] = operands, count = countOf(x);
  for (let c = 0; c < x.shape[1]; c++) {
    let sum = 0, squares = 0;
    eachOf(x, c, (i) => sum += x.data[i]);
    const middle = sum / count;
    eachOf(x, c, (i) => squares += (x.data[i] - middle) ** 2);
    const by = 1 / Math.sqrt(squares / count + eps);
    eachOf(x, c, (i) => out.data[i] = (x.data[i] - middle) * by * weight.data[c] + bias.data[c]);
    mean.data[c] = middle;
    scale.data[c] = by;
  }
}

/** `[x, gradient, weight, mean, scale, xGradient, weightGradient, biasGradient]`: see `RoutineParams.batchNormGradient`. */
export function batchNormGradient(_: BatchNormParams, operands: readonly PlainOperand[]): void {
  const [x, gradient, weight, mean, scale, xGradient, weightGradient, biasGradient] = operands;
  const count = countOf(x);
  for (let c = 0; c < x.shape[1]; c++) {
    let sum = 0, along = 0;
    const normal = (i: number) => (x.data[i] - mean.data[c]) * scale.data[c];
    eachOf(x, c, (i) => {
      sum += gradient.data[i];
      along += gradient.data[i] * normal(i);
    });
    const by = scale.data[c] * weight.data[c];
    eachOf(x, c, (i) => {
      xGradient.data[i] = (gradient.data[i] - (sum + normal(i) * along) / count) * by;
    });
    weightGradient.data[c] = along;
    biasGradient.data[c] = sum;
  }
}
