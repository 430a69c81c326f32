/** How PyTorch's modules are made and called here, where the rule of `module_suite.ts` does not say it. */
import { type nn, Tensor } from "@pta/accelerated";
import type { Output, Value } from "../adapter.ts";

/** Exceptions for one module. */
export interface ModuleAdapter {
  /** Names (PyTorch's) of the arguments that our constructor takes by position, when not exactly those without a default. */
  readonly positional?: readonly string[];
  /** Options that have no meaning here. */
  readonly dropped?: readonly string[];
  /** Options for which None is a value and not an absence. */
  readonly nullable?: readonly string[];
  /** The call, when it is not `forward(...args)` with the keywords as one object at the end. */
  readonly forward?: (
    module: nn.Module,
    args: readonly Value[],
    kwargs: Readonly<Record<string, Value>>,
  ) => Output;
}

/** Exceptions by PyTorch's name. */
export const moduleAdapters: Readonly<Record<string, ModuleAdapter>> = {
  "nn.BatchNorm1d": { nullable: ["momentum"] },
  "nn.BatchNorm2d": { nullable: ["momentum"] },
  "nn.BatchNorm3d": { nullable: ["momentum"] },
  "nn.CELU": { positional: ["alpha"] },
  "nn.ELU": { positional: ["alpha"] },
  "nn.GLU": { positional: ["dim"] },
  "nn.Hardshrink": { positional: ["lambd"] },
  "nn.Hardtanh": { positional: ["min_val", "max_val"] },
  "nn.LeakyReLU": { positional: ["negative_slope"] },
  "nn.PReLU": { positional: ["num_parameters"] },
  "nn.Softplus": { positional: ["beta", "threshold"] },
  "nn.Softshrink": { positional: ["lambd"] },
  "nn.RNN": { positional: ["input_size", "hidden_size"] },
  "nn.GRU": { positional: ["input_size", "hidden_size"] },
  "nn.LSTM": { positional: ["input_size", "hidden_size"] },
  "nn.Transformer": { positional: [] },
  "nn.Softmax": { positional: ["dim"] },
  "nn.Softmin": { positional: ["dim"] },
  "nn.LogSoftmax": { positional: ["dim"] },
};

/** Modules left out, and why. */
export const moduleReasons: Readonly<Record<string, string>> = {};

/** PyTorch's name of an argument in camelCase. */
export const camelCase = (name: string): string =>
  name.replace(/^_+/, "").replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());

/** Keywords as an options object, without those that are None. */
export function optionsOf(kwargs: Readonly<Record<string, Value>>): Record<string, unknown> {
  const given = Object.entries(kwargs).filter(([, v]) => v !== null);
  return Object.fromEntries(given.map(([k, v]) => [camelCase(k), v]));
}

/** Whether a value is a tensor. */
export const isTensor = (value: unknown): value is Tensor => value instanceof Tensor;
