/** Options and saved state of a loss scaler. */

/** Options of {@linkcode GradScaler}; the defaults are PyTorch's. */
export interface GradScalerOptions {
  /** First factor of the loss; 65536 by default. */
  readonly initScale?: number;
  /** Factor of the scale after `growthInterval` good steps in a row; 2 by default. */
  readonly growthFactor?: number;
  /** Factor of the scale after a step that was skipped; 0.5 by default. */
  readonly backoffFactor?: number;
  /** Good steps in a row until the scale grows; 2000 by default. */
  readonly growthInterval?: number;
  /** False makes every method do nothing but what it is wrapped around; true by default. */
  readonly enabled?: boolean;
  /** Communicator whose ranks skip together. Not needed when the gradients have been summed over the ranks: then all see the same overflow. */
  readonly group?: string;
}

/** State of a {@linkcode GradScaler} with PyTorch's keys; empty when it is disabled. */
export interface GradScalerState {
  /** The scale. */
  readonly scale?: number;
  /** Factor of the scale after a run of good steps. */
  readonly growth_factor?: number;
  /** Factor of the scale after a skipped step. */
  readonly backoff_factor?: number;
  /** Good steps in a row until the scale grows. */
  readonly growth_interval?: number;
  /** Good steps since the scale last changed. */
  readonly _growth_tracker?: number;
}

/** How the scale moves. */
export interface ScaleRule {
  /** Factor after `growthInterval` good steps in a row. */
  readonly growthFactor: number;
  /** Factor after a skipped step. */
  readonly backoffFactor: number;
  /** Good steps in a row until the scale grows. */
  readonly growthInterval: number;
}

/**
 * Defaults and checks.
 *
 * @throws {RangeError} When the scale is not positive, `growthFactor` not above 1, `backoffFactor` not in (0, 1), or the interval no whole number
 */
export function readScalerOptions(
  options: GradScalerOptions,
): { readonly initScale: number; readonly rule: ScaleRule } {
  const { initScale = 65536, growthFactor = 2, backoffFactor = 0.5, growthInterval = 2000 } =
    options;
  const check = (isValid: boolean, name: string, value: number, wanted: string) => {
    if (isValid) return;
    throw new RangeError(`Cannot make a GradScaler with ${name} ${value}: it must be ${wanted}`);
  };
  check(initScale > 0 && Number.isFinite(initScale), "initScale", initScale, "above 0");
  check(growthFactor > 1, "growthFactor", growthFactor, "above 1");
  const shrinks = backoffFactor > 0 && backoffFactor < 1;
  check(shrinks, "backoffFactor", backoffFactor, "between 0 and 1");
  const counts = Number.isInteger(growthInterval) && growthInterval > 0;
  check(counts, "growthInterval", growthInterval, "a whole number above 0");
  return { initScale, rule: { growthFactor, backoffFactor, growthInterval } };
}
