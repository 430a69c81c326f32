/** Dynamic loss scaling, decided on the device. */
import type { Optimizer } from "../optim/mod.ts";
import { dueWithNext, noGrad, realize, Tensor } from "../tensor/mod.ts";
import { anyNotFinite, DeviceScale } from "./device_scale.ts";
import {
  type GradScalerOptions,
  type GradScalerState,
  readScalerOptions,
  type ScaleRule,
} from "./scaler_options.ts";
import { suspendAutocast } from "./state.ts";

/** What has been done with an optimizer since the last update. */
interface Progress {
  /** 0-d bool: whether one of its gradients is not finite. */
  readonly found: Tensor;
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
  #rule: ScaleRule;
  #state: DeviceScale | undefined;

  /**
   * Makes a scaler; nothing is allocated before the first use.
   * @param options Scale, factors, interval
   * @throws {RangeError} When the scale is not positive, `growthFactor` not above 1, `backoffFactor` not in (0, 1), or the interval no whole number
   */
  constructor(options: GradScalerOptions = {}) {
    const { initScale, rule } = readScalerOptions(options);
    this.#enabled = options.enabled ?? true;
    this.#group = options.group;
    this.#initScale = initScale;
    this.#rule = rule;
  }

  /** Whether it scales at all. */
  get isEnabled(): boolean {
    return this.#enabled;
  }

  /** Factor of the scale after `growthInterval` good steps in a row. */
  get growthFactor(): number {
    return this.#rule.growthFactor;
  }

  /** Factor of the scale after a skipped step. */
  get backoffFactor(): number {
    return this.#rule.backoffFactor;
  }

  /** Good steps in a row until the scale grows. */
  get growthInterval(): number {
    return this.#rule.growthInterval;
  }

  /** The part on the device, made there (on the default one when none is named) at its first use. */
  #on(device?: string): DeviceScale {
    return this.#state ??= new DeviceScale(device, this.#initScale, this.#initTracker);
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

  /** The parameters of an optimizer that have gradients, checked. */
  #scaled(optimizer: Optimizer): Tensor[] {
    const found = optimizer.paramGroups.flatMap((g) => g.params).filter((p) => p.grad);
    if (found.length === 0) {
      throw new Error(
        "Cannot unscale: no parameter of the optimizer has a gradient; call scale(loss).backward() first",
      );
    }
    if (found.some((p) => p.grad!.dtype === "float16")) {
      throw new TypeError(
        "Cannot unscale float16 gradients: keep the parameters in float32 and compute in an autocast region",
      );
    }
    return found;
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
        const params = this.#scaled(optimizer), { device } = params[0];
        let found = anyNotFinite(params.map((p) => p.grad!), device);
        if (this.#group !== undefined) {
          found = found.to("float32").allReduce(this.#group).gt(0);
        }
        const inverse = this.#on(device).inverse();
        for (const p of params) p.grad = p.grad!.mul(inverse.to(p.grad!.dtype));
        // Now, in one pass over each gradient. Together with what follows it would be a kernel that may change a parameter only after it
        // has seen all gradients of this size, which a GPU would run on one of its processors.
        realize(found, ...params.map((p) => p.grad!));
        this.#progress.set(optimizer, { found, hasStepped: false });
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
    if (this.#progress.get(optimizer)?.hasStepped) {
      throw new Error("Cannot step one optimizer twice before update()");
    }
    if (!this.#progress.has(optimizer)) this.unscale_(optimizer);
    const known = this.#progress.get(optimizer)!;
    known.hasStepped = true;
    optimizer.step(undefined, { skip: known.found });
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
          founds[0]?.device ?? (newScale instanceof Tensor ? newScale.device : undefined),
        );
        if (newScale !== undefined) {
          state.scale.copy_(newScale instanceof Tensor ? newScale : [newScale]).realize();
          return;
        }
        state.update(founds.reduce((a, b) => a.logicalOr(b)), this.#rule);
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
      growth_factor: this.#rule.growthFactor,
      backoff_factor: this.#rule.backoffFactor,
      growth_interval: this.#rule.growthInterval,
      _growth_tracker: this.#state?.tracker.item() ?? this.#initTracker,
    };
  }

  /**
   * Takes over a state.
   *
   * @throws {TypeError} When it comes from a disabled scaler
   * @throws {RangeError} When a factor or the interval is out of range
   */
  loadStateDict(state: GradScalerState): void {
    if (!this.#enabled) return;
    if (state.scale === undefined) {
      throw new TypeError("Cannot load the state of a scaler that was disabled: it is empty");
    }
    const { rule } = readScalerOptions({
      growthFactor: state.growth_factor ?? this.growthFactor,
      backoffFactor: state.backoff_factor ?? this.backoffFactor,
      growthInterval: state.growth_interval ?? this.growthInterval,
    });
    this.#rule = rule;
    this.#initScale = state.scale;
    this.#initTracker = state._growth_tracker ?? 0;
    if (this.#state === undefined) return;
    // At once: a captured step reads the memory, not what is due to be written there.
    const { scale, tracker } = this.#state;
    realize(scale.copy_([this.#initScale]), tracker.copy_([this.#initTracker]));
  }
}
