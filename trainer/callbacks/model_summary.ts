import { nn } from "@pta/core";
import { tensorsIn } from "../batch.ts";
import { type Callback, callback } from "../callback.ts";
import type { Trainer } from "../trainer.ts";

/** Options of {@linkcode modelSummary}. */
export interface ModelSummaryOptions {
  /** Levels of modules that have rows; 3 by default. */
  readonly depth?: number;
  /** What `forward` takes, as `nn.summary` takes it; the first tensor of the first batch when left out. */
  readonly inputs?: Parameters<typeof nn.summary>[1];
}

/** Prints what the model consists of and what its forward pass takes, once a run, before the first step. */
export function modelSummary(options: ModelSummaryOptions = {}): Callback {
  const { depth, inputs } = options;
  let isShown = false;
  const show = (trainer: Trainer, given: Parameters<typeof nn.summary>[1]) => {
    isShown = true;
    trainer.print(`${nn.summary(trainer.model, given, depth === undefined ? {} : { depth })}`);
  };
  return callback({
    name: "modelSummary",
    onTrainingRunStart: (trainer) => {
      isShown = false;
      if (inputs !== undefined) show(trainer, inputs);
    },
    onTrainStepStart: (trainer, { batch }) => {
      if (!isShown) show(trainer, [tensorsIn(batch)[0]]);
    },
  });
}
