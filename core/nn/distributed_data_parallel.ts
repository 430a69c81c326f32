/** Data parallel training of any module, with PyTorch's names, for loops that are written by hand. */
import { Module } from "./module.ts";
import { noGrad, type Parameter, realize, type Tensor, zerosLike } from "../tensor/mod.ts";
import { type Comm, communicator } from "../dist/comm.ts";
import { allReduceGradients, broadcastFromRoot, type CommHook } from "../dist/data_parallel.ts";
import { syncModelStates } from "../dist/same_model.ts";

/** Options of {@linkcode DistributedDataParallel}; the defaults are PyTorch's. */
export interface DistributedDataParallelOptions {
  /** Name of the registered communicator; `world` by default. */
  readonly group?: string;
  /** A bucket of gradients is closed once it holds so many MiB; 25 by default. */
  readonly bucketCapMb?: number;
  /**
   * Whether parameters may get no gradient in a step (false by default): the ranks then agree in every step on which were used, and those that only
   * other ranks used count as zero here.
   */
  readonly findUnusedParameters?: boolean;
  /** Says that every step uses the same parameters: the ranks agree on them once. */
  readonly staticGraph?: boolean;
  /** Whether buffers of rank 0 replace those of all ranks before each forward pass of training; true by default. */
  readonly broadcastBuffers?: boolean;
  /** How gradients travel; `none` by default. */
  readonly commHook?: CommHook;
}

/** Options of {@linkcode DistributedDataParallel.joinUnevenInputs}. */
export interface JoinOptions {
  /** Whether gradients are divided by the number of all ranks (default), or of those that still have inputs. */
  readonly divideByInitialWorldSize?: boolean;
}

/**
 * A module whose gradients are averaged over the ranks. At the start all ranks must hold the same model, and get the weights of rank 0.
 *
 * ```ts ignore
 * const model = new DistributedDataParallel(new Net());
 * for (const [x, y] of loader) {
 *   model.backward(lossFunc(model.forward(x), y));
 *   optimizer.step();
 *   optimizer.zeroGrad();
 * }
 * ```
 */
export class DistributedDataParallel<M extends Module = Module> extends Module {
  /** The wrapped module; its keys begin with `module.`, as in PyTorch. */
  readonly module: M;
  readonly #options: Required<DistributedDataParallelOptions>;
  readonly #comm: Comm;
  readonly #named: readonly [string, Parameter][];
  #isSyncing = true;
  /** Which parameters some rank uses, once that is known for good. */
  #used: readonly boolean[] | undefined;
  #join: Required<JoinOptions> | undefined;
  /** Ranks that take part in the step under way. */
  #active: number;

  /**
   * Checks that the ranks hold the same model, and gives them the weights and buffers of rank 0. All ranks must call it.
   *
   * @param module What to train
   * @param options Buckets, unused parameters, compression
   * @throws {TypeError} If the ranks hold different models; names the first difference
   * @throws {RangeError} If `bucketCapMb` is not positive
   */
  constructor(module: M, options: DistributedDataParallelOptions = {}) {
    super();
    const { bucketCapMb = 25, group = "world" } = options;
    if (!(bucketCapMb > 0)) {
      throw new RangeError(`Cannot make buckets of ${bucketCapMb} MiB: wanted more than 0`);
    }
    this.#options = {
      findUnusedParameters: false,
      staticGraph: false,
      broadcastBuffers: true,
      commHook: "none",
      ...options,
      group,
      bucketCapMb,
    };
    this.module = module;
    this.#comm = communicator(group);
    this.#active = this.#comm.worldSize;
    this.#named = module.namedParameters().filter(([, p]) => p.requiresGrad);
    syncModelStates(module.stateDict(), this.#comm);
  }

