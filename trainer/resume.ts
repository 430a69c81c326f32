/**
 * How a run is saved and goes on.
 *
 * **What is saved.** `trainer.trainingState()` lists everything by name, each with `stateDict()` and `loadStateDict(state)`: the position, model, optimizer,
 * scheduler, history, training loader, loss tracker, random numbers, `callbacks.<name>` for every callback with a state, and what
 * `trainer.registerState(name, object)` added, as `objects.<name>`. A state is made of plain objects, arrays, numbers (any), texts, booleans, null, undefined
 * and tensors. Tensors are the live ones, not copies.
 *
 * **When.** In the event `onSafePoint`: every callback has seen `onTrainStepEnd` (or `onTrainingRunEpochEnd`), no accumulation window is open, and the position
 * says what comes next. Anywhere else, parts of the state belong to different moments; `trainer.isAtSafePoint` tells.
 *
 * **Going on.** `train({ resumeFrom })` makes loaders, configuration and scheduler as always, then asks `restore(options)`, which asks the
 * {@linkcode Checkpointer}. What comes back is loaded in two parts:
 *
 * 1. before `trainingRunStart`: position, model, optimizer, scheduler, history, training loader;
 * 2. after the events that open the position have fired (`onTrainingRunStart`, and in the middle of an epoch `onTrainEpochStart` too):
 *    history again, loss tracker, callbacks, objects, random numbers.
 *
 * So a callback allocates and resets in these events as in any run, and its state is laid over afterwards: it need not know whether a run is new.
 * `trainer.isResumed` is true from before `trainingRunStart`. An evaluation at the end of a saved epoch runs again only if the state was saved before it.
 *
 * Data order is a pure function of (seed, `runHistory.currentEpoch`), so the loader starts at batch `stepInEpoch` without reading earlier ones; a
 * loader with `stateDict` and `loadStateDict` goes on by itself.
 */
import type { ResumeFrom } from "./checkpoint/resume_from.ts";
import type { Trainer } from "./trainer.ts";

/** Where a run stands: what comes next. */
export interface RunPosition {
  /** Epochs of this run that are over, their evaluation included. */
  readonly epoch: number;
  /** Micro-batches of the next epoch that are over, on each rank; as many as the epoch has when only its end is left. */
  readonly stepInEpoch: number;
  /** Optimizer steps of this run that are over. */
  readonly numUpdates: number;
}

/** Something that is saved with a run. */
export interface Stateful {
  /** Plain objects, arrays, numbers, texts, and tensors. */
  stateDict(): unknown;
  /** Takes over what `stateDict` gave. */
  // Each class names the type of its own state, which only it can make.
  // deno-lint-ignore no-explicit-any
  loadStateDict(state: any): void;
}

/** The state of a run, as a {@linkcode Checkpointer} finds it. */
export interface SavedRun {
  /** Where the run stood. */
  readonly position: RunPosition;
  /** The states by their names in `trainer.trainingState()`. What is missing keeps the state it has. */
  readonly states: ReadonlyMap<string, unknown>;
}

/** Finds saved runs. */
export interface Checkpointer {
  /**
   * Reads a saved run. All ranks call it, when loaders, configuration and scheduler exist.
   *
   * @param trainer Whose run goes on
   * @param resumeFrom As given to `train()`
   * @returns `undefined` when there is nothing yet, so that the run starts anew
   * @throws {Error} When it cannot be loaded, on all ranks
   */
  load(trainer: Trainer, resumeFrom: ResumeFrom): Promise<SavedRun | undefined>;
}

/** Names of the states that are loaded before a run starts; the others follow when its opening events have fired. */
export const earlyStates: readonly string[] = [
  "model",
  "optimizer",
  "scheduler",
  "history",
  "trainDataLoader",
];

/**
 * Gives a part of a run its saved state.
 *
 * @param name Name of the part, for the error
 * @throws {TypeError} When the part does not take it; names the part
 */
export function loadPart(name: string, part: Stateful, state: unknown): void {
  try {
    part.loadStateDict(state);
  } catch (error) {
    throw new TypeError(
      `Cannot go on with the saved run: the state "${name}" does not fit. ${
        (error as Error).message
      }`,
      { cause: error },
    );
  }
}
