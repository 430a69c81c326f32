import { type Callback, callback } from "../callback.ts";
import { together } from "../checkpoint/exchange.ts";
import { removeUnfinished } from "../checkpoint/files.ts";
import { removeOldStates } from "../checkpoint/folder.ts";
import type { WatchedValue } from "../checkpoint/manifest.ts";
import { defaultFolder } from "../checkpoint/resume_from.ts";
import { saveTrainingState } from "../checkpoint/save.ts";
import { type SafePoint, StopTrainingError } from "../events.ts";
import { betterThan, type Direction } from "../history.ts";
import { checkCount } from "../run_config.ts";
import type { Trainer } from "../trainer.ts";

/** Options of {@linkcode saveState}. */
export interface SaveStateOptions {
  /** Folder of the states, made when missing; `training_states` by default. `resumeFrom: "latest"` looks there. */
  readonly directory?: string;
  /** Saves after every so many optimizer steps. */
  readonly everySteps?: number;
  /** Saves after every so many epochs, with their evaluation; 1 by default when neither steps nor minutes are given. */
  readonly everyEpochs?: number;
  /** Saves when so many minutes have passed since the last save. */
  readonly everyMinutes?: number;
  /** Saves and stops, in good order, when the process gets one of these signals; SIGTERM by default, nothing on Windows. */
  readonly signals?: readonly Deno.Signal[];
  /**
   * Whether the end of the last epoch is saved in any case, and where a callback has stopped the run at a safe point, as `timeBudget` does; true by
   * default.
   */
  readonly atEnd?: boolean;
  /** How many of the latest states stay; 3 by default, Infinity for all. The best one stays besides. */
  readonly keepLast?: number;
  /** Metric that the best state is best by, as it was after an epoch; `eval_loss_epoch` by default, where it is recorded. */
  readonly watchMetric?: string;
  /** Which way it is better; what the history says when left out. */
  readonly direction?: "lower" | "higher";
  /** The clock of `everyMinutes`, in milliseconds. */
  readonly now?: () => number;
}

/** The callback that saves states. */
export interface SaveStateCallback extends Callback {
  /** The folder that it saves to. */
  readonly directory: string;
}

/** Optimizer steps between two questions to the other ranks whether it is time or a signal has come; alone, each step asks. */
const agreementInterval = 10;

/**
 * Saves training states, from which `train({ resumeFrom })` goes on bit by bit. Each is a directory that appears whole or not at all; rank 0 writes. Where it
 * stands among the callbacks does not matter.
 *
 * @throws {RangeError} When an option makes no sense
 */
export function saveState(options: SaveStateOptions = {}): SaveStateCallback {
  const { directory = defaultFolder, everySteps, everyMinutes, keepLast = 3, atEnd = true } =
    options;
  const everyEpochs = options.everyEpochs ??
    (everySteps === undefined && everyMinutes === undefined ? 1 : undefined);
  const { signals = Deno.build.os === "windows" ? [] : ["SIGTERM"] } = options;
  const { watchMetric = "eval_loss_epoch", now = () => performance.now() } = options;
  if (everySteps !== undefined) checkCount("everySteps", everySteps);
  if (everyEpochs !== undefined) checkCount("everyEpochs", everyEpochs);
  if (keepLast !== Infinity) checkCount("keepLast", keepLast);
  if (everyMinutes !== undefined && !(everyMinutes > 0)) {
    throw new RangeError(`Cannot use everyMinutes ${everyMinutes}: it must be above 0`);
  }
  let lastSave = 0;
  /** Position of the last save, so that one moment is not saved twice. */
  let saved = "";
  let signal: Deno.Signal | undefined;
  const handlers = new Map<Deno.Signal, () => void>();

  const isDue = (trainer: Trainer, after: SafePoint["after"]): boolean => {
    const { position, runConfig } = trainer;
    if (after === "step") {
      return everySteps !== undefined && position.numUpdates % everySteps === 0;
    }
    if (everyEpochs !== undefined && position.epoch % everyEpochs === 0) return true;
    const isLast = position.epoch >= runConfig.numEpochs ||
      position.numUpdates >= (runConfig.maxNumTrainSteps ?? Infinity);
    return atEnd && isLast;
  };

  const isTime = () => everyMinutes !== undefined && now() - lastSave >= everyMinutes * 60_000;

  const save = async (trainer: Trainer, after: SafePoint["after"]): Promise<string> => {
    const metric = after === "epoch" ? watchedValue(trainer, watchMetric) : undefined;
    const path = await saveTrainingState(trainer, { directory, metric });
    [lastSave, saved] = [now(), JSON.stringify(trainer.position)];
    const isBetter = directionOf(trainer, watchMetric, options.direction);
    await together(async () => {
      if (!trainer.runConfig.isWorldProcessZero || keepLast === Infinity) return;
      await removeOldStates(directory, { keepLast, isBetter });
    }, trainer.comm);
    return path;
  };

  const saveAndStop = async (trainer: Trainer, after: SafePoint["after"]): Promise<never> => {
    const path = await save(trainer, after), { numUpdates } = trainer;
    throw new StopTrainingError(
      `Stopped by ${
        signal ?? "a signal to another rank"
      } after ${numUpdates} steps; the training state is in "${path}"`,
      { everywhere: true },
    );
  };

  return {
    directory,
    ...callback({
      name: "saveState",
      onTrainingRunStart: async (trainer) => {
        [lastSave, saved, signal] = [now(), "", undefined];
        for (const name of signals) {
          const handler = () => void (signal = name);
          Deno.addSignalListener(name, handler);
          handlers.set(name, handler);
        }
        await together(async () => {
          if (trainer.runConfig.isWorldProcessZero) await removeUnfinished(directory);
        }, trainer.comm);
      },
      // Synchronous unless it saves, because every step comes here.
      onSafePoint: (trainer, { after }) => {
        let due = isDue(trainer, after), stops = signal !== undefined;
        const asks = everyMinutes !== undefined || signals.length > 0;
        const isTurn = after === "epoch" || trainer.numUpdates % agreementInterval === 0;
        if (trainer.comm === undefined) due ||= isTime();
        else if (asks && isTurn) {
          // Clocks and signals differ between ranks; what one of them wants, all do.
          const [time, stop] = trainer.reduce([+isTime(), +stops], "max");
          due ||= time > 0;
          stops = stop > 0;
        } else stops = false;
        if (stops) return saveAndStop(trainer, after);
        if (due) return save(trainer, after).then(() => {});
      },
      onStopTrainingError: async (trainer) => {
        const { position } = trainer;
        if (!atEnd || !trainer.isAtSafePoint || saved === JSON.stringify(position)) return;
        await save(trainer, position.stepInEpoch === 0 ? "epoch" : "step");
      },
      cleanup: () => {
        for (const [name, handler] of handlers) Deno.removeSignalListener(name, handler);
        handlers.clear();
      },
    }),
  };
}

function watchedValue(trainer: Trainer, name: string): WatchedValue | undefined {
  const { runHistory } = trainer;
  return runHistory.has(name) ? { name, value: runHistory.latest(name) } : undefined;
}

function directionOf(
  { runHistory }: Trainer,
  name: string,
  asked: "lower" | "higher" | undefined,
): ((a: number, b: number) => boolean) | undefined {
  const direction: Direction = asked ??
    (runHistory.has(name) ? runHistory.get(name).direction : "none");
  return direction === "none" ? undefined : betterThan(direction);
}
