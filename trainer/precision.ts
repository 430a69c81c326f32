/** Mixed precision of a trainer: which one, where the choice comes from, and the loss scaler. */
import { amp, backendOf, env, type nn, type optim, type Tensor } from "@pta/core";
import { RankEnv } from "@pta/core/dist/rank";
import type { RunHistory } from "./history.ts";

/** `no`, or the type of products and convolutions: `fp16` with a scaled loss, `bf16` without. */
export type MixedPrecision = "no" | "fp16" | "bf16";

/** More than the name of a precision. */
export interface MixedPrecisionOptions {
  /** Which precision; by default the environment's. */
  readonly precision?: MixedPrecision;
  /** Of the loss scaler, with `fp16`. */
  readonly gradScaler?: Omit<amp.GradScalerOptions, "enabled" | "group">;
  /** Whether outputs of the model become float32 before the loss sees them; true by default. */
  readonly outputsFloat32?: boolean;
}

const lowDtypes: Readonly<Record<MixedPrecision, amp.LowDType | undefined>> = {
  no: undefined,
  fp16: "float16",
  bf16: "bfloat16",
};

function check(value: string, source: string): MixedPrecision {
  if (Object.hasOwn(lowDtypes, value)) return value as MixedPrecision;
  throw new RangeError(
    `Cannot use mixed precision "${value}" of ${source}: it must be ${
      Object.keys(lowDtypes).join(", ")
    }`,
  );
}

/** What a trainer knows of precision. Parameters, their gradients and optimizer states stay in float32; autocast makes what is lower. */
export class TrainerPrecision {
  /** The precision. */
  readonly mixedPrecision: MixedPrecision;
  /** Where the choice comes from, for people. */
  readonly source: string;
  /** The loss scaler, with `fp16`. One for all runs of a trainer, so that a second one goes on with its scale. */
  readonly scaler: amp.GradScaler | undefined;
  readonly #outputsFloat32: boolean;
  #attached = 0;
  #isKnown = false;
  #wasSkipped = false;
  #recorded = 0;

  /**
   * Decides: options before the environment.
   * @param options A precision, or more
   * @throws {RangeError} When there is no such precision
   */
  constructor(options: MixedPrecision | MixedPrecisionOptions = {}) {
    const given = typeof options === "string" ? { precision: options } : options;
    const found = env(RankEnv.mixedPrecision);
    this.source = given.precision !== undefined
      ? "the trainer's options"
      : found
      ? RankEnv.mixedPrecision
      : "the default";
    this.mixedPrecision = check(given.precision ?? (found || "no"), this.source);
    this.#outputsFloat32 = given.outputsFloat32 ?? true;
    if (this.mixedPrecision === "fp16") this.scaler = new amp.GradScaler(given.gradScaler);
  }

  /** `bf16 (the trainer's options)`. */
  describe(): string {
    return `${this.mixedPrecision} (${this.source})`;
  }

  /**
   * Makes every `forward` of a model an autocast region until the result is disposed of. Nested calls do nothing.
   *
   * @throws {RangeError} When the device cannot compute in the low type; names the alternative
   */
  attach(model: nn.Module, device: string): Disposable {
    const dtype = lowDtypes[this.mixedPrecision];
    if (dtype === undefined || this.#attached > 0) return { [Symbol.dispose]: () => {} };
    checkDevice(device, dtype, this);
    const handle = amp.autocastForward(model, { dtype, outputsFloat32: this.#outputsFloat32 });
    this.#attached++;
    return {
      [Symbol.dispose]: () => {
        this.#attached--;
        handle.remove();
      },
    };
  }

  /** The loss times the scale. */
  scale(loss: Tensor): Tensor {
    return this.scaler?.scale(loss) ?? loss;
  }

  /** Takes the scale out of the gradients and looks for ones that are not finite; before they are clipped. */
  unscale(optimizer: optim.Optimizer): void {
    this.scaler?.unscale_(optimizer);
  }

  /** Moves the parameters, unless a gradient is not finite; the host does not learn of it here. */
  step(optimizer: optim.Optimizer): void {
    if (this.scaler === undefined) {
      optimizer.step();
      return;
    }
    this.scaler.step(optimizer);
    this.scaler.update();
  }

  /** Tells that a step has been made, captured or not. */
  stepped(): void {
    this.#isKnown = false;
  }

  /**
   * Whether the last optimizer step was skipped because a gradient was not finite. Reads one byte from the device the first time that somebody asks
   * after a step, between steps; never without `fp16`.
   */
  wasStepSkipped(): boolean {
    if (this.scaler === undefined) return false;
    if (!this.#isKnown) {
      this.#wasSkipped = this.scaler.wasSkipped();
      this.#isKnown = true;
    }
    return this.#wasSkipped;
  }

  /** Records `skipped_steps` since the last call and `loss_scale`, with `fp16`. */
  record(history: RunHistory): void {
    if (this.scaler === undefined) return;
    const skipped = this.scaler.getSkippedSteps();
    history.record("skipped_steps", skipped - this.#recorded, { unit: "steps", direction: "none" });
    history.record("loss_scale", this.scaler.getScale(), { direction: "none" });
    this.#recorded = skipped;
  }

  /** State of the scaler, and the skipped steps that have not been recorded yet. */
  stateDict(): PrecisionState {
    const { scaler } = this;
    if (scaler === undefined) throw new ReferenceError("Cannot save a precision without scaler");
    return {
      scaler: scaler.stateDict(),
      unrecordedSkips: scaler.getSkippedSteps() - this.#recorded,
    };
  }

  /** Takes over what {@linkcode TrainerPrecision.stateDict} gave. */
  loadStateDict(state: PrecisionState): void {
    this.scaler!.loadStateDict(state.scaler);
    this.#recorded = this.scaler!.getSkippedSteps() - state.unrecordedSkips;
  }
}

/** What a resumed run needs to know of the loss scale. */
export interface PrecisionState {
  /** With PyTorch's keys. */
  readonly scaler: amp.GradScalerState;
  /** Steps of the epoch under way that were skipped. */
  readonly unrecordedSkips: number;
}

function checkDevice(device: string, dtype: amp.LowDType, precision: TrainerPrecision): void {
  const reason = backendOf(device).lacks?.(dtype);
  if (reason === undefined) return;
  const other = dtype === "bfloat16" ? "fp16" : "no";
  throw new RangeError(
    `Cannot train in ${precision.describe()} on ${device}: ${reason}; use mixedPrecision "${other}"`,
  );
}
