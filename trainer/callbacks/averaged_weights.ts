/** A second set of weights: a running average of a model's, on its device. */
import {
  capture,
  type Captured,
  type DType,
  dtypes,
  isFloat,
  keep,
  type nn,
  noGrad,
  realize,
  type StateDict,
  type Tensor,
  tensor,
} from "@pta/core";

/** One averaged tensor beside the one it follows. */
interface Pair {
  readonly own: Tensor;
  readonly average: Tensor;
  readonly isAveraged: boolean;
}

// Averages of half-precision weights would not move by less than their rounding.
const averageDtype = (dtype: DType): DType =>
  isFloat(dtype) && dtypes[dtype].bytes < 4 ? "float32" : dtype;

const copyOf = (t: Tensor, dtype: DType): Tensor =>
  noGrad(() => keep(t.detach().to(dtype).clone().realize()));

/**
 * Averages of the parameters and buffers in a model's `stateDict()`. An update is one captured step of its own, so that it costs a few launches
 * beside a captured training step and reads nothing back. Buffers of whole numbers, such as counts of batches, are copied.
 */
export class AveragedWeights {
  readonly #model: nn.Module;
  readonly #pairs: ReadonlyMap<string, Pair>;
  readonly #weight: Tensor;
  readonly #update: Captured<[], readonly Tensor[]>;
  #hostWeight = 1;
  #saved: readonly Tensor[] | undefined;

  /**
   * Starts as a copy of the model.
   * @param model The model to follow; its tensors must stay the same ones
   */
  constructor(model: nn.Module) {
    this.#model = model;
    // A tensor with two names is averaged once.
    const known = new Map<Tensor, Pair>(), pairs = new Map<string, Pair>();
    for (const [name, own] of Object.entries(model.stateDict())) {
      let pair = known.get(own);
      if (pair === undefined) {
        const average = copyOf(own, averageDtype(own.dtype));
        known.set(own, pair = { own, average, isAveraged: isFloat(own.dtype) });
      }
      pairs.set(name, pair);
    }
    this.#pairs = pairs;
    const { device } = model.parameters()[0] ?? {};
    this.#weight = keep(tensor(1, { dtype: "float32", device }).realize());
    const all = [...known.values()];
    this.#update = capture(() =>
      noGrad(() => {
        for (const { own, average, isAveraged } of all) {
          const now = own.detach().to(average.dtype);
          average.assign(
            isAveraged
              ? average.add(now.sub(average).mul(this.#weight.to(average.dtype)))
              : now.clone(),
          );
        }
        const averages = all.map((p) => p.average);
        realize(...averages);
        // Nothing is returned: the averages are kept, and no result is anybody's to free.
        return [];
      })
    );
  }

  /** Whether the model has the averages at present, see {@linkcode swapIn}. */
  get isSwappedIn(): boolean {
    return this.#saved !== undefined;
  }

  /**
   * Moves the averages towards the model: `average += weight (model - average)`.
   *
   * @param weight Share of the model's present weights, from 0 to 1
   * @throws {RangeError} When the weight is out of range
   * @throws {ReferenceError} While the model has the averages
   */
  update(weight: number): void {
    if (!(weight >= 0 && weight <= 1)) {
      throw new RangeError(`Cannot average with a weight of ${weight}: it must be from 0 to 1`);
    }
    if (this.#saved !== undefined) {
      throw new ReferenceError("Cannot average weights while the model has the averages");
    }
    if (weight !== this.#hostWeight) this.#weight.copy_([weight]);
    this.#hostWeight = weight;
    this.#update();
  }

  /**
   * Gives the model the averages; its own weights are put by until {@linkcode swapOut}. The model's tensors stay the same ones, so captured steps
   * go on.
   *
   * @throws {ReferenceError} When the model has them already
   */
  swapIn(): void {
    if (this.#saved !== undefined) {
      throw new ReferenceError("Cannot give the model the averages: it has them already");
    }
    const pairs = [...new Set(this.#pairs.values())];
    const saved = pairs.map(({ own }) => copyOf(own, own.dtype));
    for (const { own, average } of pairs) own.copy_(average);
    realize(...pairs.map((p) => p.own));
    this.#saved = saved;
  }

  /** Gives the model its own weights back, bit by bit; nothing happens when it has them. */
  swapOut(): void {
    const saved = this.#saved;
    if (saved === undefined) return;
    const pairs = [...new Set(this.#pairs.values())];
    pairs.forEach(({ own }, i) => own.copy_(saved[i]));
    realize(...pairs.map((p) => p.own));
    for (const t of saved) t.dispose();
    this.#saved = undefined;
  }

  /** Gives the model the averages for good. */
  copyToModel(): void {
    this.swapOut();
    const pairs = [...new Set(this.#pairs.values())];
    for (const { own, average } of pairs) own.copy_(average);
    realize(...pairs.map((p) => p.own));
  }

  /** The averages under the names of the model's `stateDict()`, not copies. */
  stateDict(): StateDict {
    return Object.fromEntries([...this.#pairs].map(([name, p]) => [name, p.average]));
  }

  /**
   * Copies values into the averages.
   *
   * @throws {TypeError} When a name is missing or a shape differs; nothing is changed then
   */
  loadStateDict(state: Readonly<StateDict>): void {
    const { name } = this.#model.constructor;
    for (const [key, { average }] of this.#pairs) {
      if (state[key] === undefined) {
        throw new TypeError(`Cannot load averages of ${name}: "${key}" is missing`);
      }
      if (`${state[key].shape}` !== `${average.shape}`) {
        throw new TypeError(
          `Cannot load averages of ${name}: "${key}" is [${state[key].shape.join(", ")}], not [${
            average.shape.join(", ")
          }]`,
        );
      }
    }
    for (const [key, { average }] of this.#pairs) average.copy_(state[key]);
    realize(...[...this.#pairs.values()].map((p) => p.average));
  }

  /** Gives back the memory; the model keeps its own weights. */
  dispose(): void {
    this.swapOut();
    this.#update.dispose();
    for (const { average } of new Set(this.#pairs.values())) average.dispose();
    this.#weight.dispose();
  }
}
