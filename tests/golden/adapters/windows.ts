import { nn, type Tensor } from "@pta/accelerated";
import {
  type Adapters,
  argument,
  numberOf,
  numbersOf,
  type Sample,
  tensorOf,
  type Value,
} from "../adapter.ts";

const { functional: F } = nn;

const list = (v: Value | undefined): number | number[] | undefined =>
  v == null || (Array.isArray(v) && v.length === 0)
    ? undefined
    : typeof v === "number"
    ? v
    : numbersOf(v);
const optional = (v: Value | undefined): Tensor | undefined =>
  v === undefined || v === null ? undefined : tensorOf(v);

const conv = (fn: typeof F.conv2d) => (s: Sample) => {
  const padding = argument(s, 3, "padding");
  return fn(tensorOf(s.input), tensorOf(s.args[0]), {
    bias: optional(argument(s, 1, "bias")),
    stride: list(argument(s, 2, "stride")),
    padding: typeof padding === "string" ? padding as "same" : list(padding),
    dilation: list(argument(s, 4, "dilation")),
    groups: numberOf(argument(s, 5, "groups"), 1),
  });
};
const convTranspose = (fn: typeof F.convTranspose2d) => (s: Sample) =>
  fn(tensorOf(s.input), tensorOf(s.args[0]), {
    bias: optional(argument(s, 1, "bias")),
    stride: list(argument(s, 2, "stride")),
    padding: list(argument(s, 3, "padding")),
    outputPadding: list(argument(s, 4, "output_padding")),
    groups: numberOf(argument(s, 5, "groups"), 1),
    dilation: list(argument(s, 6, "dilation")),
  });

const maxPool =
  (values: typeof F.maxPool2d, both: typeof F.maxPool2dWithIndices) => (s: Sample) => {
    const options = {
      stride: list(argument(s, 1, "stride")),
      padding: list(argument(s, 2, "padding")),
      dilation: list(argument(s, 3, "dilation")),
      ceilMode: argument(s, 4, "ceil_mode") === true,
    };
    const x = tensorOf(s.input), kernel = list(argument(s, 0, "kernel_size"))!;
    if (argument(s, 5, "return_indices") !== true) return values(x, kernel, options);
    const found = both(x, kernel, options);
    return [found.values, found.indices];
  };
const avgPool = (fn: typeof F.avgPool2d) => (s: Sample) =>
  fn(tensorOf(s.input), list(argument(s, 0, "kernel_size"))!, {
    stride: list(argument(s, 1, "stride")),
    padding: list(argument(s, 2, "padding")),
    ceilMode: argument(s, 3, "ceil_mode") === true,
    countIncludePad: argument(s, 4, "count_include_pad") !== false,
    divisorOverride: argument(s, 5, "divisor_override") == null
      ? undefined
      : numberOf(argument(s, 5, "divisor_override")),
  });
const adaptiveSizes = (v: Value | undefined) => v as number | (number | null)[];
const adaptiveMax =
  (values: typeof F.adaptiveMaxPool2d, both: typeof F.adaptiveMaxPool2dWithIndices) =>
  (s: Sample) => {
    const size = adaptiveSizes(argument(s, 0, "output_size"));
    if (argument(s, 1, "return_indices") !== true) return values(tensorOf(s.input), size);
    const found = both(tensorOf(s.input), size);
    return [found.values, found.indices];
  };
const adaptiveAvg = (fn: typeof F.adaptiveAvgPool2d) => (s: Sample) =>
  fn(tensorOf(s.input), adaptiveSizes(argument(s, 0, "output_size")));
const unpool = (fn: typeof F.maxUnpool2d) => (s: Sample) =>
  fn(tensorOf(s.input), tensorOf(argument(s, 0, "indices")), list(argument(s, 1, "kernel_size"))!, {
    stride: list(argument(s, 2, "stride")),
    padding: list(argument(s, 3, "padding")),
    outputSize: argument(s, 4, "output_size") == null
      ? undefined
      : numbersOf(argument(s, 4, "output_size")),
  });

