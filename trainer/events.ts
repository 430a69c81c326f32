/** The events of a run: their names, what each carries, and the order they fire in. */
import type { Batch, BatchOutput } from "./batch.ts";
import type { Trainer } from "./trainer.ts";

/** What a training step was, as `onTrainStepEnd` tells it. */
export interface TrainStepEnd {
  /** The batch, on the model's device. */
  readonly batch: Batch;
  /** What `calculateTrainBatchLoss` returned; a captured step overwrites its tensors at the next step. */
  readonly batchOutput: BatchOutput;
  /** 0-based index of the micro-batch within the epoch. */
  readonly step: number;
  /** Whether this micro-batch closed its window, so that the optimizer has stepped. */
  readonly isOptimizerStep: boolean;
  /** Whether this rank only kept the others company: its data was used up, so it repeated a batch that counts for nothing. */
  readonly isFiller: boolean;
  /** The last micro-batch that has been made; beyond `step` when {@linkcode TrainerOptions.stepsPerLaunch} steps are made at once. */
  readonly lastStep: number;
}

/** What an evaluation step was. */
export interface EvalStepEnd {
  /** The batch, on the model's device. */
  readonly batch: Batch;
  /** What `calculateEvalBatchLoss` returned; a captured step overwrites its tensors at the next step. */
  readonly batchOutput: BatchOutput;
  /** 0-based index of the batch within the pass. */
  readonly step: number;
  /** Whether this rank only kept the others company: it repeated a batch that counts for nothing. */
  readonly isFiller: boolean;
}

/** A batch about to be used. */
export interface StepStart {
  /** The batch, on the model's device. In training a callback may put another one in its place, which the step then uses. */
  batch: Batch;
  /** 0-based index of the batch within the epoch. */
  readonly step: number;
}

/** Whether an evaluation pass interrupts a training epoch. */
export interface EvalEpoch {
  /** True when the pass interrupts a training epoch. */
  readonly isIntermediate: boolean;
}

/** A moment at which everything that a run is made of belongs together. */
export interface SafePoint {
  /** Whether a step or an epoch, with its evaluation, has just ended. */
  readonly after: "step" | "epoch";
}

/** An event that carries nothing. */
export type Nothing = Readonly<Record<never, never>>;

/** Every event and what it carries. */
export interface TrainerEvents {
  /** The trainer is made. */
  onInitEnd: Nothing;
  /** `train()` begins; the run's configuration is known. */
  onTrainingRunStart: Nothing;
  /** A training epoch begins. */
  onTrainEpochStart: Nothing;
  /** Before the forward pass of a micro-batch. */
  onTrainStepStart: StepStart;
  /** After the micro-batch, its backward pass and, where it closes a window, the optimizer step. */
  onTrainStepEnd: TrainStepEnd;
  /** Every callback has seen the end of an optimizer step, or of an epoch: the training state can be saved. */
  onSafePoint: SafePoint;
  /** The epoch's loss is in the history. */
  onTrainEpochEnd: Nothing;
  /** An evaluation pass begins. */
  onEvalEpochStart: EvalEpoch;
  /** Before the forward pass of an evaluation batch. */
  onEvalStepStart: StepStart;
  /** After it. */
  onEvalStepEnd: EvalStepEnd;
  /** The pass's loss is in the history. */
  onEvalEpochEnd: EvalEpoch;
  /** Training epoch and evaluation are both over. */
  onTrainingRunEpochEnd: Nothing;
  /** Somebody stopped the run by throwing a {@linkcode StopTrainingError}. */
  onStopTrainingError: { readonly error: StopTrainingError };
  /** `train()` ends, stopped or not. */
  onTrainingRunEnd: Nothing;
  /** `evaluate()` begins. */
  onEvaluationRunStart: Nothing;
  /** `evaluate()` ends. */
  onEvaluationRunEnd: Nothing;
}

/** An event of the user's own, made by {@linkcode defineEvent}: what identifies it is this object, not its name. */
export interface DefinedEvent<P> {
  /** For messages. */
  readonly name: string;
  /**
   * A hook of this event, for the `custom` list of a callback.
   *
   * @param run Called with the trainer and what `trainer.emit` was given
   */
  hook(run: (trainer: Trainer, payload: P) => void | Promise<void>): DefinedHook;
}

/** A hook of a {@linkcode DefinedEvent}. */
export interface DefinedHook {
  /** The event. */
  readonly event: DefinedEvent<never>;
  /** What runs. */
  readonly run: (trainer: Trainer, payload: never) => void | Promise<void>;
}

