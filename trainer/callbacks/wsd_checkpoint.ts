import { saveSafetensors } from "@pta/core";
import { type Callback, callback } from "../callback.ts";
import { together } from "../checkpoint/exchange.ts";
import { saveTrainingState } from "../checkpoint/save.ts";
import type { Scheduler } from "../options.ts";
import type { WsdScheduler } from "../schedulers/wsd.ts";

/** Options of {@linkcode wsdCheckpoint}. */
export interface WsdCheckpointOptions {
  /** Folder, made when missing; `wsd_checkpoints` by default. */
  readonly directory?: string;
}

/**
 * Saves at the moments of a schedule with decays ({@linkcode WsdScheduler}): before each decay a training state in `<directory>/before_decay`, from which a
 * longer run can go on with the stable phase, and after each the finished model as `<directory>/model_step_<n>.safetensors`. Nothing is ever removed.
 *
 * To go on: `train({ resumeFrom: "<directory>/before_decay", numEpochs: more, createScheduler })`. The schedule follows the new length.
 */
export function wsdCheckpoint(options: WsdCheckpointOptions = {}): Callback {
  const { directory = "wsd_checkpoints" } = options;
  return callback({
    name: "wsdCheckpoint",
    onTrainingRunStart: ({ scheduler }) => {
      if (isWsd(scheduler)) return;
      throw new TypeError(
        "Cannot save at the checkpoints of this schedule: createScheduler must make one with decays, such as wsdSchedule()",
      );
    },
    onSafePoint: async (trainer, { after }) => {
      if (after !== "step" || !isWsd(trainer.scheduler)) return;
      const moment = trainer.scheduler.checkpointAt(trainer.numUpdates);
      if (moment === "preDecay") {
        const path = await saveTrainingState(trainer, { directory: `${directory}/before_decay` });
        trainer.print(`Before the decay: ${path}`);
      } else if (moment === "postDecay") {
        const path = `${directory}/model_step_${trainer.numUpdates}.safetensors`;
        await together(async () => {
          if (!trainer.runConfig.isWorldProcessZero) return;
          await Deno.mkdir(directory, { recursive: true });
          await saveSafetensors(trainer.model.stateDict(), path);
        }, trainer.comm);
        trainer.print(`After the decay: ${path}`);
      }
    },
  });
}

const isWsd = (scheduler: Scheduler | undefined): scheduler is WsdScheduler =>
  typeof (scheduler as Partial<WsdScheduler> | undefined)?.checkpointAt === "function";
