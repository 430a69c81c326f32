/** The part of a loss scaler that lies on the device, and its arithmetic. */
import type { DType } from "../dtype.ts";
import { full, keep, realize, type Tensor } from "../tensor/mod.ts";
import type { ScaleRule } from "./scaler_options.ts";

/** The scale and what decides about it, all 0-d and kept; nothing here is read by the host. */
export class DeviceScale {
  /** float32. */
  readonly scale: Tensor;
  /** int32: good steps since the scale last changed. */
  readonly tracker: Tensor;
  /** int32: steps skipped so far. */
  readonly skipped: Tensor;
  /** bool: whether the last step was skipped. */
  readonly last: Tensor;

  /**
   * @param device Where it lies; the default one when undefined
   * @param scale First scale
   * @param tracker Good steps before this one
   */
  constructor(device: string | undefined, scale: number, tracker: number) {
    const make = (value: number, dtype: DType) =>
      keep(full([], value, { dtype, device }).realize());
    this.scale = make(scale, "float32");
    this.tracker = make(tracker, "int32");
    this.skipped = make(0, "int32");
    this.last = make(0, "bool");
  }

  /** What gradients are multiplied by to undo the scale: 0-d float32, rounded as PyTorch rounds it. */
  inverse(): Tensor {
    return this.scale.to("float64").reciprocal().to("float32");
  }

  /** Ends a step, after `torch._amp_update_scale_`; `found` is a 0-d bool: whether some gradient was not finite. */
  update(found: Tensor, { growthFactor, backoffFactor, growthInterval }: ScaleRule): void {
    const { scale, tracker, skipped, last } = this;
    const wide = scale.to("float64"), good = tracker.add(1), grows = good.eq(growthInterval);
    const grown = wide.mul(growthFactor).to("float32");
    // A scale that overflows stays, as PyTorch's does.
    const better = grows.logicalAnd(grown.isfinite()).where(grown, scale);
    realize(
      scale.assign(found.where(wide.mul(backoffFactor).to("float32"), better)),
      tracker.assign(found.logicalOr(grows).where(0, good).to("int32")),
      skipped.assign(skipped.add(found.to("int32"))),
      last.assign(found),
    );
  }
}

/**
 * Whether some element is not finite: 0-d bool, one reduction for each tensor. The values are read as they are, so that nothing has to be
 * unscaled, or kept, to be looked at.
 */
export function anyNotFinite(tensors: readonly Tensor[], device: string): Tensor {
  // The largest absolute value is not finite exactly when some element is not.
  const finite = tensors.filter((t) => t.numel > 0).map((t) => t.abs().amax().isfinite());
  if (finite.length === 0) return full([], 0, { dtype: "bool", device });
  return finite.reduce((a, b) => a.logicalAnd(b)).logicalNot();
}
