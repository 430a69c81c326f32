import { nn } from "@pta/accelerated";
import { type Adapters, argument, numberOf, type Sample, tensorOf } from "../adapter.ts";

const { functional: F } = nn;

/** The options of PyTorch's dropouts. */
const drops = (s: Sample) => ({
  p: numberOf(s.kwargs.p, 0.5),
  ...(typeof s.kwargs.training === "boolean" ? { training: s.kwargs.training } : {}),
});

/** Adapters by PyTorch's name. */
export const activations: Adapters = {
  "nn.functional.relu": (s) => F.relu(tensorOf(s.input)),
  "nn.functional.relu6": (s) => F.relu6(tensorOf(s.input)),
  "nn.functional.hardswish": (s) => F.hardswish(tensorOf(s.input)),
  "nn.functional.hardsigmoid": (s) => F.hardsigmoid(tensorOf(s.input)),
  "nn.functional.leaky_relu": (s) =>
    F.leakyRelu(tensorOf(s.input), numberOf(argument(s, 0, "negative_slope"), 0.01)),
  "nn.functional.glu": (s) => F.glu(tensorOf(s.input), numberOf(argument(s, 0, "dim"), -1)),
  "nn.functional.elu": (s) => F.elu(tensorOf(s.input), numberOf(argument(s, 0, "alpha"), 1)),
  "nn.functional.celu": (s) => F.celu(tensorOf(s.input), numberOf(argument(s, 0, "alpha"), 1)),
  "nn.functional.selu": (s) => F.selu(tensorOf(s.input)),
  "nn.functional.silu": (s) => F.silu(tensorOf(s.input)),
  "nn.functional.prelu": (s) => F.prelu(tensorOf(s.input), tensorOf(argument(s, 0, "weight"))),
  "nn.functional.rrelu": (s) =>
    F.rrelu(tensorOf(s.input), {
      lower: numberOf(s.kwargs.lower, 1 / 8),
      upper: numberOf(s.kwargs.upper, 1 / 3),
      training: s.kwargs.training === true,
    }),
  "nn.functional.logsigmoid": (s) => F.logsigmoid(tensorOf(s.input)),
  "nn.functional.mish": (s) => F.mish(tensorOf(s.input)),
  "nn.functional.softsign": (s) => F.softsign(tensorOf(s.input)),
  "nn.functional.tanhshrink": (s) => F.tanhshrink(tensorOf(s.input)),
  "nn.functional.threshold": (s) =>
    F.threshold(tensorOf(s.input), numberOf(s.args[0]), numberOf(s.args[1])),
  "nn.functional.softshrink": (s) =>
    F.softshrink(tensorOf(s.input), numberOf(argument(s, 0, "lambd"), 0.5)),
  "nn.functional.hardshrink": (s) =>
    F.hardshrink(tensorOf(s.input), numberOf(argument(s, 0, "lambd"), 0.5)),
  "nn.functional.hardtanh": (s) =>
    F.hardtanh(
      tensorOf(s.input),
      numberOf(argument(s, 0, "min_val"), -1),
      numberOf(argument(s, 1, "max_val"), 1),
    ),
  "nn.functional.gelu": (s) =>
    F.gelu(tensorOf(s.input), { approximate: s.kwargs.approximate === "tanh" ? "tanh" : "none" }),
  "nn.functional.softplus": (s) =>
    F.softplus(tensorOf(s.input), {
      beta: numberOf(argument(s, 0, "beta"), 1),
      threshold: numberOf(argument(s, 1, "threshold"), 20),
    }),
  "nn.functional.dropout": (s) => F.dropout(tensorOf(s.input), drops(s)),
  "nn.functional.dropout2d": (s) => F.dropout2d(tensorOf(s.input), drops(s)),
  "nn.functional.dropout3d": (s) => F.dropout3d(tensorOf(s.input), drops(s)),
  "nn.functional.alpha_dropout": (s) => F.alphaDropout(tensorOf(s.input), drops(s)),
  "nn.functional.feature_alpha_dropout": (s) => F.featureAlphaDropout(tensorOf(s.input), drops(s)),
};

/** Names left out, and why. */
export const activationsReasons: Record<string, string> = {
  native_dropout_backward:
    "the gradient of dropout is found by automatic differentiation, not called",
};
