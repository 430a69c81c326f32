/** What a callback is: a plain object with a name and a hook for each event that it cares about. */
import type { DefinedHook, EventName, TrainerEvents } from "./events.ts";
import type { Trainer } from "./trainer.ts";

/** A hook. It may be asynchronous (save `onInitEnd`); the loop waits for it. */
export type Hook<E extends EventName> = (
  trainer: Trainer,
  event: TrainerEvents[E],
) => E extends "onInitEnd" ? undefined : void | Promise<void>;

/** One optional hook for each event. */
export type Hooks = { readonly [E in EventName]?: Hook<E> };

/** Behaviour beside the loop. State lives in the function that makes the object. */
export interface Callback extends Hooks {
  /** Unique within a trainer; errors name it. */
  readonly name: string;
  /**
   * Whether its hooks of training steps must run before the next step does, because they change something or look at more than `batchOutput`. True by
   * default; a callback that says false allows {@linkcode TrainerOptions.stepsPerLaunch}, and hears of the steps of a launch when all have been made.
   */
  readonly needsEveryStep?: boolean;
  /** Hooks of events of your own, see {@linkcode defineEvent}. */
  readonly custom?: readonly DefinedHook[];
  /** Runs when `train()` or `evaluate()` ends, in whatever way: close files and bars here. */
  readonly cleanup?: (trainer: Trainer) => void | Promise<void>;
  /** What is saved with a run: plain objects, arrays, numbers, texts, tensors. */
  stateDict?(): unknown;
  /** Takes over a saved state, after the events that open the run (and the epoch) have fired. */
  // Each callback names the type of its own state, which only it can make.
  // deno-lint-ignore no-explicit-any
  loadStateDict?(state: any): void;
}

/**
 * Returns the callback it is given. Writing a callback through it makes the compiler reject a misspelt hook.
 *
 * ```ts
 * import { callback } from "@pta/trainer";
 *
 * export const countSteps = () => {
 *   let steps = 0;
 *   return callback({
 *     name: "countSteps",
 *     onTrainStepEnd: (_trainer, { isOptimizerStep }) => {
 *       if (isOptimizerStep) steps++;
 *     },
 *     onTrainingRunEnd: (trainer) => trainer.print(`${steps} optimizer steps`),
 *   });
 * };
 * ```
 *
 * @param hooks The name and the hooks
 * @returns The same object
 */
export function callback(hooks: Callback): Callback {
  return hooks;
}
