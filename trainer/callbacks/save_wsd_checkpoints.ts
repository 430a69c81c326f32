import { saveSafetensors } from "@pta/core";
import { type Callback, callback } from "../callback.ts";
import { together } from "../checkpoint/exchange.ts";
import { saveTrainingState } from "../checkpoint/save.ts";
import { WsdScheduler } from "../schedulers/wsd.ts";

/** Options of {@linkcode saveWsdCheckpoints}. */
export interface SaveWsdCheckpointsOptions {
  /** Folder of states and models, made when missing; `wsd_checkpoints` by default. */
  readonly directory?: string;
}

/**
 * Saves what a {@linkcode WsdScheduler} is for: before each decay a training state, from which a longer run can go on at the full rate, and after it the
 * finished model, `model_step_200.safetensors` under PyTorch's keys. Nothing is ever removed.
 */
export function saveWsdCheckpoints(options: SaveWsdCheckpointsOptions = {}): Callback {
  const { directory = "wsd_checkpoints" } = options;
  return callback({
    name: "saveWsdCheckpoints",
    onTrainingRunStart: ({ scheduler }) => {
      if (scheduler instanceof WsdScheduler) return;
      throw new TypeError(
        `Cannot save WSD checkpoints: the scheduler is ${
          scheduler?.constructor.name ?? "undefined"
        }, and it must be a WsdScheduler; give createScheduler: wsdSchedule()`,
      );
    },
    onSafePoint: async (trainer, { after }) => {
      if (after !== "step") return;
      const due = (trainer.scheduler as unknown as WsdScheduler).checkpointAt();
      if (due === "preDecay") await saveTrainingState(trainer, { directory });
      if (due !== "postDecay") return;
      await together(async () => {
        if (!trainer.runConfig.isWorldProcessZero) return;
        await Deno.mkdir(directory, { recursive: true });
        const path = `${directory}/model_step_${trainer.numUpdates}.safetensors`;
        await saveSafetensors(trainer.model.stateDict(), path);
      }, trainer.comm);
    },
  });
}
