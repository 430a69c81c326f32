/** Captured steps: the launches of a step of fixed shapes, recorded once and replayed without building a graph. */
import { log } from "./debug.ts";
import { Tape } from "./capture_tape.ts";
import { setDrawRecorder } from "./draws.ts";
import { checkDevice, realizeNodes, setRecorder } from "./realize.ts";
import { scopeOwn } from "./scope.ts";
import { shapeText } from "./shape.ts";
import { Storage } from "./storage.ts";
import { storageNode } from "./tensor/base.ts";
import { Tensor } from "./tensor/tensor.ts";

/** A step that has been wrapped by {@linkcode capture}. */
export interface Captured<A extends readonly Tensor[], R> {
  /** Runs the step: plainly the first time, recording the second, replaying from then on. */
  (...args: A): R;
  /**
   * Runs several steps, one after the other, and returns what each has returned: like so many calls, but with one launch for all, which gains where a step is
   * so small that launching it takes longer than computing it. Each number of steps is warmed up and recorded by itself, and holds what each of its steps
   * returns, gradients included. Results are overwritten when as many steps of these shapes are replayed again.
   *
   * @param batches Arguments of each step
   */
  steps(batches: readonly A[]): R[];
  /** Number of replays so far. */
  readonly replays: number;
  /** Why the step is run plainly, when it is. */
  readonly reason: string | undefined;
  /** Gives back the memory of the recordings. */
  dispose(): void;
}

interface Recording<R> {
  readonly tape: Tape;
  readonly inputs: readonly Tensor[];
  readonly result: R;
}

/** Every tensor in nested objects and arrays. */
function tensorsIn(value: unknown, out: Tensor[] = []): Tensor[] {
  if (value instanceof Tensor) out.push(value);
  else if (Array.isArray(value)) { for (const item of value) tensorsIn(item, out); }
  else if (
    value !== null && typeof value === "object" && Object.getPrototypeOf(value) === Object.prototype
  ) {
    for (const item of Object.values(value)) tensorsIn(item, out);
  }
  return out;
}

/** A tensor of the same kind with memory of its own, holding the same values. */
function staticCopy(x: Tensor): Tensor {
  const storage = Storage.allocate(x.device, x.dtype, x.numel);
  storage.kept = true;
  const copy = new Tensor(storageNode(storage, x.shape));
  overwrite(copy, x);
  return copy;
}

/** Whether arguments have the devices, dtypes and shapes that were recorded. */
function fits({ inputs }: Recording<unknown>, args: readonly Tensor[]): boolean {
  if (args.length !== inputs.length) return false;
  for (let i = 0; i < args.length; i++) {
    const a = args[i], b = inputs[i], { length } = b.shape;
    if (a.device !== b.device || a.dtype !== b.dtype || a.shape.length !== length) return false;
    for (let d = 0; d < length; d++) if (a.shape[d] !== b.shape[d]) return false;
  }
  return true;
}

function overwrite(copy: Tensor, x: Tensor): void {
  if (x.node.storage === undefined) realizeNodes([x.node]);
  const to = copy.node.storage!, from = x.node.storage!;
  to.backend.copy(from.buffer, to.buffer);
}

/** What recordings of one step have in common. */
interface Shared {
  replays: number;
  reason: string | undefined;
}

/** A body that is recorded for the shapes of its arguments. */
class Recordings<R> {
  readonly #body: (args: readonly Tensor[]) => R;
  readonly #shared: Shared;
  /** Steps of one run. */
  readonly #count: number;
  readonly #seen: Map<string, Recording<R> | "warm"> = new Map();
  /** Steps mostly have the shapes of the one before, and a key takes longer to write than to compare. */
  #latest: Recording<R> | undefined;

  constructor(body: (args: readonly Tensor[]) => R, shared: Shared, count: number) {
    this.#body = body;
    this.#shared = shared;
    this.#count = count;
  }

