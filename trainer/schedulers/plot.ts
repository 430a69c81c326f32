/** What a schedule will do, before anything is trained. */
import { optim, zeros } from "@pta/core";
import { type LineOptions, plotLines } from "../history/plot.ts";
import type { CreateScheduler } from "../options.ts";
import { createRunConfig } from "../run_config.ts";

/** How long the run would be, and what would be scheduled. */
export interface ScheduleRun {
  /** Optimizer steps of the run. */
  readonly steps: number;
  /** Optimizer steps of an epoch; all of them when left out. */
  readonly stepsPerEpoch?: number;
  /** The optimizer to be scheduled; it is not changed. One group of AdamW with rate 1 when left out. */
  readonly optimizer?: optim.Optimizer;
  /** Which number of the groups to look at; `lr` by default. */
  readonly field?: string;
}

/** An optimizer of the same class with the same groups over tensors of its own. */
function twin(optimizer: optim.Optimizer): optim.Optimizer {
  const groups = optimizer.paramGroups.map((g) => ({
    ...g.options,
    lr: g.initialLr ?? g.lr,
    params: [zeros([1])],
  }));
  // Every optimizer is made of groups and options.
  const Made = optimizer.constructor as new (
    groups: readonly object[],
    defaults: object,
  ) => optim.Optimizer;
  return new Made(groups, optimizer.defaults);
}

/**
 * The values that each optimizer step of a run would use.
 *
 * @param create What `createScheduler` would be
 * @param run Lengths, optimizer, field
 * @returns For each group, one value a step
 * @throws {RangeError} When a group has no such field
 */
export function scheduleValues(create: CreateScheduler, run: ScheduleRun): number[][] {
  const { steps, stepsPerEpoch = steps, field = "lr" } = run;
  const optimizer = run.optimizer === undefined
    ? new optim.AdamW([zeros([1])], { lr: 1 })
    : twin(run.optimizer);
  const scheduler = create(
    optimizer,
    createRunConfig({
      trainPerDeviceBatchSize: 1,
      maxNumTrainSteps: steps,
      numTrainBatchesPerEpoch: stepsPerEpoch,
    }),
  );
  const values: number[][] = optimizer.paramGroups.map(() => []);
  for (let step = 0; step < steps; step++) {
    optimizer.paramGroups.forEach((group, i) => {
      const value = [group.get(field) ?? []].flat()[0];
      if (value === undefined) {
        throw new RangeError(`Cannot plot ${field}: the optimizer has no such number`);
      }
      values[i].push(value);
    });
    scheduler.step();
  }
  return values;
}

/**
 * Draws a schedule, one curve a parameter group.
 *
 * @param create What `createScheduler` would be
 * @param run Lengths, optimizer, field
 * @param options Size, title, logarithmic axes
 * @returns An SVG document
 */
export function plotSchedule(
  create: CreateScheduler,
  run: ScheduleRun,
  options: LineOptions = {},
): string {
  const groups = scheduleValues(create, run), { field = "lr" } = run;
  const lines = groups.map((values, i) => ({
    label: groups.length > 1 ? `${field} of group ${i}` : field,
    points: values.map((value, step) => [step, value] as const),
  }));
  return plotLines(lines, { xLabel: "optimizer step", yLabel: field, ...options });
}
