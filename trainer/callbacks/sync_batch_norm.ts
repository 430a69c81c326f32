import { nn } from "@pta/core";
import { type Callback, callback } from "../callback.ts";

/**
 * With several ranks, makes every batch normalisation of the model one that spans their batches, when training starts. Parameters and statistics stay the
 * same tensors, so optimizer, averages and the order of callbacks do not mind. Alone, nothing changes.
 */
export function syncBatchNorm(): Callback {
  return callback({
    name: "syncBatchNorm",
    onTrainingRunStart: (trainer) => {
      if (!trainer.runConfig.isDistributed) return;
      if (trainer.model instanceof nn.BatchNorm) {
        if (trainer.model instanceof nn.SyncBatchNorm) return;
        throw new TypeError(
          "Cannot convert a model that is itself a batch normalisation: put it into a module",
        );
      }
      nn.SyncBatchNorm.convertSyncBatchNorm(trainer.model);
    },
  });
}
