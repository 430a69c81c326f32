/** Activations of straight pieces, as modules. */
import type { Tensor } from "../tensor/mod.ts";
import {
  checkLambd,
  checkLimits,
  hardshrink,
  hardsigmoid,
  hardswish,
  hardtanh,
  relu6,
  softshrink,
  threshold,
} from "./functional/hard_activation.ts";
import { Module } from "./module.ts";

/** `x` limited to `minVal .. maxVal`. */
export class Hardtanh extends Module {
  /**
   * Makes the layer.
   * @param minVal Smallest result
   * @param maxVal Largest result
   * @throws {RangeError} When `minVal` is above `maxVal`
   */
  constructor(readonly minVal: number = -1, readonly maxVal: number = 1) {
    super();
    checkLimits("make Hardtanh", minVal, maxVal);
  }

  /** Elementwise. */
  override forward(x: Tensor): Tensor {
    return hardtanh(x, this.minVal, this.maxVal);
  }

  /** The arguments. */
  override extraRepr(): string {
    return `minVal=${this.minVal}, maxVal=${this.maxVal}`;
  }
}

/** `min(max(x, 0), 6)`. */
export class ReLU6 extends Module {
  /** Elementwise. */
  override forward(x: Tensor): Tensor {
    return relu6(x);
  }
}

/** `x / 6 + 1 / 2` limited to 0 and 1. */
export class Hardsigmoid extends Module {
  /** Elementwise. */
  override forward(x: Tensor): Tensor {
    return hardsigmoid(x);
  }
}

/** `x` times {@linkcode Hardsigmoid} (Howard et al., arXiv:1905.02244). */
export class Hardswish extends Module {
  /** Elementwise. */
  override forward(x: Tensor): Tensor {
    return hardswish(x);
  }
}

/** `x` outside `-lambd .. lambd`, 0 inside. */
export class Hardshrink extends Module {
  /**
   * Makes the layer.
   * @param lambd Half the width of the gap
   */
  constructor(readonly lambd: number = 0.5) {
    super();
  }

  /** Elementwise. */
  override forward(x: Tensor): Tensor {
    return hardshrink(x, this.lambd);
  }

  /** The arguments. */
  override extraRepr(): string {
    return `lambd=${this.lambd}`;
  }
}

/** `x` moved towards 0 by `lambd`. */
export class Softshrink extends Module {
  /**
   * Makes the layer.
   * @param lambd How far
   * @throws {RangeError} When `lambd` is negative
   */
  constructor(readonly lambd: number = 0.5) {
    super();
    checkLambd("make Softshrink", lambd);
  }

  /** Elementwise. */
  override forward(x: Tensor): Tensor {
    return softshrink(x, this.lambd);
  }

  /** The arguments. */
  override extraRepr(): string {
    return `lambd=${this.lambd}`;
  }
}

/** `x` above `threshold`, `value` elsewhere. */
export class Threshold extends Module {
  /**
   * Makes the layer.
   * @param threshold From where on `x` stays
   * @param value What stands for the rest
   */
  constructor(readonly threshold: number, readonly value: number) {
    super();
  }

  /** Elementwise. */
  override forward(x: Tensor): Tensor {
    return threshold(x, this.threshold, this.value);
  }

  /** The arguments. */
  override extraRepr(): string {
    return `threshold=${this.threshold}, value=${this.value}`;
  }
}
