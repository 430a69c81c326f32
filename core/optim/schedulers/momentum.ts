/** Momenta that schedulers move against the rate. */
import type { Optimizer } from "../optimizer.ts";
import { perGroup } from "./scheduler.ts";

/** What a scheduler that cycles momenta remembers of them. */
export interface MomentumFields {
  /** Whether momenta are cycled. */
  cycle_momentum: boolean;
  /** Whether the momentum is the first of `betas`. */
  use_beta1: boolean;
  /** Least momentum of each group. */
  base_momentums: number[];
  /** Largest momentum of each group. */
  max_momentums: number[];
}

/** Options of schedulers that cycle momenta. */
export interface MomentumOptions {
  /** Whether `momentum`, or else `betas[0]`, goes down while the rate goes up; true by default. */
  readonly cycleMomentum?: boolean;
  /** Least momentum, for all groups or one each. */
  readonly baseMomentum?: number | readonly number[];
  /** Largest momentum, for all groups or one each. */
  readonly maxMomentum?: number | readonly number[];
}

/**
 * Puts the momenta on the device and sets the first ones.
 *
 * @param optimizer The optimizer
 * @param options What was asked for
 * @param defaults Least and largest momentum when none are given
 * @param isNew Whether to set the first momenta
 * @throws {RangeError} When the optimizer has neither momentum nor betas
 */
export function momentumFields(
  optimizer: Optimizer,
  options: MomentumOptions,
  defaults: readonly [base: number, max: number],
  isNew: boolean,
): MomentumFields {
  const [base, max] = defaults;
  const known = optimizer.defaults as Readonly<Record<string, unknown>>;
  const use_beta1 = "betas" in known, cycle_momentum = options.cycleMomentum ?? true;
  const fields = {
    cycle_momentum,
    use_beta1,
    base_momentums: perGroup("baseMomentum", optimizer, options.baseMomentum ?? base),
    max_momentums: perGroup("maxMomentum", optimizer, options.maxMomentum ?? max),
  };
  if (!cycle_momentum) return fields;
  if (!use_beta1 && !("momentum" in known)) {
    throw new RangeError(
      `Cannot cycle the momentum of ${optimizer.name}: it has neither momentum nor betas; pass cycleMomentum: false`,
    );
  }
  for (const group of optimizer.paramGroups) group.schedule(use_beta1 ? "betas" : "momentum");
  if (isNew) setMomenta(optimizer, fields.max_momentums, use_beta1);
  return fields;
}

/** Gives every group its momentum. */
export function setMomenta(
  optimizer: Optimizer,
  momenta: readonly number[],
  useBeta1: boolean,
): void {
  optimizer.paramGroups.forEach((group, i) => {
    if (momenta[i] === undefined) return;
    if (!useBeta1) group.set("momentum", momenta[i]);
    else group.set("betas", [momenta[i], ...(group.get("betas") as readonly number[]).slice(1)]);
  });
}
