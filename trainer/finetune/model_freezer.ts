/** Which parts of a model are trained. */
import { nn, type optim } from "@pta/core";
import { type Callback, callback } from "../callback.ts";

/** What happens to batch normalisations in groups that are frozen. */
export type FrozenBatchNorms = "train" | "freeze";

/** Options of {@linkcode ModelFreezer}. */
export interface ModelFreezerOptions {
  /**
   * `train`, the default: batch normalisations in frozen groups go on learning scale and shift and following the statistics of the data, as PyTorch
   * users mostly want when they finetune. `freeze`: they are frozen like other layers; give the freezer's callback to the trainer, so that their statistics
   * stand still too.
   */
  readonly batchNorms?: FrozenBatchNorms;
}

/** A range of groups or layers; both ends belong to it. Negative numbers count from the end, as -1 for the last; the order does not matter. */
export interface FreezeRange {
  /** One end. */
  readonly from?: number;
  /** The other end. */
  readonly to?: number;
}

/** Options of {@linkcode ModelFreezer.callback}. */
export interface FreezerCallbackOptions {
  /** Groups by the epoch, from 1, at whose start they are unfrozen: `{ 3: { from: 1 }, 5: {} }`. */
  readonly unfreezeAt?: Readonly<Record<number, FreezeRange>>;
}

/** A part of the model as the freezer counts it. */
export interface FreezablePart {
  /** From 0 at the input. */
  readonly index: number;
  /** From -1 at the output. */
  readonly fromEnd: number;
  /** Path in the model; the name of the model's class for parameters that belong to no child. */
  readonly name: string;
  /** The module. */
  readonly module: nn.Module;
  /** Whether no parameter of it takes gradients; a part without parameters is never frozen. */
  readonly isFrozen: boolean;
}

/** Parameters of each group that has been unfrozen, as `optimizer.addParamGroup` takes them. */
export type UnfrozenGroups = Readonly<Record<string, { readonly params: nn.Parameter[] }>>;

interface Part {
  readonly name: string;
  readonly module: nn.Module;
  readonly parameters: readonly nn.Parameter[];
}

/**
 * Freezes and unfreezes parts of a model. A layer group is a direct child of the model, a layer a module without children; parameters that the model
 * holds itself, outside its children, are a group and a layer of their own, at the front. Frozen parameters take no gradients, and optimizers leave
 * them alone. Changes take effect at the next epoch or `train()`.
 */
export class ModelFreezer {
  /** The model. */
  readonly model: nn.Module;
  /** What happens to batch normalisations in frozen groups. */
  readonly batchNorms: FrozenBatchNorms;
  readonly #evalModules: Set<nn.Module> = new Set();

  /**
   * Looks at a model; nothing is changed yet.
   * @param model The model
   * @param options Batch normalisations
   */
  constructor(model: nn.Module, options: ModelFreezerOptions = {}) {
    this.model = model;
    this.batchNorms = options.batchNorms ?? "train";
  }