  run(args: readonly Tensor[]): R {
    for (const a of args) {
      if (a instanceof Tensor) continue;
      throw new TypeError(`Cannot capture a step of ${String(a)}: its arguments must be tensors`);
    }
    if (this.#shared.reason !== undefined) return this.#body(args);
    if (this.#latest !== undefined && fits(this.#latest, args)) {
      return this.#replay(this.#latest, args);
    }
    const key = args.map((a) => `${a.device} ${a.dtype} ${shapeText(a.shape)}`).join(";");
    const state = this.#seen.get(key);
    if (state === undefined) {
      this.#seen.set(key, "warm");
      return this.#body(args);
    }
    if (state !== "warm") return this.#replay(this.#latest = state, args);
    const { recording, result } = this.#record(args);
    if (recording !== undefined) this.#seen.set(key, recording);
    return result;
  }

  #record(args: readonly Tensor[]): { recording: Recording<R> | undefined; result: R } {
    const tape = new Tape(), inputs = args.map(staticCopy);
    const giveUp = () => {
      tape.release();
      for (const t of inputs) {
        t.node.storage!.kept = false;
        scopeOwn(t.node.storage!);
      }
    };
    const recorder = setRecorder(tape);
    const draws = setDrawRecorder((again) => tape.refreshes.push(again));
    let result: R;
    try {
      result = this.#body(inputs);
    } catch (error) {
      giveUp();
      throw error;
    } finally {
      setRecorder(recorder);
      setDrawRecorder(draws);
    }
    if (tape.reason !== undefined) {
      this.#shared.reason = tape.reason;
      log(1, `step runs uncaptured: ${tape.reason}`);
      giveUp();
      return { recording: undefined, result };
    }
    log(1, `captured ${this.#count} step(s) of ${tape.launches.length} launches`);
    tape.finish();
    return { recording: { tape, inputs, result }, result };
  }

  #replay({ tape, inputs, result }: Recording<R>, args: readonly Tensor[]): R {
    for (const storage of tape.foreign) {
      if (storage.freed) {
        throw new ReferenceError(
          "Cannot replay this captured step: a tensor that it used has been freed; capture it again",
        );
      }
    }
    for (let i = 0; i < inputs.length; i++) overwrite(inputs[i], args[i]);
    for (const again of tape.refreshes) again();
    const { launches } = tape;
    for (let i = 0; i < launches.length; i++) launches[i]();
    for (const backend of tape.backends) checkDevice(backend);
    this.#shared.replays += this.#count;
    return result;
  }

  dispose(): void {
    for (const r of this.#seen.values()) {
      if (r === "warm") continue;
      r.tape.dispose();
      for (const t of r.inputs) t.dispose();
    }
    this.#seen.clear();
    this.#latest = undefined;
  }
}

/**
 * Wraps a step of fixed shapes. The first call with given shapes runs it plainly (which makes optimizer state and the like), the second records its
 * launches, later ones copy the arguments in and replay: no graph is built and no JavaScript of the step runs. So whatever changes between
 * steps must live in tensors (as learning rates, step counts and random draws of this library do), gradients must be cleared inside, and
 * nothing may be read back inside: a step that does is run plainly, with the reason given once.
 *
 * @param fn Takes tensors; returns tensors in nested objects or arrays, which every replay overwrites
 * @returns The same function, captured by the shapes of its arguments
 */
export function capture<A extends readonly Tensor[], R>(fn: (...args: A) => R): Captured<A, R> {
  const shared: Shared = { replays: 0, reason: undefined };
  const plain = (args: readonly Tensor[]): R => {
    const result = fn(...args as A);
    realizeNodes(tensorsIn(result).map((t) => t.node));
    return result;
  };
  const single = new Recordings(plain, shared, 1);
  /** By number of steps. */
  const several = new Map<number, Recordings<R[]>>();

  const run = (...args: A): R => single.run(args);
  const steps = (batches: readonly A[]): R[] => {
    const count = batches.length, arity = batches[0]?.length ?? 0;
    if (batches.some((args) => args.length !== arity)) {
      throw new TypeError(
        "Cannot run these steps together: they have different numbers of arguments",
      );
    }
    if (count < 2) return batches.map((args) => single.run(args));
    let recordings = several.get(count);
    if (recordings === undefined) {
      const body = (all: readonly Tensor[]) => {
        const each = all.length / count;
        return Array.from({ length: count }, (_, i) => plain(all.slice(i * each, (i + 1) * each)));
      };
      several.set(count, recordings = new Recordings(body, shared, count));
    }
    return recordings.run(batches.flat());
  };
  return Object.defineProperties(run, {
    steps: { value: steps },
    replays: { get: () => shared.replays },
    reason: { get: () => shared.reason },
    dispose: {
      value: () => {
        for (const recordings of [single, ...several.values()]) recordings.dispose();
      },
    },
  }) as unknown as Captured<A, R>;
}
