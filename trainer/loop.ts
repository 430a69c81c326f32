/** The loop: run, epoch, step. */
import { stepScope } from "@pta/core";
import { type Batch, haveEqualShapes, onDevice } from "./batch.ts";
import { StopTrainingError, type TrainStepEnd } from "./events.ts";
import { BatchSource, type SourceBatch } from "./batch_source.ts";
import type { WindowPosition } from "./gradients.ts";
import { stepsOfLaunch } from "./launches.ts";
import { accumulationAt } from "./run_config.ts";
import type { StepRunner } from "./step.ts";
import type { Trainer } from "./trainer.ts";

/** Trains until the epochs or the optimizer steps are used up, or somebody stops. */
export async function runTraining(t: Trainer, steps: StepRunner): Promise<void> {
  t.stopReason = undefined;
  try {
    await t.trainingRunStart();
    await t.emit("onTrainingRunStart", {});
    if (t.position.stepInEpoch === 0) t.restoreLate();
    // The last steps of a run that went on in the middle of an epoch may be over: its end is still to come.
    while (
      t.position.epoch < t.runConfig.numEpochs && (t.position.stepInEpoch > 0 || !isFinished(t))
    ) {
      await runTrainEpoch(t, steps);
      if (t.evalDataLoader !== undefined) {
        await runEvalEpoch(t, steps, { metric: "eval_loss_epoch" });
      }
      await t.trainingRunEpochEnd();
      await t.emit("onTrainingRunEpochEnd", {});
      t.agreeOnStop();
      t.runHistory.incrementEpoch();
      await t.reach({ epoch: t.position.epoch + 1, stepInEpoch: 0 }, "epoch");
    }
  } catch (error) {
    if (!(error instanceof StopTrainingError)) throw error;
    t.stopReason = error.message;
    t.print(error.message);
    await t.emitFinal("onStopTrainingError", { error });
  }
  await t.trainingRunEnd();
  await t.emitFinal("onTrainingRunEnd", {});
}

/** Whether the run has made all its optimizer steps, with so many that are about to be made. */
const isFinished = (t: Trainer, begun = 0) =>
  t.numUpdates + begun >= (t.runConfig.maxNumTrainSteps ?? Infinity);

/** A micro-batch that is about to be made. */
interface BegunStep {
  readonly batch: Batch;
  readonly position: WindowPosition;
  readonly isFiller: boolean;
}

async function beginStep(
  t: Trainer,
  { batch, isFiller, isLast }: SourceBatch,
  step: number,
  window: number,
): Promise<BegunStep> {
  t.isFillerStep = isFiller;
  const start = { batch: onDevice(batch, t.device), step };
  await t.emit("onTrainStepStart", start);
  const position = { isFirst: step % window === 0, isLast: (step + 1) % window === 0 || isLast };
  return { batch: start.batch, position, isFiller };
}

/** What follows a micro-batch that has been made. */
async function endStep(
  t: Trainer,
  made: BegunStep & Pick<TrainStepEnd, "batchOutput" | "step" | "lastStep">,
): Promise<void> {
  const { position: { isLast }, ...event } = made;
  if (isLast) {
    t.precision.stepped();
    if (t.scheduler === undefined || !t.precision.wasStepSkipped()) t.schedulerStep();
    t.numUpdates++;
  }
  await t.emit("onTrainStepEnd", { ...event, isOptimizerStep: isLast });
  const stepInEpoch = made.step + 1;
  await t.reach({ epoch: t.position.epoch, stepInEpoch }, isLast ? "step" : undefined);
  if (isLast && t.numUpdates % stopAgreementInterval === 0) t.agreeOnStop();
  t.leaveSafePoint();
}

