import { type Callback, callback } from "../callback.ts";

/** Prints what a run is, each epoch, and its end. */
export function printProgress(): Callback {
  return callback({
    name: "printProgress",
    onTrainingRunStart: (trainer) => {
      const c = trainer.runConfig;
      const steps = c.numUpdateStepsPerEpoch === undefined
        ? ""
        : `, ${c.numUpdateStepsPerEpoch} steps an epoch`;
      trainer.print(
        `Training: batch ${c.trainPerDeviceBatchSize} x ${c.worldSize} rank${
          c.worldSize > 1 ? "s" : ""
        } x accumulation ${c.gradientAccumulationSteps} = ${c.trainTotalBatchSize} samples a step${steps}`,
      );
    },
    onTrainEpochStart: (trainer) => {
      const { numEpochs } = trainer.runConfig;
      const of = Number.isFinite(numEpochs) ? ` of ${numEpochs}` : "";
      trainer.print(`Epoch ${trainer.runHistory.currentEpoch}${of}`);
    },
    onTrainingRunEnd: (trainer) =>
      trainer.print(`Training ended after ${trainer.numUpdates} steps`),
    onEvaluationRunStart: (trainer) => trainer.print("Evaluating"),
  });
}
