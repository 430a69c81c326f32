/** The base of learning-rate schedulers. */
import type { Optimizer } from "../optimizer.ts";

/** Value in the state of a scheduler: what JSON can say. */
export type SchedulerValue =
  | null
  | boolean
  | number
  | string
  | readonly SchedulerValue[]
  | { readonly [key: string]: SchedulerValue };

/** State of a scheduler, with PyTorch's keys. */
export type SchedulerStateDict = Readonly<Record<string, SchedulerValue>>;

/** Options that every scheduler has. */
export interface SchedulerOptions {
  /** Index of the last epoch that is over; -1, the default, starts anew. Anything else needs groups with an `initialLr`. */
  readonly lastEpoch?: number;
}

/**
 * Sets the learning rates of an optimizer's groups, one value each time `step` is called; what a call means, an epoch or an optimizer step, is the
 * caller's affair. Rates are computed on the host and written to the device, where captured steps see them.
 *
 * A subclass gives its own values to the constructor, as `fields` with PyTorch's names, and computes rates in `getLr` from `this.fields`,
 * `this.baseLrs` and `this.lastEpoch`:
 *
 * ```ts ignore
 * class HalvingLR extends optim.LRScheduler<{ every: number }> {
 *   constructor(optimizer: optim.Optimizer, every: number) {
 *     super(optimizer, { every });
 *   }
 *   override getLr(): number[] {
 *     return this.baseLrs.map((lr) => lr / 2 ** Math.floor(this.lastEpoch / this.fields.every));
 *   }
 * }
 * ```
 */
export abstract class LRScheduler<F extends object = object> {
  /** The optimizer whose groups it sets. */
  readonly optimizer: Optimizer;
  /** Learning rates to start from, one a group. */
  baseLrs: number[] = [];
  /** Number of the epoch that the present rates belong to. */
  lastEpoch: number;
  /** Calls of `step`, with the one of the constructor. */
  stepCount = 0;
  /** What the scheduler is made of, and remembers: part of the state, functions excepted. */
  protected readonly fields: F;
  /** Whether the first rates are being set. */
  protected isInitial = false;
  /** The rates set last. */
  protected lastLr: number[] = [];

  /**
   * Sets the first learning rates.
   * @param optimizer The optimizer
   * @param fields The scheduler's own values
   * @param lastEpoch Index of the last epoch that is over; null when others set the rates
   * @throws {RangeError} When `lastEpoch` goes on from an epoch, and a group has no `initialLr`
   */
  constructor(optimizer: Optimizer, fields: F, lastEpoch: number | null = -1) {
    this.optimizer = optimizer;
    this.fields = fields;
    this.lastEpoch = lastEpoch ?? 0;
    if (lastEpoch === null) return;
    optimizer.paramGroups.forEach((group, i) => {
      if (lastEpoch === -1) group.initialLr ??= group.lr;
      else if (group.initialLr === undefined) {
        throw new RangeError(
          `Cannot go on after epoch ${lastEpoch}: group ${i} has no initialLr; load the optimizer's state first`,
        );
      }
    });
    this.baseLrs = optimizer.paramGroups.map((g) => g.initialLr!);
    this.initialStep();
  }

  /** Rates of the epoch `lastEpoch`, one a group, from the present ones or from `baseLrs`. */
  abstract getLr(): number[];

  /** Rates of the epoch `lastEpoch` that do not depend on the present ones, where there is such a form. */
  protected closedFormLr(): number[] | undefined {
    return undefined;
  }

  /** Rates that were set last, one a group. */
  getLastLr(): number[] {
    return [...this.lastLr];
  }

  /** Sets the first rates. */
  initialStep(): void {
    this.stepCount = 0;
    this.isInitial = true;
    try {
      this.step();
    } finally {
      this.isInitial = false;
    }
  }

