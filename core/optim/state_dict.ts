/** Form of optimizer states, and the spelling of their keys. */
import type { Tensor } from "../tensor/mod.ts";

/** Value of an option in a state. */
export type OptionValue = number | boolean | string | null | readonly (number | null)[];

/** State of an optimizer in PyTorch's layout and spelling. */
export interface OptimizerStateDict {
  /** By index of the parameter over all groups: `momentum_buffer`, `exp_avg`, `step`, ... */
  readonly state: Record<number, Record<string, Tensor>>;
  /** Options of each group, and the indices of its parameters. */
  readonly param_groups: (Record<string, OptionValue> & { params: number[] })[];
}

/** `weightDecay` to `weight_decay`. */
export function snake(key: string): string {
  return key.replace(/[A-Z]/g, (c) => `_${c.toLowerCase()}`);
}

/** `weight_decay` to `weightDecay`. */
export function camel(key: string): string {
  return key.replace(/_([a-z])/g, (_, c: string) => c.toUpperCase());
}
