/** Runs callbacks in declared order. */
import type { Callback } from "./callback.ts";
import {
  type DefinedEvent,
  type EventName,
  eventNames,
  StopTrainingError,
  type TrainerEvents,
} from "./events.ts";
import type { Trainer } from "./trainer.ts";

/** A callback threw something that is not a {@linkcode StopTrainingError}; `cause` is what it threw. */
export class CallbackError extends Error {
  /** Name of the callback. */
  readonly callback: string;
  /** Name of the event, or `cleanup`. */
  readonly event: string;

  /**
   * Says which callback failed in which event.
   * @param callback Name of the callback
   * @param event Name of the event, or `cleanup`
   * @param cause What was thrown
   */
  constructor(callback: string, event: string, cause: unknown) {
    const reason = cause instanceof Error ? `${cause.name}: ${cause.message}` : String(cause);
    super(`Callback "${callback}" failed in ${event}: ${reason}`, { cause });
    this.name = "CallbackError";
    this.callback = callback;
    this.event = event;
  }
}

type AnyHook = (trainer: Trainer, event: unknown) => void | Promise<void>;

interface Listener {
  readonly callback: string;
  readonly run: AnyHook;
}

/** The callbacks of a trainer, sorted by event. */
export class CallbackRunner {
  /** In declared order. */
  readonly callbacks: readonly Callback[];
  readonly #listeners: ReadonlyMap<EventName, readonly Listener[]>;
  readonly #defined: Map<unknown, Listener[]> = new Map();
  #stop: StopTrainingError | undefined;

  /**
   * Checks the names and keeps the order.
   * @param callbacks In the order that they shall run
   * @throws {RangeError} When two have the same name
   * @throws {TypeError} When one has a hook that no event calls
   */
  constructor(callbacks: readonly Callback[]) {
    this.callbacks = [...callbacks];
    const names = callbacks.map((c) => c.name);
    const twice = names.find((name, i) => names.indexOf(name) !== i);
    if (twice !== undefined) {
      throw new RangeError(
        `Cannot add callback "${twice}" twice: the callbacks are ${names.join(", ")}`,
      );
    }
    for (const c of callbacks) {
      // The compiler catches this in literals; plain JavaScript and casts get here.
      const unknown = Object.keys(c).find((key) =>
        /^on[A-Z]/.test(key) && !(eventNames as readonly string[]).includes(key)
      );
      if (unknown !== undefined) {
        throw new TypeError(
          `Cannot add callback "${c.name}": no event calls its hook "${unknown}", the events are ${
            eventNames.join(", ")
          }`,
        );
      }
    }
    this.#listeners = new Map(
      eventNames.map((event) => [
        event,
        callbacks.filter((c) => c[event] !== undefined).map((c) => ({
          callback: c.name,
          // Called on the callback, whose hooks may be methods.
          run: (trainer, payload) => (c[event] as AnyHook)(trainer, payload),
        })),
      ]),
    );
    for (const c of callbacks) {
      for (const { event, run } of c.custom ?? []) {
        const known = this.#defined.get(event) ?? [];
        this.#defined.set(event, [...known, { callback: c.name, run: run as AnyHook }]);
      }
    }
  }

  /** Whether any callback has a hook for the event. */
  listens(event: EventName): boolean {
    return this.#listeners.get(event)!.length > 0;
  }

  /** Name of a callback that must hear of each training step before the next one runs. */
  get perStep(): string | undefined {
    const events = ["onTrainStepStart", "onTrainStepEnd", "onSafePoint"] as const;
    return this.callbacks.find((c) =>
      (c.needsEveryStep ?? true) && events.some((event) => c[event] !== undefined)
    )?.name;
  }

  /**
   * Tells every callback, in order. A stop is remembered for {@linkcode takeStop}, so the later callbacks still see the event.
   *
   * @returns A promise only when some hook returned one, so that a step without asynchronous hooks stays synchronous
   * @throws {CallbackError} When a hook throws anything else
   */
  emit<E extends EventName>(
    event: E,
    trainer: Trainer,
    payload: TrainerEvents[E],
  ): void | Promise<void> {
    return this.#from(0, this.#listeners.get(event)!, event, trainer, payload);
  }

  /** The same for an event of the user's own. */
  emitDefined<P>(event: DefinedEvent<P>, trainer: Trainer, payload: P): void | Promise<void> {
    return this.#from(0, this.#defined.get(event) ?? [], event.name, trainer, payload);
  }

  #from(
    start: number,
    listeners: readonly Listener[],
    event: string,
    trainer: Trainer,
    payload: unknown,
  ): void | Promise<void> {
    for (let i = start; i < listeners.length; i++) {
      const current = listeners[i];
      try {
        const result = current.run(trainer, payload);
        if (result instanceof Promise) {
          return result
            .catch((error) => this.#failed(current, event, error))
            .then(() => this.#from(i + 1, listeners, event, trainer, payload));
        }
      } catch (error) {
        this.#failed(current, event, error);
      }
    }
  }

  #failed(current: Listener, event: string, error: unknown): void {
    if (!(error instanceof StopTrainingError)) {
      throw new CallbackError(current.callback, event, error);
    }
    this.#stop ??= error;
  }

  /** The first stop raised since the last call, which it clears. */
  takeStop(): StopTrainingError | undefined {
    const stop = this.#stop;
    this.#stop = undefined;
    return stop;
  }

  /** The first stop raised and not yet taken. */
  get pendingStop(): StopTrainingError | undefined {
    return this.#stop;
  }

  /**
   * Runs every `cleanup`, even when one of them throws.
   *
   * @returns What went wrong, in order
   */
  async cleanup(trainer: Trainer): Promise<CallbackError[]> {
    const errors: CallbackError[] = [];
    for (const c of this.callbacks) {
      try {
        await c.cleanup?.(trainer);
      } catch (error) {
        errors.push(new CallbackError(c.name, "cleanup", error));
      }
    }
    this.#stop = undefined;
    return errors;
  }
}
