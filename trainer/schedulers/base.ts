/** Bases of schedulers that move any number of the parameter groups, in optimizer steps. */
import type { optim } from "@pta/core";
import type { Scheduler } from "../options.ts";

/** Options that every scheduler has. */
export interface FieldSchedulerOptions {
  /** Which number of the groups is moved: `lr` by default, or any other such as `weightDecay` or `momentum`. */
  readonly field?: string;
}

/** State of a scheduler; JSON can hold it. */
export interface FieldSchedulerState {
  /** Optimizer steps taken. */
  readonly numUpdates: number;
  /** What the groups started from. */
  readonly baseValues: readonly number[];
  /** What a stateful scheduler remembers. */
  readonly fields?: Readonly<Record<string, unknown>>;
}

// What each group started from, field by field, so that a second run does not start from where the first has ended. Rates are noted where PyTorch
// notes them, in the group's `initialLr`, and are saved with the optimizer.
const started = new WeakMap<optim.ParamGroup, Map<string, number>>();

function baseOf(group: optim.ParamGroup, field: string, index: number): number {
  if (field === "lr") return group.initialLr ??= group.lr;
  const known = started.get(group) ?? new Map<string, number>();
  started.set(group, known);
  const value = known.get(field) ?? group.get(field);
  if (typeof value !== "number") {
    throw new RangeError(
      `Cannot schedule ${field}: group ${index} of the optimizer has no such number`,
    );
  }
  known.set(field, value);
  // Steps captured before the first change see it only when the option lies on the device.
  group.schedule(field);
  return value;
}

/**
 * Moves a number of an optimizer's parameter groups: the values of step 0 are set when the scheduler is made, and those of step n after n optimizer
 * steps. Values are computed on the host and written to the device, where captured steps see them.
 */
export abstract class FieldScheduler<F extends object = object> implements Scheduler {
  /** The optimizer. */
  readonly optimizer: optim.Optimizer;
  /** Which number of the groups is moved. */
  readonly field: string;
  /** What the groups started from. */
  baseValues: number[];
  /** Optimizer steps taken. */
  numUpdates = 0;
  /** What the scheduler is made of. */
  protected readonly fields: F;

  /**
   * Sets the first values.
   * @param optimizer The optimizer
   * @param fields The scheduler's own values; they must be here and not in fields of the subclass, which do not exist yet when the first values are set
   * @param options Which number is moved
   * @throws {RangeError} When a group has no such number
   */
  constructor(optimizer: optim.Optimizer, fields: F, options: FieldSchedulerOptions = {}) {
    this.optimizer = optimizer;
    this.fields = fields;
    this.field = options.field ?? "lr";
    this.baseValues = optimizer.paramGroups.map((group, i) => baseOf(group, this.field, i));
    this.apply();
  }

  /** Values for the present {@linkcode numUpdates}: one for all groups, one each, or undefined to leave them. */
  protected abstract currentValues(): number | readonly number[] | undefined;

  /** Values of the groups now. */
  get values(): number[] {
    return this.optimizer.paramGroups.map((g) => g.get(this.field) as number);
  }

  /** Called once after each optimizer step. */
  step(): void {
    this.numUpdates++;
    this.apply();
  }

  /**
   * Sets the groups to {@linkcode currentValues}.
   *
   * @throws {RangeError} When there is neither one value nor as many as groups
   */
  protected apply(): void {
    const groups = this.optimizer.paramGroups;
    // Groups that were added since, as by finetuning, start from what they have.
    for (let i = this.baseValues.length; i < groups.length; i++) {
      this.baseValues.push(baseOf(groups[i], this.field, i));
    }
    const values = this.currentValues();
    if (values === undefined) return;
    const list = typeof values === "number" ? groups.map(() => values) : values;
    if (list.length !== groups.length) {
      throw new RangeError(
        `Cannot set ${list.length} values of ${this.field}: the optimizer has ${groups.length} parameter groups`,
      );
    }
    groups.forEach((group, i) => group.set(this.field, list[i]));
  }

