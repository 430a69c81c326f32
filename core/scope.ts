/** Step scopes: who owns what was made inside a step. */
import type { Storage } from "./storage.ts";

/** Owns the storage of everything realized while it is the innermost scope. */
export class Scope implements Disposable {
  readonly #owned = new Set<Storage>();
  readonly #outer: Scope | undefined;
  #isLeft = false;

  /** Opens the scope; use `using scope = stepScope()`. */
  constructor() {
    this.#outer = current;
    current = this;
  }

  /** Number of storages that would be freed now. */
  get size(): number {
    return [...this.#owned].filter((s) => !s.kept && !s.freed).length;
  }

  /** Makes the scope responsible for a storage. */
  own(storage: Storage): void {
    this.#owned.add(storage);
  }

  /**
   * Steps out of the scope without ending it: what follows belongs to the scope around it, and what this one owns stays until it is ended, at any time.
   *
   * @throws {Error} When another scope is the innermost one
   */
  leave(): void {
    if (current !== this) {
      throw new Error("Cannot leave this step scope: another one is the innermost");
    }
    current = this.#outer;
    this.#isLeft = true;
  }

  /** Frees what was realized inside and not kept. */
  [Symbol.dispose](): void {
    if (current !== this && !this.#isLeft) {
      throw new Error("Cannot end this step scope: one opened inside it has not ended");
    }
    try {
      for (const hook of beforeEnd) hook();
    } finally {
      if (!this.#isLeft) current = this.#outer;
      for (const storage of this.#owned) {
        if (storage.kept) storage.leaveToCollector();
        else storage.free();
      }
      this.#owned.clear();
    }
  }
}

let current: Scope | undefined;
const beforeEnd: (() => void)[] = [];

/** Runs `hook` before any scope frees its storage; gradients are realized there. */
export function onScopeEnd(hook: () => void): void {
  beforeEnd.push(hook);
}

/**
 * Opens a step scope: what is realized inside is freed at its end, except parameters, gradients and tensors passed to `keep`.
 *
 * @example
 * ```ts ignore
 * using scope = stepScope();
 * ```
 */
export function stepScope(): Scope {
  return new Scope();
}

/** Gives storage to the innermost scope, or, outside scopes, to the garbage collector. */
export function scopeOwn(storage: Storage): void {
  if (current !== undefined) current.own(storage);
  else storage.leaveToCollector();
}
