import { nn, type Tensor } from "@pta/accelerated";
import { type Adapters, argument, numberOf, numbersOf, type Sample, tensorOf } from "../adapter.ts";

const { functional: F } = nn;

/** An argument that is a tensor or None. */
const optional = (sample: Sample, index: number, name: string): Tensor | undefined => {
  const value = argument(sample, index, name);
  return value === undefined || value === null ? undefined : tensorOf(value);
};
const flag = (sample: Sample, index: number, name: string, fallback: boolean): boolean =>
  Boolean(argument(sample, index, name) ?? fallback);

/** Adapters by PyTorch's name. */
export const normalization: Adapters = {
  "nn.functional.layer_norm": (s) =>
    F.layerNorm(tensorOf(s.input), numbersOf(s.args[0]), {
      weight: optional(s, 1, "weight"),
      bias: optional(s, 2, "bias"),
      eps: numberOf(argument(s, 3, "eps"), 1e-5),
    }),
  "nn.functional.rms_norm": (s) =>
    F.rmsNorm(tensorOf(s.input), numbersOf(s.args[0]), {
      weight: optional(s, 1, "weight"),
      eps: argument(s, 2, "eps") == null ? undefined : numberOf(argument(s, 2, "eps")),
    }),
  "nn.functional.group_norm": (s) =>
    F.groupNorm(tensorOf(s.input), numberOf(s.args[0]), {
      weight: optional(s, 1, "weight"),
      bias: optional(s, 2, "bias"),
      eps: numberOf(argument(s, 3, "eps"), 1e-5),
    }),
  "nn.functional.batch_norm": (s) =>
    F.batchNorm(tensorOf(s.input), {
      runningMean: optional(s, 0, "running_mean"),
      runningVar: optional(s, 1, "running_var"),
      weight: optional(s, 2, "weight"),
      bias: optional(s, 3, "bias"),
      training: flag(s, 4, "training", false),
      momentum: numberOf(argument(s, 5, "momentum"), 0.1),
      eps: numberOf(argument(s, 6, "eps"), 1e-5),
    }),
  "nn.functional.instance_norm": (s) =>
    F.instanceNorm(tensorOf(s.input), {
      runningMean: optional(s, 0, "running_mean"),
      runningVar: optional(s, 1, "running_var"),
      weight: optional(s, 2, "weight"),
      bias: optional(s, 3, "bias"),
      useInputStats: flag(s, 4, "use_input_stats", true),
      momentum: numberOf(argument(s, 5, "momentum"), 0.1),
      eps: numberOf(argument(s, 6, "eps"), 1e-5),
    }),
  "nn.functional.local_response_norm": (s) =>
    F.localResponseNorm(tensorOf(s.input), numberOf(s.args[0]), {
      alpha: numberOf(argument(s, 1, "alpha"), 1e-4),
      beta: numberOf(argument(s, 2, "beta"), 0.75),
      k: numberOf(argument(s, 3, "k"), 1),
    }),
};

const internal = "an internal form of a function that is here: it returns saved statistics";

/** Names left out, and why. */
export const normalizationReasons: Record<string, string> = {
  native_batch_norm: internal,
  native_layer_norm: internal,
  native_group_norm: internal,
  _native_batch_norm_legit: internal,
  _batch_norm_with_update: internal,
};
