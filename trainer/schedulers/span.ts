/** Lengths of parts of a run, in whatever unit they are thought of. */
import { type TrainerRunConfig, updatesIn } from "../run_config.ts";

/** A length: a number of optimizer steps, epochs, or a share of the whole run from 0 to 1. */
export type Span = number | { readonly epochs: number } | { readonly ratio: number };

/** What schedules need to know of a run. */
export type RunLengths = Pick<
  TrainerRunConfig,
  | "maxNumTrainSteps"
  | "numUpdateStepsPerEpoch"
  | "numTrainBatchesPerEpoch"
  | "gradientAccumulationSteps"
  | "accumulationSchedule"
>;

/**
 * Optimizer steps of the whole run.
 *
 * @throws {RangeError} When the run has no known end
 */
export function totalSteps(lengths: RunLengths, what: string): number {
  if (lengths.maxNumTrainSteps !== undefined) return lengths.maxNumTrainSteps;
  throw new RangeError(
    `Cannot schedule ${what}: the run has no known length, give maxNumTrainSteps`,
  );
}

/**
 * A span in optimizer steps, rounded to whole ones.
 *
 * @throws {RangeError} When it is negative, or the run's lengths are not known
 */
export function stepsOf(span: Span, lengths: RunLengths, what: string): number {
  let steps: number;
  if (typeof span === "number") steps = span;
  else if ("ratio" in span) steps = span.ratio * totalSteps(lengths, what);
  else {
    const updates = updatesIn(lengths, span.epochs);
    if (updates === undefined) {
      throw new RangeError(
        `Cannot schedule ${what} in epochs: the loader has no known length, give steps`,
      );
    }
    steps = updates;
  }
  if (!(steps >= 0 && Number.isFinite(steps))) {
    throw new RangeError(`Cannot schedule ${what} of ${steps} steps: it must be at least 0`);
  }
  return Math.round(steps);
}

/**
 * Checks that parts fit into a run.
 *
 * @throws {RangeError} When the total is no whole number above 0, or the parts are longer
 */
export function checkLengths(total: number, parts: Readonly<Record<string, number>>): void {
  if (!Number.isSafeInteger(total) || total < 1) {
    throw new RangeError(
      `Cannot schedule totalSteps ${total}: it must be a whole number of at least 1`,
    );
  }
  const entries = Object.entries(parts);
  for (const [name, steps] of entries) {
    if (!Number.isSafeInteger(steps) || steps < 0) {
      throw new RangeError(
        `Cannot schedule ${name} ${steps}: it must be a whole number of at least 0`,
      );
    }
  }
  const sum = entries.reduce((all, [, steps]) => all + steps, 0);
  if (sum > total) {
    throw new RangeError(
      `Cannot schedule ${
        entries.map(([name, steps]) => `${name} ${steps}`).join(" and ")
      }: the run has ${total} steps`,
    );
  }
}

/** A bound: an absolute value, or a share of what a group starts from, which wins. */
export function levelOf(base: number, absolute: number, ratio: number | undefined): number {
  return ratio === undefined ? absolute : base * ratio;
}
