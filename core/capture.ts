/** Captured steps: the launches of a step of fixed shapes, recorded once and replayed without building a graph. */
import { log } from "./debug.ts";
import type { Backend, Buffer, Launch } from "./device.ts";
import type { DType } from "./dtype.ts";
import { setDrawRecorder } from "./draws.ts";
import { checkDevice, realizeNodes, type Recorder, setRecorder } from "./realize.ts";
import { shapeText } from "./shape.ts";
import { Storage } from "./storage.ts";
import { storageNode } from "./tensor/base.ts";
import { Tensor } from "./tensor/tensor.ts";

/** A step that has been wrapped by {@linkcode capture}. */
export interface Captured<A extends readonly Tensor[], R> {
  /** Runs the step: plainly the first time, recording the second, replaying from then on. */
  (...args: A): R;
  /** Number of replays so far. */
  readonly replays: number;
  /** Why the step is run plainly, when it is. */
  readonly reason: string | undefined;
  /** Gives back the memory of the recordings. */
  dispose(): void;
}

/** Records launches and owns the memory they use. */
class Tape implements Recorder {
  launches: Launch[] = [];
  readonly refreshes: (() => void)[] = [];
  readonly foreign = new Set<Storage>();
  readonly made = new Set<Storage>();
  /** What the launches run on. */
  readonly backends = new Set<Backend>();
  readonly #buffers: { backend: Backend; buffer: Buffer }[] = [];
  readonly #free = new Map<string, Buffer[]>();
  readonly #ran = new Set<Backend>();
  #giveBack = () => {};
  reason: string | undefined;

  alloc(backend: Backend, dtype: DType, length: number): Buffer {
    const reused = this.#free.get(`${backend.name} ${dtype} ${length}`)?.pop();
    if (reused !== undefined) return reused;
    const buffer = backend.alloc(dtype, length);
    this.backends.add(backend);
    this.#buffers.push({ backend, buffer });
    return buffer;
  }
  free(backend: Backend, buffer: Buffer): void {
    // Later launches of the same step may use it again; nobody else may.
    const key = `${backend.name} ${buffer.dtype} ${buffer.length}`;
    const list = this.#free.get(key);
    if (list === undefined) this.#free.set(key, [buffer]);
    else list.push(buffer);
  }
  record(launch: Launch, backend: Backend): void {
    this.launches.push(launch);
    this.#ran.add(backend);
  }
  /** Lets the backend join the launches where it can. */
  finish(): void {
    const [backend] = this.#ran;
    if (this.#ran.size !== 1 || backend.graph === undefined) return;
    const { launches, dispose } = backend.graph(this.launches);
    this.launches = launches;
    this.#giveBack = dispose;
  }
  uses(storage: Storage): void {
    this.backends.add(storage.backend);
    if (!this.made.has(storage)) this.foreign.add(storage);
  }
  adopt(storage: Storage): void {
    storage.pinned = true;
    this.made.add(storage);
  }
  spoil(reason: string): void {
    this.reason ??= reason;
  }
  /** Gives back what the recording holds. */
  dispose(): void {
    this.#giveBack();
    const held = new Set([...this.made].filter((s) => !s.freed).map((s) => s.buffer));
    for (const { backend, buffer } of this.#buffers) if (!held.has(buffer)) backend.free(buffer);
    for (const storage of this.made) {
      storage.pinned = false;
      storage.free();
    }
    this.launches = [];
  }
  /** Lets go of a recording that will not be replayed: results live on as ordinary tensors. */
  release(): void {
    const held = new Set([...this.made].map((s) => s.buffer));
    for (const { backend, buffer } of this.#buffers) if (!held.has(buffer)) backend.free(buffer);
    for (const storage of this.made) storage.pinned = false;
  }
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
  const seen = new Map<string, Recording<R> | "warm">();
  // Steps mostly have the shapes of the one before, and a key takes longer to write than to compare.
  let latest: Recording<R> | undefined, reason: string | undefined, replays = 0;

  const plain = (args: A): R => {
    const result = fn(...args);
    realizeNodes(tensorsIn(result).map((t) => t.node));
    return result;
  };

  const record = (args: A): { recording: Recording<R> | undefined; result: R } => {
    const tape = new Tape(), inputs = args.map(staticCopy);
    const recorder = setRecorder(tape);
    const draws = setDrawRecorder((again) => tape.refreshes.push(again));
    let result: R;
    try {
      result = plain(inputs as unknown as A);
    } catch (error) {
      tape.release();
      throw error;
    } finally {
      setRecorder(recorder);
      setDrawRecorder(draws);
    }
    if (tape.reason !== undefined) {
      reason = tape.reason;
      log(1, `step runs uncaptured: ${reason}`);
      tape.release();
      for (const t of inputs) t.node.storage!.kept = false;
      return { recording: undefined, result };
    }
    log(1, `captured a step of ${tape.launches.length} launches`);
    tape.finish();
    return { recording: { tape, inputs, result }, result };
  };

  const replay = ({ tape, inputs, result }: Recording<R>, args: A): R => {
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
    replays++;
    return result;
  };

  const run = (...args: A): R => {
    for (const a of args) {
      if (a instanceof Tensor) continue;
      throw new TypeError(`Cannot capture a step of ${String(a)}: its arguments must be tensors`);
    }
    if (reason !== undefined) return plain(args);
    if (latest !== undefined && fits(latest, args)) return replay(latest, args);
    const key = args.map((a) => `${a.device} ${a.dtype} ${shapeText(a.shape)}`).join(";");
    const state = seen.get(key);
    if (state === undefined) {
      seen.set(key, "warm");
      return plain(args);
    }
    if (state !== "warm") return replay(latest = state, args);
    const { recording, result } = record(args);
    if (recording !== undefined) seen.set(key, recording);
    return result;
  };
  return Object.defineProperties(run, {
    replays: { get: () => replays },
    reason: { get: () => reason },
    dispose: {
      value: () => {
        for (const r of seen.values()) {
          if (r === "warm") continue;
          r.tape.dispose();
          for (const t of r.inputs) t.dispose();
        }
        seen.clear();
        latest = undefined;
      },
    },
  }) as unknown as Captured<A, R>;
}