/**
 * Declares an event of your own. Emit it from a method of a trainer or from a hook, and hear it in any callback:
 *
 * ```ts
 * import { callback, defineEvent } from "@pta/trainer";
 *
 * const onLayerUnfrozen = defineEvent<{ layer: string }>("onLayerUnfrozen");
 *
 * export const unfreezer = callback({
 *   name: "unfreezer",
 *   onTrainEpochStart: (trainer) => trainer.emit(onLayerUnfrozen, { layer: "head" }),
 * });
 * export const logger = callback({
 *   name: "logger",
 *   custom: [onLayerUnfrozen.hook((trainer, { layer }) => trainer.print(layer))],
 * });
 * ```
 *
 * @param name For messages
 */
export function defineEvent<P = Nothing>(name: string): DefinedEvent<P> {
  const event: DefinedEvent<P> = {
    name,
    hook: (run) => ({ event: event as DefinedEvent<never>, run }),
  };
  return event;
}

/** Name of an event. */
export type EventName = keyof TrainerEvents;

/** One row of the order table. */
export interface EventFacts {
  /** The scope that the event belongs to; inner scopes repeat inside outer ones. */
  readonly scope: "init" | "train" | "epoch" | "trainStep" | "evalPass" | "evalStep" | "evaluate";
  /** The trainer's methods that have run since the previous event, in order. */
  readonly after: readonly string[];
  /** What is true when it fires. */
  readonly when: string;
}

/**
 * The order of events: keys are in firing order, a method always precedes its event. `epoch`, `trainStep`, `evalPass` and `evalStep` repeat.
 */
export const eventOrder: Readonly<Record<EventName, EventFacts>> = {
  onInitEnd: {
    scope: "init",
    after: [],
    when: "the trainer is constructed; the hook is synchronous",
  },
  onTrainingRunStart: {
    scope: "train",
    after: ["createTrainDataLoader", "createEvalDataLoader", "createScheduler", "trainingRunStart"],
    when: "loaders, run configuration and scheduler exist, nothing is trained",
  },
  onTrainEpochStart: {
    scope: "epoch",
    after: ["trainEpochStart"],
    when: "the model is in training mode and the loss tracker is empty",
  },
  onTrainStepStart: { scope: "trainStep", after: [], when: "a batch is loaded" },
  onTrainStepEnd: {
    scope: "trainStep",
    after: [
      "calculateTrainBatchLoss",
      "updateLossTracker",
      "backwardStep",
      "clipGradients",
      "optimizerStep",
      "optimizerZeroGrad",
      "schedulerStep",
    ],
    when: "the micro-batch is done, with the optimizer's step when it closed a window",
  },
  onSafePoint: {
    scope: "trainStep",
    after: [],
    when:
      "the optimizer has stepped and every callback has seen the step; once more after onTrainingRunEpochEnd",
  },
  onTrainEpochEnd: {
    scope: "epoch",
    after: ["trainEpochEnd"],
    when: "train_loss_epoch is in the history",
  },
  onEvalEpochStart: {
    scope: "evalPass",
    after: ["evalEpochStart"],
    when: "the model is in evaluation mode and the loss tracker is empty",
  },
  onEvalStepStart: { scope: "evalStep", after: [], when: "a batch is loaded" },
  onEvalStepEnd: {
    scope: "evalStep",
    after: ["calculateEvalBatchLoss", "updateLossTracker"],
    when: "its loss is known",
  },
  onEvalEpochEnd: {
    scope: "evalPass",
    after: ["evalEpochEnd"],
    when: "the loss is in the history: eval_loss_epoch, or evaluation_loss in evaluate()",
  },
  onTrainingRunEpochEnd: {
    scope: "epoch",
    after: ["trainingRunEpochEnd"],
    when: "training and evaluation of the epoch are done",
  },
  onStopTrainingError: {
    scope: "train",
    after: [],
    when: "a callback or a method has stopped the run; later epochs do not run",
  },
  onTrainingRunEnd: {
    scope: "train",
    after: ["trainingRunEnd"],
    when: "the run is over, by itself or stopped",
  },
  onEvaluationRunStart: {
    scope: "evaluate",
    after: ["createEvalDataLoader", "evaluationRunStart"],
    when: "the loader and the run configuration exist",
  },
  onEvaluationRunEnd: {
    scope: "evaluate",
    after: ["evaluationRunEnd"],
    when: "the evaluation is over",
  },
};

/** Every event name, in firing order. */
export const eventNames: readonly EventName[] = Object.keys(eventOrder) as EventName[];

/**
 * Throw this in a callback or an overridden method to end the run in good order: the remaining callbacks still see the event, then
 * `onStopTrainingError` and `onTrainingRunEnd` fire and `train()` returns.
 */
export class StopTrainingError extends Error {
  /** Whether every rank is known to stop at this same event, so that no agreement is needed. */
  readonly everywhere: boolean;

  /**
   * Makes the signal.
   * @param message Why the run stops, for people
   * @param options `everywhere`: every rank raises the same stop at the same event
   */
  constructor(message: string, options: { everywhere?: boolean } = {}) {
    super(message);
    this.name = "StopTrainingError";
    this.everywhere = options.everywhere ?? false;
  }
}
