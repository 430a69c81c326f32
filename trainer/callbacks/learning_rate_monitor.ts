import { type Callback, callback } from "../callback.ts";
import { accumulationAt, checkCount } from "../run_config.ts";

/** Options of {@linkcode learningRateMonitor}. */
export interface LearningRateMonitorOptions {
  /** Optimizer steps between two records; 1 by default. */
  readonly every?: number;
  /** Which numbers of the parameter groups; `["lr"]` by default. Lists such as `betas` give their first number. */
  readonly fields?: readonly string[];
}

/**
 * Records the learning rate that each optimizer step uses as `learning_rate`, or `learning_rate_0`, `learning_rate_1`, ... with several parameter
 * groups; other fields under their own names.
 */
export function learningRateMonitor(options: LearningRateMonitorOptions = {}): Callback {
  const { every = 1, fields = ["lr"] } = options;
  checkCount("every", every);
  return callback({
    name: "learningRateMonitor",
    // At the start of a window the groups still have what the step at its end will use.
    onTrainStepStart: (trainer, { step }) => {
      const window = accumulationAt(trainer.runConfig, trainer.position.epoch);
      const update = trainer.numUpdates + 1;
      if (step % window !== 0 || update % every !== 0) return;
      const groups = trainer.optimizer!.paramGroups;
      for (const field of fields) {
        groups.forEach((group, i) => {
          const value = [group.get(field) ?? []].flat()[0];
          if (value === undefined) return;
          const name = field === "lr" ? "learning_rate" : field;
          const full = groups.length > 1 ? `${name}_${i}` : name;
          trainer.runHistory.record(full, value, { step: update });
        });
      }
    },
  });
}
