/** How many optimizer steps go to the device at once. */
import { haveEqualShapes } from "./batch.ts";
import { accumulationAt } from "./run_config.ts";
import type { MicroBatch } from "./step.ts";
import type { Trainer } from "./trainer.ts";
import { TrainerSteps } from "./trainer_steps.ts";

/**
 * Steps of one launch in this epoch: those that were asked for when nobody has to do or see anything between two of them, else 1. The reason is logged
 * once.
 */
export function stepsOfLaunch(t: Trainer, isCaptured: boolean): number {
  const { stepsPerLaunch, precision } = t;
  if (stepsPerLaunch === 1) return 1;
  const callback = t.perStepCallback();
  const between: readonly (readonly [holds: boolean, reason: string])[] = [
    [!isCaptured, "they are not captured"],
    [t.comm !== undefined, "there are several ranks"],
    [accumulationAt(t.runConfig, t.position.epoch) > 1, "gradients are accumulated"],
    [
      t.scheduler !== undefined || t.schedulerStep !== TrainerSteps.prototype.schedulerStep,
      "a scheduler runs after each",
    ],
    [precision.scaler !== undefined, "the loss scaler looks at each"],
    [
      t.runConfig.numTrainBatchesPerEpoch === undefined,
      "nobody knows how many batches there are",
    ],
    [
      callback !== undefined,
      `the callback "${callback}" sees each (needsEveryStep: false would say that it need not)`,
    ],
  ];
  const reason = between.find(([holds]) => holds)?.[1];
  if (reason === undefined) return stepsPerLaunch;
  t.logOnce("stepsPerLaunch", `Steps run one a launch: ${reason}`);
  return 1;
}

/**
 * Micro-batches by the launches that make them: all in one when they are as many as asked for and of equal shapes, else each alone, for fewer are not worth
 * a recording of their own.
 */
export function launchesOf(
  begun: readonly MicroBatch[],
  together: number,
): (readonly MicroBatch[])[] {
  const isOne = begun.length === together && haveEqualShapes(begun.map(({ batch }) => batch));
  return isOne ? [begun] : begun.map((one) => [one]);
}