async function runTrainEpoch(t: Trainer, steps: StepRunner): Promise<void> {
  const { epoch, stepInEpoch } = t.position;
  const window = accumulationAt(t.runConfig, epoch);
  t.leaveSafePoint();
  await t.trainEpochStart();
  t.lossTracker.reset();
  await t.emit("onTrainEpochStart", {});
  if (stepInEpoch > 0) t.restoreLate();
  steps.startEpoch();
  await using batches = new BatchSource(t.trainDataLoader!, {
    // Runs that go on with a history go on with its orders too.
    epoch: t.runHistory.currentEpoch - 1,
    length: t.runConfig.numTrainBatchesPerEpoch,
    limit: t.runConfig.limitTrainBatches,
    start: stepInEpoch,
    isPlaced: t.takeLoaderPlaced(),
    agree: agreement(t),
  });
  const together = stepsOfLaunch(t, steps.capturesTraining);
  for (let step = stepInEpoch; !isFinished(t);) {
    await t.breathe();
    using _scope = stepScope();
    const begun: BegunStep[] = [];
    while (begun.length < together && !isFinished(t, begun.length)) {
      const next = await batches.next();
      if (next === undefined) break;
      begun.push(await beginStep(t, next, step + begun.length, window));
      if (next.isLast) break;
    }
    if (begun.length === 0) {
      if (step > 0) break;
      throw new RangeError(
        "Cannot train: the data gives no batch in this epoch; an iterable dataset must start anew each time",
      );
    }
    // Fewer than a launch takes are not worth a recording of their own.
    const isFull = begun.length === together && haveEqualShapes(begun.map((one) => one.batch));
    const launches = isFull ? [begun] : begun.map((one) => [one]);
    for (const launch of launches) {
      const [{ batch, position, isFiller }] = launch;
      const outputs = launch.length === 1
        ? [steps.train(batch, position, isFiller)]
        : steps.trainSeveral(launch.map((one) => one.batch));
      const lastStep = step + launch.length - 1;
      for (let i = 0; i < launch.length; i++) {
        await endStep(t, { ...launch[i], batchOutput: outputs[i], step: step++, lastStep });
      }
    }
  }
  t.isFillerStep = false;
  await t.trainEpochEnd();
  t.recordLoss("train_loss_epoch");
  t.precision.record(t.runHistory);
  await t.emit("onTrainEpochEnd", {});
  t.agreeOnStop();
}

/** Whether something holds on any rank, for those who have others. */
const agreement = (t: Trainer) =>
  t.comm === undefined ? undefined : (condition: boolean) => t.agree(condition);

/** What an evaluation is for. */
export interface EvalPass {
  /** Name of the mean loss. */
  readonly metric: string;
  /** Whether it interrupts a training epoch. */
  readonly isIntermediate?: boolean;
  /** Batches at most. */
  readonly limit?: number;
}

/** Evaluates once over the evaluation loader and records the mean loss. Modules get back the mode they had, and a training step its place. */
export async function runEvalEpoch(
  t: Trainer,
  steps: StepRunner,
  pass: EvalPass,
): Promise<number> {
  const { metric, isIntermediate = false } = pass, wasFiller = t.isFillerStep;
  const limit = Math.min(pass.limit ?? Infinity, t.limits.eval ?? Infinity);
  const modes = [...t.model.modules()].map((module) => [module, module.training] as const);
  t.startEvaluation();
  try {
    await t.evalEpochStart();
    t.lossTracker.reset();
    await t.emit("onEvalEpochStart", { isIntermediate });
    await using batches = new BatchSource(t.evalDataLoader!, {
      length: t.runConfig.numEvalBatches,
      limit: Math.min(limit, t.runConfig.limitEvalBatches ?? Infinity),
      agree: agreement(t),
    });
    for (let step = 0;; step++) {
      await t.breathe();
      using _scope = stepScope();
      const next = await batches.next();
      if (next === undefined) break;
      const { isFiller } = next, batch = onDevice(next.batch, t.device);
      t.isFillerStep = isFiller;
      await t.emit("onEvalStepStart", { batch, step });
      const batchOutput = steps.evaluate(batch, isFiller);
      await t.emit("onEvalStepEnd", { batch, batchOutput, step, isFiller });
    }
    await t.evalEpochEnd();
    const loss = t.recordLoss(metric, isIntermediate ? { step: t.numUpdates } : {});
    await t.emit("onEvalEpochEnd", { isIntermediate });
    t.agreeOnStop();
    return loss;
  } finally {
    t.endEvaluation();
    t.isFillerStep = wasFiller;
    for (const [module, training] of modes) module.training = training;
  }
}

/** Optimizer steps between two questions to the other ranks whether one of them wants to stop. */
const stopAgreementInterval = 10;