  /**
   * Goes to the next epoch, or to a given one.
   *
   * @param epoch Epoch to jump to, by the closed form where there is one
   */
  step(epoch?: number): void {
    this.stepCount++;
    this.updateLr(epoch);
  }

  /** What `step` does, without counting it. */
  updateLr(epoch?: number): void {
    this.lastEpoch = epoch ?? this.lastEpoch + 1;
    this.setLrs(epoch === undefined ? this.getLr() : this.closedFormLr() ?? this.getLr());
  }

  /** Takes back the first step, for a scheduler whose turn comes later. */
  undo(): void {
    this.lastEpoch--;
  }

  /** Gives every group its rate. */
  protected setLrs(rates: readonly number[]): void {
    this.optimizer.paramGroups.forEach((group, i) => group.lr = rates[i] ?? group.lr);
    this.rememberLrs();
  }

  /** Notes the rates as they are. */
  protected rememberLrs(): void {
    this.lastLr = this.currentLrs();
  }

  /** Present rates of the groups. */
  protected currentLrs(): number[] {
    return this.optimizer.paramGroups.map((g) => g.lr);
  }

  /** State with PyTorch's keys; JSON can hold it. The optimizer's own state has the rates and momenta. */
  stateDict(): SchedulerStateDict {
    const own = Object.entries(this.fields).filter(([, x]) => isPlain(x));
    return structuredClone({
      ...Object.fromEntries(own),
      base_lrs: this.baseLrs,
      last_epoch: this.lastEpoch,
      _step_count: this.stepCount,
      _last_lr: this.lastLr,
    });
  }

  /**
   * Takes over a state; the optimizer's is loaded apart.
   *
   * @throws {TypeError} When the state is another scheduler's
   */
  loadStateDict(state: SchedulerStateDict): void {
    const own = Object.entries(this.fields).filter(([, x]) => isPlain(x)).map(([key]) => key);
    const wanted = [...own, "last_epoch", "_last_lr"];
    const missing = wanted.filter((key) => !(key in state));
    if (missing.length > 0) {
      throw new TypeError(
        `Cannot load the state of ${this.constructor.name}: it has no ${missing.join(", ")}`,
      );
    }
    const copy = structuredClone(state) as Record<string, SchedulerValue>;
    for (const key of own) Object.assign(this.fields, { [key]: copy[key] });
    this.baseLrs = (copy.base_lrs ?? []) as number[];
    this.lastEpoch = copy.last_epoch as number;
    this.stepCount = (copy._step_count ?? 0) as number;
    this.lastLr = copy._last_lr as number[];
  }
}

/** Whether JSON can hold a value: functions do not belong to a state. */
function isPlain(value: unknown): value is SchedulerValue {
  if (Array.isArray(value)) return value.every(isPlain);
  return typeof value !== "function" && value !== undefined;
}

/**
 * One number for each group, from one for all or a list.
 *
 * @throws {RangeError} When the list has another length
 */
export function perGroup<T>(name: string, optimizer: Optimizer, value: T | readonly T[]): T[] {
  const { length } = optimizer.paramGroups;
  if (!Array.isArray(value)) return Array.from({ length }, () => value as T);
  if (value.length === length) return [...value];
  throw new RangeError(
    `Cannot use ${value.length} values of ${name}: the optimizer has ${length} parameter groups`,
  );
}

/**
 * Checks a value of a scheduler.
 *
 * @throws {RangeError} When it is not allowed
 */
export function allow(isValid: boolean, name: string, value: unknown, wanted: string): void {
  if (!isValid) throw new RangeError(`Cannot schedule with ${name} ${value}: it must be ${wanted}`);
}

/** Number of milestones up to and with `epoch`; they are sorted. */
export function passed(milestones: readonly number[], epoch: number): number {
  return milestones.filter((m) => m <= epoch).length;
}

/** Whether a value is a whole number above 0. */
export const isCount = (x: unknown): boolean => Number.isInteger(x) && (x as number) > 0;
