/** Local SGD: ranks train by themselves and average their weights now and then. */
import { isFloat } from "../dtype.ts";
import type { Module } from "../nn/module.ts";
import { noGrad, realize } from "../tensor/mod.ts";
import { communicator } from "./comm.ts";

/** Options of {@linkcode LocalSGD}. */
export interface LocalSGDOptions {
  /** Optimizer steps from one average to the next; 8 by default. */
  readonly localSgdSteps?: number;
  /** False: nothing happens, for scripts that compare. */
  readonly enabled?: boolean;
  /** Name of the registered communicator; `world` by default. */
  readonly group?: string;
}

/**
 * Averages the weights of the ranks every few steps instead of their gradients in every step (Stich, arXiv:1805.09767). The optimizer's own state
 * stays on its rank.
 *
 * ```ts ignore
 * using local = new LocalSGD(model, { localSgdSteps: 8 });
 * for (const batch of loader) {
 *   train(batch);
 *   local.step();
 * }
 * ```
 */
export class LocalSGD implements Disposable {
  readonly #model: Module;
  readonly #options: Required<LocalSGDOptions>;
  #steps = 0;

  /**
   * Begins to count.
   *
   * @param model The same on all ranks
   * @throws {RangeError} If `localSgdSteps` is no whole number of at least 1
   */
  constructor(model: Module, options: LocalSGDOptions = {}) {
    this.#model = model;
    this.#options = { localSgdSteps: 8, enabled: true, group: "world", ...options };
    const { localSgdSteps } = this.#options;
    if (!Number.isInteger(localSgdSteps) || localSgdSteps < 1) {
      throw new RangeError(`Cannot average every ${localSgdSteps} steps: wanted 1 or more`);
    }
  }

  /** Counts an optimizer step; averages when it is time. All ranks must make the same number of steps. */
  step(): void {
    this.#steps++;
    if (this.#steps % this.#options.localSgdSteps === 0) this.average();
  }

  /** Replaces the weights, and the buffers of a float type, by their mean over the ranks. */
  average(): void {
    const { enabled, group } = this.#options;
    const { worldSize } = communicator(group);
    if (!enabled || worldSize === 1) return;
    noGrad(() => {
      const state = Object.values(this.#model.stateDict()).filter((t) => isFloat(t.dtype));
      for (const tensor of state) tensor.copy_(tensor.allReduce(group, 1 / worldSize));
      realize(...state);
    });
  }

  /** Averages a last time. */
  [Symbol.dispose](): void {
    if (this.#steps % this.#options.localSgdSteps !== 0) this.average();
  }
}
