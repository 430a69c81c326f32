/** Storage: device memory with an owner and a version. */
import type { Backend, Buffer } from "./device.ts";
import { warnOnce } from "./debug.ts";
import type { DType } from "./dtype.ts";
import { backendOf } from "./runtime.ts";

/** A large tensor, in elements. */
const warnElements = 1 << 18;

// Finalizers do not run inside a synchronous loop, so they are a net for stray results, not the way memory is managed.
const lost = new FinalizationRegistry<{ backend: Backend; buffer: Buffer }>(
  ({ backend, buffer }) => {
    backend.free(buffer);
    if (buffer.length >= warnElements) {
      warnOnce(
        "a large tensor was left to the garbage collector; a step scope (`using scope = stepScope()`) frees such " +
          "results at once",
      );
    }
  },
);

/** Device memory of one value. */
export class Storage {
  /** Counts writes in place; a node made before a write must not be read after it. */
  version = 0;
  /** Kept storage outlives step scopes: parameters, gradients, optimizer state. */
  kept = false;
  /** Pinned storage belongs to a captured step, which alone may free it. */
  pinned = false;
  #buffer: Buffer | undefined;

  /** Wraps a buffer of `device`. */
  constructor(readonly device: string, readonly dtype: DType, readonly length: number, b: Buffer) {
    this.#buffer = b;
  }

  /** Backend that holds the memory. */
  get backend(): Backend {
    return backendOf(this.device);
  }

  /** Whether the memory has been given back. */
  get freed(): boolean {
    return this.#buffer === undefined;
  }

  /**
   * The memory.
   * @throws {ReferenceError} When it has been freed
   */
  get buffer(): Buffer {
    if (this.#buffer === undefined) {
      throw new ReferenceError(
        "Cannot use this tensor: its memory was freed when its step scope ended or by dispose(); " +
          "keep(tensor) inside the scope makes it last",
      );
    }
    return this.#buffer;
  }

  /** Gives the memory back. Freeing twice does nothing. */
  free(): void {
    if (this.#buffer === undefined || this.pinned) return;
    lost.unregister(this);
    this.backend.free(this.#buffer);
    this.#buffer = undefined;
  }

  /** Lets the memory go back once nothing refers to this storage; no step scope owns it. */
  leaveToCollector(): void {
    if (this.#buffer === undefined || this.pinned) return;
    lost.unregister(this);
    lost.register(this, { backend: this.backend, buffer: this.#buffer }, this);
  }

  /** Allocates storage on a device. */
  static allocate(device: string, dtype: DType, length: number): Storage {
    return new Storage(device, dtype, length, backendOf(device).alloc(dtype, length));
  }
}
