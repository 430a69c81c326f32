/** Dynamic loss scaling, decided on the device. */
import type { DType } from "../dtype.ts";
import type { Optimizer } from "../optim/mod.ts";
import { dueWithNext, full, keep, noGrad, realize, stack, Tensor } from "../tensor/mod.ts";
import { suspendAutocast } from "./state.ts";

/** Options of {@linkcode GradScaler}; the defaults are PyTorch's. */
export interface GradScalerOptions {
  /** First factor of the loss; 65536 by default. */
  readonly initScale?: number;
  /** Factor of the scale after `growthInterval` good steps in a row; 2 by default. */
  readonly growthFactor?: number;
  /** Factor of the scale after a step that was skipped; 0.5 by default. */
  readonly backoffFactor?: number;
  /** Good steps in a row until the scale grows; 2000 by default. */
  readonly growthInterval?: number;
  /** False makes every method do nothing but what it is wrapped around; true by default. */
  readonly enabled?: boolean;
  /** Communicator whose ranks skip together. Not needed when the gradients have been summed over the ranks: then all see the same overflow. */
  readonly group?: string;
}

/** State of a {@linkcode GradScaler} with PyTorch's keys; empty when it is disabled. */
export interface GradScalerState {
  /** The scale. */
  readonly scale?: number;
  /** Factor of the scale after a run of good steps. */
  readonly growth_factor?: number;
  /** Factor of the scale after a skipped step. */
  readonly backoff_factor?: number;
  /** Good steps in a row until the scale grows. */
  readonly growth_interval?: number;
  /** Good steps since the scale last changed. */
  readonly _growth_tracker?: number;
}

/** What of the state lies on the device, all 0-d. */
interface DeviceState {
  /** float32. */
  readonly scale: Tensor;
  /** int32: good steps since the scale last changed. */
  readonly tracker: Tensor;
  /** int32: steps skipped so far. */
  readonly skipped: Tensor;
  /** bool: whether the last step was skipped. */
  readonly last: Tensor;
}

/** What has been done with an optimizer since the last update. */
interface Progress {
  /** 0-d bool: whether one of its gradients is not finite. */
  readonly found: Tensor;
  isUnscaled: boolean;
  hasStepped: boolean;
}

/**
 * Keeps gradients of float16 within range: the loss is multiplied by a scale, the gradients are divided by it, a step whose gradients are not
 * all finite is skipped and halves the scale, and a long run of good steps doubles it. Arithmetic and order are those of `torch.amp.GradScaler`.
 *
 * Nothing is read from the device: a skipped step is a choice between old and new values there, for parameters and for everything that
 * optimizers remember, so steps can be captured. Gradients must be float32 (or wider, or bfloat16), which they are for float32 parameters.
 *
 * ```ts
 * import { amp, autocast, nn, ones, optim } from "@pta/core";
 * import "@pta/core/backend";
 *
 * const model = new nn.Linear(4, 1), optimizer = new optim.SGD(model.parameters(), { lr: 0.1 });
 * const scaler = new amp.GradScaler();
 * const loss = autocast({ dtype: "float16" }, () => model.forward(ones([2, 4])).float().square().mean());
 * scaler.scale(loss).backward();
 * scaler.step(optimizer);
 * scaler.update();
 * optimizer.zeroGrad();
 * console.log(scaler.getScale()); // 65536
 * ```
 */
export class GradScaler {
  readonly #enabled: boolean;
  readonly #group: string | undefined;
  readonly #progress: Map<Optimizer, Progress> = new Map();
  #initScale: number;
  #initTracker = 0;
  #growthFactor: number;
  #backoffFactor: number;
  #growthInterval: number;
  #state: DeviceState | undefined;

  /**
   * Makes a scaler; nothing is allocated before the first use.
   * @param options Scale, factors, interval
   * @throws {RangeError} When the scale is not positive, `growthFactor` not above 1, `backoffFactor` not in (0, 1), or the interval no whole number
   */
  constructor(options: GradScalerOptions = {}) {
    const { initScale = 65536, growthFactor = 2, backoffFactor = 0.5, growthInterval = 2000 } =
      options;
    check(initScale > 0 && Number.isFinite(initScale), "initScale", initScale, "above 0");
    check(growthFactor > 1, "growthFactor", growthFactor, "above 1");
    check(
      backoffFactor > 0 && backoffFactor < 1,
      "backoffFactor",
      backoffFactor,
      "between 0 and 1",
    );
    check(
      Number.isInteger(growthInterval) && growthInterval > 0,
      "growthInterval",
      growthInterval,
      "a whole number above 0",
    );
    this.#enabled = options.enabled ?? true;
    this.#group = options.group;
    this.#initScale = initScale;
    this.#growthFactor = growthFactor;
    this.#backoffFactor = backoffFactor;
    this.#growthInterval = growthInterval;
  }

