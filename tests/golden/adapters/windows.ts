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
  v === undefined || v === null ? undefined : typeof v === "number" ? v : numbersOf(v);
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

/** Adapters by PyTorch's name. */
export const windows: Adapters = {
  "nn.functional.conv1d": conv(F.conv1d),
  "nn.functional.conv2d": conv(F.conv2d),
  "nn.functional.conv3d": conv(F.conv3d),
  "nn.functional.conv_transpose1d": convTranspose(F.convTranspose1d),
  "nn.functional.conv_transpose2d": convTranspose(F.convTranspose2d),
  "nn.functional.conv_transpose3d": convTranspose(F.convTranspose3d),
};

/** Names left out, and why. */
export const windowsReasons: Record<string, string> = {};
