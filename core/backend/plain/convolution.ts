/** Convolutions by plain loops, any number of spatial dimensions. */
import type { ConvolutionParams } from "../../device.ts";
import type { PlainOperand } from "./mod.ts";

/** Calls `visit` with the flat places of every product: input, weight, output element. */
function forEachProduct(
  { stride, padding, dilation, groups }: ConvolutionParams,
  input: readonly number[],
  weight: readonly number[],
  output: readonly number[],
  visit: (x: number, w: number, y: number) => void,
): void {
  const spatial = stride.length, [batch, channels] = input, [outputs, share] = weight;
  const size = (shape: readonly number[]) => shape.slice(2).reduce((a, b) => a * b, 1);
  const plane = size(input), window = size(weight), grid = size(output);
  const perGroup = outputs / groups;
  // For each position of the output grid and of the window, the place in the input plane, or -1 in the padding.
  const place = new Int32Array(grid * window);
  const at = new Array<number>(spatial), k = new Array<number>(spatial);
  for (let g = 0; g < grid; g++) {
    for (let d = spatial - 1, rest = g; d >= 0; d--) {
      at[d] = rest % output[d + 2];
      rest = Math.floor(rest / output[d + 2]);
    }
    for (let w = 0; w < window; w++) {
      for (let d = spatial - 1, rest = w; d >= 0; d--) {
        k[d] = rest % weight[d + 2];
        rest = Math.floor(rest / weight[d + 2]);
      }
      let flat = 0;
      for (let d = 0; d < spatial && flat >= 0; d++) {
        const i = at[d] * stride[d] - padding[d] + k[d] * dilation[d];
        flat = i < 0 || i >= input[d + 2] ? -1 : flat * input[d + 2] + i;
      }
      place[g * window + w] = flat;
    }
  }
  for (let n = 0; n < batch; n++) {
    for (let o = 0; o < outputs; o++) {
      const first = Math.floor(o / perGroup) * share;
      for (let c = 0; c < share; c++) {
        const x0 = (n * channels + first + c) * plane, w0 = (o * share + c) * window;
        const y0 = (n * outputs + o) * grid;
        for (let g = 0; g < grid; g++) {
          for (let w = 0; w < window; w++) {
            const i = place[g * window + w];
            if (i >= 0) visit(x0 + i, w0 + w, y0 + g);
          }
        }
      }
    }
  }
}

/** Adds up in float64 and writes the result. */
function summed(out: PlainOperand, fill: (sums: Float64Array) => void): void {
  const sums = new Float64Array(out.data.length);
  fill(sums);
  for (let i = 0; i < sums.length; i++) out.data[i] = sums[i];
}

/** `[x, weight, out]`. */
export function convolution(params: ConvolutionParams, operands: readonly PlainOperand[]): void {
  const [x, weight, out] = operands;
  summed(out, (sums) =>
    forEachProduct(params, x.shape, weight.shape, out.shape, (i, w, y) => {
      sums[y] += x.data[i] * weight.data[w];
    }));
}

/** `[gradient, weight, out]`. */
export function convolutionInput(
  params: ConvolutionParams,
  operands: readonly PlainOperand[],
): void {
  const [gradient, weight, out] = operands;
  summed(
    out,
    (sums) =>
      forEachProduct(params, out.shape, weight.shape, gradient.shape, (i, w, y) => {
        sums[i] += gradient.data[y] * weight.data[w];
      }),
  );
}

/** `[x, gradient, out]`. */
export function convolutionWeight(
  params: ConvolutionParams,
  operands: readonly PlainOperand[],
): void {
  const [x, gradient, out] = operands;
  summed(out, (sums) =>
    forEachProduct(params, x.shape, out.shape, gradient.shape, (i, w, y) => {
      sums[w] += x.data[i] * gradient.data[y];
    }));
}