  /** Whether it scales at all. */
  get isEnabled(): boolean {
    return this.#enabled;
  }

  /** Factor of the scale after `growthInterval` good steps in a row. */
  get growthFactor(): number {
    return this.#growthFactor;
  }

  /** Factor of the scale after a skipped step. */
  get backoffFactor(): number {
    return this.#backoffFactor;
  }

  /** Good steps in a row until the scale grows. */
  get growthInterval(): number {
    return this.#growthInterval;
  }

  #on(device: string): DeviceState {
    const make = (value: number, dtype: DType) =>
      keep(full([], value, { dtype, device }).realize());
    return this.#state ??= {
      scale: make(this.#initScale, "float32"),
      tracker: make(this.#initTracker, "int32"),
      skipped: make(0, "int32"),
      last: make(0, "bool"),
    };
  }

  /**
   * Multiplies a loss, or several in arrays at any depth, by the scale.
   *
   * @returns The scaled loss, to call `backward` on
   * @throws {TypeError} When something else is in the list
   */
  scale<T extends Tensor | readonly unknown[]>(outputs: T): T {
    if (!this.#enabled) return outputs;
    if (Array.isArray(outputs)) return outputs.map((x) => this.scale(x)) as unknown as T;
    if (!(outputs instanceof Tensor)) {
      throw new TypeError(`Cannot scale ${String(outputs)}: a tensor or a list of them is needed`);
    }
    // It is what people look at after the step, when the parameters it was computed from have changed.
    if (outputs.requiresGrad) dueWithNext(outputs);
    return suspendAutocast(() => outputs.mul(this.#on(outputs.device).scale)) as Tensor as T;
  }

  /** Inverse of the scale, rounded as PyTorch rounds it, and whether a gradient of the optimizer is not finite. */
  #inspect(optimizer: Optimizer): { inverse: Tensor; found: Tensor } {
    const grads = optimizer.paramGroups.flatMap((g) => g.params).flatMap((p) => p.grad ?? []);
    if (grads.length === 0) {
      throw new Error(
        "Cannot unscale: no parameter of the optimizer has a gradient; call scale(loss).backward() first",
      );
    }
    if (grads.some((g) => g.dtype === "float16")) {
      throw new TypeError(
        "Cannot unscale float16 gradients: keep the parameters in float32 and compute in an autocast region",
      );
    }
    const { scale } = this.#on(grads[0].device);
    // One reduction each; the largest absolute value is not finite exactly when some element is not.
    const largest = grads.filter((g) => g.numel > 0).map((g) => g.abs().amax().to("float32"));
    let found = largest.length === 0
      ? full([], 0, { dtype: "bool", device: scale.device })
      : stack(largest).isfinite().all().logicalNot();
    if (this.#group !== undefined) {
      found = found.to("float32").allReduce(this.#group).gt(0);
    }
    return { inverse: scale.to("float64").reciprocal().to("float32"), found };
  }

  /**
   * Divides the gradients of an optimizer by the scale, so that they can be clipped or looked at before {@linkcode GradScaler.step}.
   *
   * @throws {Error} When that has been done since the last update, or there are no gradients
   * @throws {TypeError} When a gradient is float16
   */
  unscale_(optimizer: Optimizer): void {
    if (!this.#enabled) return;
    const known = this.#progress.get(optimizer);
    if (known?.hasStepped) {
      throw new Error("Cannot unscale after step(): call update() first");
    }
    if (known !== undefined) {
      throw new Error("Cannot unscale the gradients of one optimizer twice before update()");
    }
    noGrad(() =>
      suspendAutocast(() => {
        const { inverse, found } = this.#inspect(optimizer);
        for (const { params } of optimizer.paramGroups) {
          for (const p of params) {
            if (p.grad !== undefined) p.grad = p.grad.mul(inverse.to(p.grad.dtype));
          }
        }
        this.#progress.set(optimizer, { found, isUnscaled: true, hasStepped: false });
      })
    );
  }

  /**
   * Steps an optimizer with unscaled gradients. When one of them is not finite, parameters and everything that the optimizer remembers stay as they
   * are; the host does not learn of it.
   *
   * @throws {Error} When that has been done since the last update, or there are no gradients
   * @throws {TypeError} When a gradient is float16, or the optimizer decides on the host (LBFGS)
   */
  step(optimizer: Optimizer): void {
    if (!this.#enabled) {
      optimizer.step();
      return;
    }
    const known = this.#progress.get(optimizer);
    if (known?.hasStepped) {
      throw new Error("Cannot step one optimizer twice before update()");
    }
    if (known !== undefined) {
      known.hasStepped = true;
      optimizer.step(undefined, { skip: known.found });
      return;
    }
    const { inverse, found } = noGrad(() => suspendAutocast(() => this.#inspect(optimizer)));
    this.#progress.set(optimizer, { found, isUnscaled: true, hasStepped: true });
    optimizer.step(undefined, { skip: found, unscale: inverse });
  }

  /**
   * Ends a step: the scale shrinks when any optimizer met a gradient that is not finite, and grows after `growthInterval` steps without.
   *
   * @param newScale Sets the scale instead: a number or a 0-d tensor
   * @throws {Error} When neither `unscale_` nor `step` came before
   */
  update(newScale?: number | Tensor): void {
    if (!this.#enabled) return;
    if (this.#progress.size === 0 && newScale === undefined) {
      throw new Error("Cannot update the scale: no step() or unscale_() since the last update");
    }
    const founds = [...this.#progress.values()].map((p) => p.found);
    this.#progress.clear();
    noGrad(() =>
      suspendAutocast(() => {
        const state = this.#on(
          founds[0]?.device ?? (newScale instanceof Tensor ? newScale.device : undefined!),
        );
        if (newScale !== undefined) {
          state.scale.copy_(newScale instanceof Tensor ? newScale : [newScale]).realize();
          return;
        }
        const { scale, tracker, skipped, last } = state;
        const found = founds.reduce((a, b) => a.logicalOr(b));
        const wide = scale.to("float64"), good = tracker.add(1);
        const grows = good.eq(this.#growthInterval);
        const grown = wide.mul(this.#growthFactor).to("float32");
        // A scale that overflows stays, as PyTorch's does.
        const better = grows.logicalAnd(grown.isfinite()).where(grown, scale);
        realize(
          scale.assign(found.where(wide.mul(this.#backoffFactor).to("float32"), better)),
          tracker.assign(found.logicalOr(grows).where(0, good).to("int32")),
          skipped.assign(skipped.add(found.to("int32"))),
          last.assign(found),
        );
      })
    );
  }

  /** Reads the scale from the device; 1 when disabled. */
  getScale(): number {
    if (!this.#enabled) return 1;
    return this.#state?.scale.item() ?? this.#initScale;
  }

  /** Reads how many steps were skipped so far. */
  getSkippedSteps(): number {
    return this.#state?.skipped.item() ?? 0;
  }

  /** Reads whether the last step was skipped. */
  wasSkipped(): boolean {
    return this.#state !== undefined && this.#state.last.item() !== 0;
  }

  /** 0-d bool on the device: whether the last step was skipped, for decisions that shall not wait; undefined before the first use. */
  get skippedFlag(): Tensor | undefined {
    return this.#state?.last;
  }

  /** Reads the state; PyTorch's keys. */
  stateDict(): GradScalerState {
    if (!this.#enabled) return {};
    return {
      scale: this.getScale(),
      growth_factor: this.#growthFactor,
      backoff_factor: this.#backoffFactor,
      growth_interval: this.#growthInterval,
      _growth_tracker: this.#state?.tracker.item() ?? this.#initTracker,
    };
  }

  /**
   * Takes over a state.
   *
   * @throws {TypeError} When it comes from a disabled scaler
   */
  loadStateDict(state: GradScalerState): void {
    if (!this.#enabled) return;
    if (state.scale === undefined) {
      throw new TypeError("Cannot load the state of a scaler that was disabled: it is empty");
    }
    this.#growthFactor = state.growth_factor ?? this.#growthFactor;
    this.#backoffFactor = state.backoff_factor ?? this.#backoffFactor;
    this.#growthInterval = state.growth_interval ?? this.#growthInterval;
    this.#initScale = state.scale;
    this.#initTracker = state._growth_tracker ?? 0;
    this.#state?.scale.copy_([this.#initScale]);
    this.#state?.tracker.copy_([this.#initTracker]);
  }
}

function check(isValid: boolean, name: string, value: number, wanted: string): void {
  if (!isValid) {
    throw new RangeError(`Cannot make a GradScaler with ${name} ${value}: it must be ${wanted}`);
  }
}
