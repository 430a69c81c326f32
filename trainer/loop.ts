/** The loop: run, epoch, step. */
import { stepScope } from "@pta/core";
import { onDevice } from "./batch.ts";
import { StopTrainingError, type TrainStepEnd } from "./events.ts";
import { BatchSource } from "./batch_source.ts";
import { launchesOf, stepsOfLaunch } from "./launches.ts";
import { accumulationAt } from "./run_config.ts";
import type { MicroBatch, StepRunner } from "./step.ts";
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

/** The micro-batches of the next launch, or of several where they do not fit into one; none when the data is used up. */
async function beginSteps(
  t: Trainer,
  batches: BatchSource,
  { first, together, window }: { first: number; together: number; window: number },
): Promise<MicroBatch[]> {
  const begun: MicroBatch[] = [];
  while (begun.length < together && !isFinished(t, begun.length)) {
    const next = await batches.next();
    if (next === undefined) break;
    const step = first + begun.length, { isFiller, isLast } = next;
    t.isFillerStep = isFiller;
    const start = { batch: onDevice(next.batch, t.device), step };
    await t.emit("onTrainStepStart", start);
    const position = { isFirst: step % window === 0, isLast: (step + 1) % window === 0 || isLast };
    begun.push({ batch: start.batch, step, position, isFiller });
    if (isLast) break;
  }
  return begun;
}

/** What follows a micro-batch that has been made. */
async function endStep(
  t: Trainer,
  { position, ...made }: MicroBatch,
  after: Pick<TrainStepEnd, "batchOutput" | "lastStep">,
): Promise<void> {
  const isOptimizerStep = position.isLast, stepInEpoch = made.step + 1;
  if (isOptimizerStep) {
    t.precision.stepped();
    if (t.scheduler === undefined || !t.precision.wasStepSkipped()) t.schedulerStep();
    t.numUpdates++;
  }
  await t.emit("onTrainStepEnd", { ...made, ...after, isOptimizerStep });
  await t.reach({ epoch: t.position.epoch, stepInEpoch }, isOptimizerStep ? "step" : undefined);
  if (isOptimizerStep && t.numUpdates % stopAgreementInterval === 0) t.agreeOnStop();
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
  for (let first = stepInEpoch; !isFinished(t);) {
    await t.breathe();
    using _scope = stepScope();
    const begun = await beginSteps(t, batches, { first, together, window });
    if (begun.length === 0) {
      if (first > 0) break;
      throw new RangeError(
        "Cannot train: the data gives no batch in this epoch; an iterable dataset must start anew each time",
      );
    }
    first += begun.length;
    for (const launch of launchesOf(begun, together)) {
      const outputs = steps.train(launch), lastStep = launch.at(-1)!.step;
      for (const [i, made] of launch.entries()) {
        await endStep(t, made, { batchOutput: outputs[i], lastStep });
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