  /** State; JSON can hold it. */
  stateDict(): FieldSchedulerState {
    return { numUpdates: this.numUpdates, baseValues: [...this.baseValues] };
  }

  /**
   * Takes over a state and sets the groups accordingly.
   *
   * @throws {TypeError} When it is the state of something else, or of an optimizer with other groups
   */
  loadStateDict(state: FieldSchedulerState): void {
    const groups = this.optimizer.paramGroups.length;
    if (!Number.isSafeInteger(state?.numUpdates) || state.baseValues?.length !== groups) {
      throw new TypeError(
        `Cannot load the state of ${this.constructor.name}: it must have numUpdates and ${groups} baseValues`,
      );
    }
    this.numUpdates = state.numUpdates;
    this.baseValues = [...state.baseValues];
    this.apply();
  }
}

/**
 * A scheduler whose values are a pure function of the number of steps: a subclass says `valueAt`. Its state is the number of steps and what the groups
 * started from, so a resumed run follows the schedule it is given.
 *
 * ```ts
 * import { type optim } from "@pta/core";
 * import { StatelessScheduler } from "@pta/trainer";
 *
 * class Halving extends StatelessScheduler<{ every: number }> {
 *   constructor(optimizer: optim.Optimizer, every: number) {
 *     super(optimizer, { every });
 *   }
 *   override valueAt(step: number, base: number): number {
 *     return base / 2 ** Math.floor(step / this.fields.every);
 *   }
 * }
 * ```
 */
export abstract class StatelessScheduler<F extends object = object> extends FieldScheduler<F> {
  /**
   * The value that optimizer step `step` (from 0) uses.
   *
   * @param step Optimizer steps before it
   * @param base What the group started from
   * @param group Index of the group
   */
  abstract valueAt(step: number, base: number, group: number): number;

  /** The values of step `numUpdates`. */
  protected override currentValues(): number[] {
    return this.baseValues.map((base, i) => this.valueAt(this.numUpdates, base, i));
  }

  /** Goes to a step, forward or back. */
  stepUpdate(numUpdates: number): void {
    this.numUpdates = numUpdates;
    this.apply();
  }
}

/**
 * A scheduler that remembers something: a subclass changes `this.fields` in `nextValues`. The fields are part of its state, so they must be what
 * JSON can hold.
 */
export abstract class StatefulScheduler<F extends object> extends FieldScheduler<F> {
  /** Values for step `this.numUpdates`, 0 when the scheduler is made: one for all groups, one each, or undefined to leave them. */
  protected abstract nextValues(): number | readonly number[] | undefined;

  /** What {@linkcode nextValues} gives. */
  protected override currentValues(): number | readonly number[] | undefined {
    return this.nextValues();
  }

  /** State with the fields. */
  override stateDict(): FieldSchedulerState {
    return { ...super.stateDict(), fields: structuredClone(this.fields) as never };
  }

  /**
   * Takes over a state with the fields; the optimizer's own state has the values.
   *
   * @throws {TypeError} When it is the state of something else
   */
  override loadStateDict(state: FieldSchedulerState): void {
    const missing = Object.keys(this.fields).filter((key) => !(key in (state?.fields ?? {})));
    if (missing.length > 0) {
      throw new TypeError(
        `Cannot load the state of ${this.constructor.name}: it has no ${missing.join(", ")}`,
      );
    }
    this.isLoading = true;
    try {
      super.loadStateDict(state);
    } finally {
      this.isLoading = false;
    }
    Object.assign(this.fields, structuredClone(state.fields));
  }

  /** Whether a state is being loaded, which must not take a step. */
  protected isLoading = false;

  /** Sets the groups, unless a state is being loaded. */
  protected override apply(): void {
    if (!this.isLoading) super.apply();
  }
}