  /**
   * The forward pass of the wrapped module.
   *
   * @throws {Error} If a rank is lost or calls something else
   */
  override forward(...inputs: Parameters<M["forward"]>): ReturnType<M["forward"]> {
    if (this.training) {
      if (this.#join !== undefined) this.#announce();
      if (this.#isSyncing) this.#broadcastBuffers();
    }
    return this.module.forward(...inputs);
  }

  /**
   * The backward pass; then each gradient is its mean over the ranks, unless this happens inside `noSync`. The exchange starts when the gradients are
   * asked for, bucket by bucket beside the rest of the pass.
   *
   * @param loss What `backward()` is called on
   * @throws {TypeError} If a parameter has no gradient and `findUnusedParameters` is off; names all of them
   */
  backward(loss: Tensor): void {
    loss.backward();
    if (this.#isSyncing) this.#reduce();
  }

  /**
   * Runs `fn` without exchange of gradients: they add up on each rank until the next `backward` outside.
   *
   * @returns What `fn` returns
   */
  noSync<T>(fn: () => T): T {
    const before = this.#isSyncing;
    this.#isSyncing = false;
    const restore = () => void (this.#isSyncing = before);
    let result: T;
    try {
      result = fn();
    } catch (error) {
      restore();
      throw error;
    }
    if (result instanceof Promise) return result.finally(restore) as T;
    restore();
    return result;
  }

  /**
   * Trains in `fn` although the ranks have different numbers of inputs: a rank that is done takes part with zeros until the last one is. Then all
   * ranks get the weights of one that went to the end.
   *
   * @param fn The loop over this rank's inputs
   */
  async joinUnevenInputs(fn: () => void | Promise<void>, options: JoinOptions = {}): Promise<void> {
    this.#join = { divideByInitialWorldSize: true, ...options };
    let steps = 0;
    const count = () => steps++;
    const handle = this.module.registerForwardPreHook(() => {
      if (this.training) count();
    });
    try {
      await fn();
      while (this.#shadow());
    } finally {
      handle.remove();
      this.#join = undefined;
      this.#active = this.#comm.worldSize;
    }
    // the highest rank of those that made most steps has the right weights
    const { rank, worldSize } = this.#comm;
    const place = Float64Array.of(steps * worldSize + rank);
    this.#comm.allReduce(place, "max").wait();
    broadcastFromRoot(Object.values(this.module.stateDict()), this.#comm, place[0] % worldSize);
  }

  /** Says that this rank has one more input, and hears how many ranks have. */
  #announce(): void {
    // what the last step has left comes first, as on a rank that is done
    this.#realizeGradients();
    const count = Int32Array.of(1, this.#isSyncing ? 1 : 0);
    this.#comm.allReduce(count).wait();
    this.#active = count[0];
  }

  /** One step of a rank without inputs; false when no rank has any. */
  #shadow(): boolean {
    this.#realizeGradients();
    const count = Int32Array.of(0, 0);
    this.#comm.allReduce(count).wait();
    this.#active = count[0];
    if (count[0] === 0) return false;
    if (count[1] === 0) return true;
    this.#broadcastBuffers();
    const kept = this.#named.map(([, p]) => p.grad);
    for (const [, p] of this.#named) p.grad = undefined;
    this.#reduce(true);
    this.#realizeGradients();
    this.#named.forEach(([, p], i) => p.grad = kept[i]);
    return true;
  }

  #realizeGradients(): void {
    const ready = this.#named.filter(([, p]) => p.grad !== undefined);
    if (ready.length > 0) realize(...ready.map(([, p]) => p.grad!).reverse());
  }

  #broadcastBuffers(): void {
    if (!this.#options.broadcastBuffers) return;
    const buffers = this.module.buffers();
    if (buffers.length > 0) broadcastFromRoot(buffers, this.#comm);
  }

  #reduce(isShadow = false): void {
    const used = this.#agree(isShadow);
    const { group, bucketCapMb, commHook } = this.#options;
    const { worldSize } = this.#comm;
    const divisor = this.#join?.divideByInitialWorldSize === false ? this.#active : worldSize;
    const parameters = this.#named.map(([, p]) => p);
    noGrad(() => {
      parameters.forEach((p, i) => {
        if (used[i]) p.grad ??= zerosLike(p);
      });
      allReduceGradients(parameters, { group, bucketBytes: bucketCapMb * 2 ** 20, commHook });
      for (const p of parameters) if (p.grad !== undefined) p.grad = p.grad.div(divisor);
    });
  }

  /** Which parameters get a gradient in this step; the same on all ranks. */
  #agree(isShadow: boolean): readonly boolean[] {
    if (this.#used !== undefined) return this.#used;
    const { findUnusedParameters, staticGraph } = this.#options;
    const own = this.#named.map(([, p]) => p.grad !== undefined);
    if (!findUnusedParameters && !isShadow) this.#checkUsed(own);
    if (!findUnusedParameters) return own.map(() => true);
    const flags = Int32Array.from(own, (x) => x ? 1 : 0);
    this.#comm.allReduce(flags, "max").wait();
    const used = Array.from(flags, (x) => x === 1);
    if (staticGraph) this.#used = used;
    return used;
  }

  #checkUsed(own: readonly boolean[]): void {
    const unused = this.#named.filter((_, i) => !own[i]).map(([name]) => name);
    if (unused.length === 0) return;
    const shown = unused.slice(0, 20).join(", ");
    const more = unused.length > 20 ? ` and ${unused.length - 20} more` : "";
    throw new TypeError(
      `Cannot average the gradients: on rank ${this.#comm.rank} the loss does not depend on ${shown}${more}; ` +
        "freeze them with requiresGrad_(false), or pass findUnusedParameters: true",
    );
  }
}