  #own(): Part[] {
    const below = new Set(this.model.children().flatMap((child) => child.parameters()));
    const parameters = this.model.parameters().filter((p) => !below.has(p));
    return parameters.length === 0
      ? []
      : [{ name: this.model.constructor.name, module: this.model, parameters }];
  }

  #groups(): Part[] {
    const children = this.model.namedChildren().map(([name, module]) => ({
      name,
      module,
      parameters: module.parameters(),
    }));
    return [...this.#own(), ...children];
  }

  #layers(): Part[] {
    const leaves = this.model.namedModules().filter(([name, m]) =>
      name !== "" && m.children().length === 0
    );
    return [
      ...this.#own(),
      ...leaves.map(([name, module]) => ({ name, module, parameters: module.parameters() })),
    ];
  }

  #describe(parts: readonly Part[]): FreezablePart[] {
    return parts.map(({ name, module, parameters }, index) => ({
      index,
      fromEnd: index - parts.length,
      name,
      module,
      isFrozen: parameters.length > 0 && parameters.every((p) => !p.requiresGrad),
    }));
  }

  /** The direct children of the model, from input to output, and whether they are frozen. */
  layerGroups(): FreezablePart[] {
    return this.#describe(this.#groups());
  }

  /** The modules without children, from input to output, and whether they are frozen. */
  layers(): FreezablePart[] {
    return this.#describe(this.#layers());
  }

  /** Parameters that take gradients. */
  trainableParameters(): nn.Parameter[] {
    return this.model.parameters().filter((p) => p.requiresGrad);
  }

  /**
   * Freezes layer groups; all but the last when no range is given.
   *
   * @param range Which groups; `{ from: 0, to: -2 }` by default
   * @param options `evalMode` (false): whether the frozen modules also stay in evaluation mode while training, for which the trainer needs the freezer's
   * {@linkcode ModelFreezer.callback}
   * @returns Names of the groups
   * @throws {RangeError} When the range lies outside of the model
   */
  freeze(range: FreezeRange = {}, options: { evalMode?: boolean } = {}): string[] {
    const groups = this.#groups();
    // A model of a single group has nothing before its last.
    if (range.from === undefined && range.to === undefined && groups.length === 1) return [];
    return this.#freeze(select(groups, { from: 0, to: -2, ...range }, "layer groups"), options);
  }

  /**
   * Freezes layers, counted over the whole model.
   *
   * @param range Which layers; `{ from: 0, to: -2 }` by default
   * @param options As {@linkcode ModelFreezer.freeze}
   * @returns Names of the layers
   * @throws {RangeError} When the range lies outside of the model
   */
  freezeLayers(range: FreezeRange = {}, options: { evalMode?: boolean } = {}): string[] {
    return this.#freeze(select(this.#layers(), { from: 0, to: -2, ...range }, "layers"), options);
  }

  /**
   * Unfreezes layer groups; all of them when no range is given. Their modules leave evaluation mode at the next epoch.
   *
   * @param range Which groups; `{ from: 0, to: -1 }` by default
   * @returns Parameters that now take gradients and did not before, by group
   * @throws {RangeError} When the range lies outside of the model
   */
  unfreeze(range: FreezeRange = {}): UnfrozenGroups {
    return this.#unfreeze(select(this.#groups(), { from: 0, to: -1, ...range }, "layer groups"));
  }

  /**
   * Unfreezes layers, counted over the whole model; all of them when no range is given.
   *
   * @param range Which layers; `{ from: 0, to: -1 }` by default
   * @returns Parameters that now take gradients and did not before, by layer
   * @throws {RangeError} When the range lies outside of the model
   */
  unfreezeLayers(range: FreezeRange = {}): UnfrozenGroups {
    return this.#unfreeze(select(this.#layers(), { from: 0, to: -1, ...range }, "layers"));
  }

  #freeze(parts: readonly Part[], { evalMode = false }: { evalMode?: boolean }): string[] {
    for (const { module, parameters } of parts) {
      const modules = module === this.model ? [] : module.modules();
      const norms = modules.filter((m) => m instanceof nn.BatchNorm);
      const spared = new Set(
        this.batchNorms === "train" ? norms.flatMap((m) => m.parameters()) : [],
      );
      for (const p of parameters) if (!spared.has(p)) p.requiresGrad = false;
      for (const m of modules) {
        const isNorm = m instanceof nn.BatchNorm;
        if (isNorm ? this.batchNorms === "freeze" : evalMode && m.children().length === 0) {
          this.#evalModules.add(m);
          m.training = false;
        }
      }
    }
    return parts.map((p) => p.name);
  }

  #unfreeze(parts: readonly Part[]): UnfrozenGroups {
    const groups: Record<string, { params: nn.Parameter[] }> = {};
    for (const { name, module, parameters } of parts) {
      const params = parameters.filter((p) => !p.requiresGrad);
      for (const p of params) p.requiresGrad = true;
      if (params.length > 0) groups[name] = { params };
      if (module === this.model) continue;
      for (const m of module.modules()) {
        if (this.#evalModules.delete(m)) m.training = true;
      }
    }
    return groups;
  }

  /** Puts frozen modules that shall stay in evaluation mode back into it. */
  applyModes(): void {
    for (const m of this.#evalModules) m.training = false;
  }

  /**
   * For the trainer, which puts the whole model into training mode at the start of each epoch: keeps frozen modules in evaluation mode, and with
   * `unfreezeAt` unfreezes groups from one epoch to another. Then the optimizer must have all parameters from the start, frozen ones as well, which it leaves alone
   * until then: `discriminativeGroups(model, { lr, skip: () => false })`.
   */
  callback(options: FreezerCallbackOptions = {}): Callback {
    const { unfreezeAt = {} } = options;
    return callback({
      name: "modelFreezer",
      onTrainEpochStart: (trainer) => {
        const { currentEpoch } = trainer.runHistory;
        // Those of earlier epochs too: a resumed run has not seen them.
        for (const [epoch, range] of Object.entries(unfreezeAt)) {
          if (Number(epoch) > currentEpoch) continue;
          const names = Object.keys(this.unfreeze(range));
          if (names.length > 0) trainer.print(`Unfrozen: ${names.join(", ")}`);
        }
        this.applyModes();
      },
    });
  }

  /** A line for each layer group: indices, name, class, parameters, frozen or not. */
  toString(): string {
    const lines = this.#groups().map(({ name, module, parameters }, i, all) => {
      const frozen = parameters.filter((p) => !p.requiresGrad).length;
      const state = parameters.length === 0
        ? "no parameters"
        : frozen === 0
        ? "trained"
        : frozen === parameters.length
        ? "frozen"
        : `${frozen} of ${parameters.length} parameters frozen`;
      return `${i} (${i - all.length}) ${name}: ${module.constructor.name}, ${state}`;
    });
    return lines.join("\n");
  }
}

function select(parts: readonly Part[], range: Required<FreezeRange>, what: string): Part[] {
  const at = (index: number) => {
    const i = index < 0 ? parts.length + index : index;
    if (Number.isInteger(i) && i >= 0 && i < parts.length) return i;
    throw new RangeError(
      `Cannot freeze or unfreeze from ${range.from} to ${range.to}: the model has ${parts.length} ${what}`,
    );
  };
  const ends = [at(range.from), at(range.to)];
  return parts.slice(Math.min(...ends), Math.max(...ends) + 1);
}

/**
 * Adds the groups that {@linkcode ModelFreezer.unfreeze} gives to an optimizer; parameters that it has already are left where they are.
 *
 * @param optimizer The optimizer
 * @param groups What was unfrozen
 * @param options Options of the new groups, such as a lower rate
 * @returns Number of groups added
 */
export function addUnfrozen<O extends optim.OptimizerOptions>(
  optimizer: optim.Optimizer<O>,
  groups: UnfrozenGroups,
  options: Partial<O> = {},
): number {
  const known = new Set(optimizer.paramGroups.flatMap((g) => g.params));
  let added = 0;
  for (const { params } of Object.values(groups)) {
    const fresh = params.filter((p) => !known.has(p));
    if (fresh.length === 0) continue;
    optimizer.addParamGroup({ ...options, params: fresh });
    added++;
  }
  return added;
}
