/** What a recorded step launches, and the memory that it works with. */
import type { Backend, Buffer, Launch } from "./device.ts";
import type { DType } from "./dtype.ts";
import type { Recorder } from "./realize.ts";
import { scopeOwn } from "./scope.ts";
import type { Storage } from "./storage.ts";

/** Records launches and owns the memory they use. */
export class Tape implements Recorder {
  /** In order. */
  launches: Launch[] = [];
  /** What writes the next random draws before a replay. */
  readonly refreshes: (() => void)[] = [];
  /** Storage of others that is read or written. */
  readonly foreign: Set<Storage> = new Set();
  /** Storage made while recording. */
  readonly made: Set<Storage> = new Set();
  /** What the launches run on. */
  readonly backends: Set<Backend> = new Set();
  readonly #buffers: { backend: Backend; buffer: Buffer }[] = [];
  readonly #free = new Map<string, Buffer[]>();
  readonly #ran = new Set<Backend>();
  #giveBack = () => {};
  /** Why it cannot be replayed. */
  reason: string | undefined;

  /** Memory for a value of the step: what an earlier value has left, or new. */
  alloc(backend: Backend, dtype: DType, length: number): Buffer {
    const reused = this.#free.get(`${backend.name} ${dtype} ${length}`)?.pop();
    if (reused !== undefined) return reused;
    const buffer = backend.alloc(dtype, length);
    this.backends.add(backend);
    this.#buffers.push({ backend, buffer });
    return buffer;
  }
  /** Takes memory back for later values of the step. */
  free(backend: Backend, buffer: Buffer): void {
    // Later launches of the same step may use it again; nobody else may.
    const key = `${backend.name} ${buffer.dtype} ${buffer.length}`;
    const list = this.#free.get(key);
    if (list === undefined) this.#free.set(key, [buffer]);
    else list.push(buffer);
  }
  /** Adds a launch. */
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
  /** See {@linkcode Recorder.uses}. */
  uses(storage: Storage): void {
    this.backends.add(storage.backend);
    if (!this.made.has(storage)) this.foreign.add(storage);
  }
  /** See {@linkcode Recorder.adopt}. */
  adopt(storage: Storage): void {
    storage.pinned = true;
    this.made.add(storage);
  }
  /** See {@linkcode Recorder.spoil}. */
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
    for (const storage of this.made) {
      storage.pinned = false;
      scopeOwn(storage);
    }
  }
}