const fractional =
  (values: typeof F.fractionalMaxPool2d, both: typeof F.fractionalMaxPool2dWithIndices) =>
  (s: Sample) => {
    const options = {
      outputSize: list(argument(s, 1, "output_size")),
      outputRatio: list(argument(s, 2, "output_ratio")),
      randomSamples: optional(s.kwargs._random_samples),
    };
    const x = tensorOf(s.input), kernel = list(argument(s, 0, "kernel_size"))!;
    if (argument(s, 3, "return_indices") !== true) return values(x, kernel, options);
    const found = both(x, kernel, options);
    return [found.values, found.indices];
  };

/** Adapters by PyTorch's name. */
export const windows: Adapters = {
  "nn.functional.conv1d": conv(F.conv1d),
  "nn.functional.conv2d": conv(F.conv2d),
  "nn.functional.conv3d": conv(F.conv3d),
  "nn.functional.conv_transpose1d": convTranspose(F.convTranspose1d),
  "nn.functional.conv_transpose2d": convTranspose(F.convTranspose2d),
  "nn.functional.conv_transpose3d": convTranspose(F.convTranspose3d),
  "nn.functional.max_pool1d": maxPool(F.maxPool1d, F.maxPool1dWithIndices),
  "nn.functional.max_pool2d": maxPool(F.maxPool2d, F.maxPool2dWithIndices),
  "nn.functional.max_pool3d": maxPool(F.maxPool3d, F.maxPool3dWithIndices),
  "nn.functional.avg_pool1d": avgPool(F.avgPool1d),
  "nn.functional.avg_pool2d": avgPool(F.avgPool2d),
  "nn.functional.avg_pool3d": avgPool(F.avgPool3d),
  "nn.functional.adaptive_avg_pool1d": adaptiveAvg(F.adaptiveAvgPool1d),
  "nn.functional.adaptive_avg_pool2d": adaptiveAvg(F.adaptiveAvgPool2d),
  "nn.functional.adaptive_avg_pool3d": adaptiveAvg(F.adaptiveAvgPool3d),
  "nn.functional.adaptive_max_pool1d": adaptiveMax(
    F.adaptiveMaxPool1d,
    F.adaptiveMaxPool1dWithIndices,
  ),
  "nn.functional.adaptive_max_pool2d": adaptiveMax(
    F.adaptiveMaxPool2d,
    F.adaptiveMaxPool2dWithIndices,
  ),
  "nn.functional.adaptive_max_pool3d": adaptiveMax(
    F.adaptiveMaxPool3d,
    F.adaptiveMaxPool3dWithIndices,
  ),
  "nn.functional.max_unpool1d": unpool(F.maxUnpool1d),
  "nn.functional.max_unpool2d": unpool(F.maxUnpool2d),
  "nn.functional.max_unpool3d": unpool(F.maxUnpool3d),
  "nn.functional.fractional_max_pool2d": fractional(
    F.fractionalMaxPool2d,
    F.fractionalMaxPool2dWithIndices,
  ),
  "nn.functional.fractional_max_pool3d": fractional(
    F.fractionalMaxPool3d,
    F.fractionalMaxPool3dWithIndices,
  ),
  "nn.functional.unfold": (s) =>
    F.unfold(tensorOf(s.input), list(argument(s, 0, "kernel_size"))!, {
      dilation: list(argument(s, 1, "dilation")),
      padding: list(argument(s, 2, "padding")),
      stride: list(argument(s, 3, "stride")),
    }),
  "nn.functional.pixel_shuffle": (s) =>
    F.pixelShuffle(tensorOf(s.input), numberOf(argument(s, 0, "upscale_factor"))),
  "nn.functional.pixel_unshuffle": (s) =>
    F.pixelUnshuffle(tensorOf(s.input), numberOf(argument(s, 0, "downscale_factor"))),
  "nn.functional.channel_shuffle": (s) => F.channelShuffle(tensorOf(s.input), numberOf(s.args[0])),
};

/** Names left out, and why. */
export const windowsReasons: Record<string, string> = {
  max_pool2d_with_indices_backward: "an internal form: the gradient of maxPool2d",
};
