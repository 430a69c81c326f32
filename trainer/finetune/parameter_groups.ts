/** Parameter groups with rates of their own. */
import type { nn } from "@pta/core";

/** Options of {@linkcode discriminativeGroups}. */
export interface DiscriminativeOptions {
  /** Rate of the last layer group; or the lowest and the highest rate, between which each group has the same factor. */
  readonly lr: number | readonly [first: number, last: number];
  /** Factor of the rate from a group to the one before it, when `lr` is one number; 1 by default. */
  readonly decay?: number;
  /** Weight decay of the parameters that have one; without it no group says anything of weight decay. */
  readonly weightDecay?: number;
  /** Which parameters have no weight decay; those of at most one dimension, biases and norms, by default. */
  readonly noDecay?: (name: string, parameter: nn.Parameter) => boolean;
  /** Which parameters are left out; frozen ones by default. */
  readonly skip?: (name: string, parameter: nn.Parameter) => boolean;
  /** Splits the model, from input to output; its direct children by default. */
  readonly groups?: readonly nn.Module[];
}

/** A group as an optimizer takes it. */
export interface DiscriminativeGroup {
  /** The parameters. */
  readonly params: nn.Parameter[];
  /** Their rate. */
  readonly lr: number;
  /** Their weight decay, when one was given. */
  readonly weightDecay?: number;
}

/**
 * Rates from the first to the last of `count` layer groups, each the same factor above the one before.
 *
 * @throws {RangeError} When an end is not above 0
 */
export function geometricRates(first: number, last: number, count: number): number[] {
  if (!(first > 0 && last > 0)) {
    throw new RangeError(`Cannot spread rates from ${first} to ${last}: both must be above 0`);
  }
  if (count === 1) return [last];
  return Array.from({ length: count }, (_, i) => first * (last / first) ** (i / (count - 1)));
}

/**
 * Parameter groups with a rate for each layer group of a model (Howard and Ruder, arXiv:1801.06146): early layers, which know general things, learn slower.
 * Every parameter is in exactly one group; those outside of all layer groups go with the first.
 *
 * ```ts
 * import { discriminativeGroups, nn, optim } from "@pta/accelerated";
 *
 * const model = new nn.Sequential(new nn.Linear(4, 8), new nn.ReLU(), new nn.Linear(8, 2));
 * const groups = discriminativeGroups(model, { lr: 1e-3, decay: 0.5, weightDecay: 0.01 });
 * const optimizer = new optim.AdamW(groups, { lr: 1e-3 });
 * ```
 *
 * @param model The model
 * @param options Rates, weight decay, the split
 * @returns Groups for an optimizer, from input to output
 * @throws {RangeError} When a rate or a factor is not above 0, or nothing is left to train
 */
export function discriminativeGroups(
  model: nn.Module,
  options: DiscriminativeOptions,
): DiscriminativeGroup[] {
  const { lr, decay = 1, weightDecay } = options;
  const { noDecay = (_: string, p: nn.Parameter) => p.ndim <= 1 } = options;
  const { skip = (_: string, p: nn.Parameter) => !p.requiresGrad } = options;
  if (!(decay > 0)) {
    throw new RangeError(`Cannot make groups with decay ${decay}: it must be above 0`);
  }
  const modules = (options.groups ?? model.children()).filter((m) => m.parameters().length > 0);
  const place = new Map<nn.Parameter, number>();
  modules.forEach((m, i) => {
    for (const p of m.parameters()) if (!place.has(p)) place.set(p, i);
  });
  const count = Math.max(1, modules.length);
  const rates = typeof lr === "number"
    ? geometricRates(lr * decay ** (count - 1), lr, count)
    : geometricRates(lr[0], lr[1], count);
  const named = model.namedParameters().filter(([name, p]) => !skip(name, p));
  if (named.length === 0) {
    throw new RangeError("Cannot make groups of a model without parameters to train");
  }
  const groups: DiscriminativeGroup[] = [];
  for (let i = 0; i < count; i++) {
    const own = named.filter(([, p]) => (place.get(p) ?? 0) === i);
    const add = (part: typeof own, more: { weightDecay?: number }) => {
      if (part.length > 0) {
        groups.push({ params: part.map(([, p]) => p), lr: rates[i], ...more });
      }
    };
    if (weightDecay === undefined) add(own, {});
    else {
      add(own.filter(([name, p]) => !noDecay(name, p)), { weightDecay });
      add(own.filter(([name, p]) => noDecay(name, p)), { weightDecay: 0 });
    }
  }
  return groups;
}
