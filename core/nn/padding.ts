/** Padding as modules. */
import type { Tensor } from "../tensor/mod.ts";
import { pad, type PadMode } from "./functional/pad.ts";
import { Module } from "./module.ts";

/** Pads the last dimensions. */
export abstract class Padding extends Module {
  /** `[before, after]` for each dimension, last dimension first. */
  readonly padding: readonly number[];

  /**
   * Makes the layer.
   * @param padding Two widths for each dimension, last dimension first; a number means that width everywhere
   * @throws {TypeError} When the number of widths is wrong or one is not whole
   */
  constructor(padding: number | readonly number[], readonly spatial: number) {
    super();
    const list = typeof padding === "number"
      ? new Array<number>(2 * spatial).fill(padding)
      : [...padding];
    if (list.length !== 2 * spatial || !list.every(Number.isInteger)) {
      throw new TypeError(
        `Cannot make ${this.constructor.name} with padding [${
          list.join(", ")
        }]: it must be a whole number or ${2 * spatial} of them`,
      );
    }
    this.padding = list;
  }

  /** What stands around the elements. */
  protected abstract readonly mode: PadMode;
  /** The constant around the elements. */
  readonly value: number = 0;

  /**
   * The padded input.
   * @param x `[N, C, ...]` or `[C, ...]`
   * @throws {TypeError} When the number of dimensions does not fit
   * @throws {RangeError} When there is not enough inside to fill a width
   */
  override forward(x: Tensor): Tensor {
    const { spatial, mode, value } = this;
    if (mode !== "constant" && x.ndim !== spatial + 1 && x.ndim !== spatial + 2) {
      throw new TypeError(
        `Cannot apply ${this.constructor.name} to [${x.shape.join(", ")}]: ${spatial + 1} or ${
          spatial + 2
        } dimensions are needed`,
      );
    }
    return pad(x, this.padding, { mode, value });
  }

  /** The widths. */
  override extraRepr(): string {
    return `[${this.padding.join(", ")}]`;
  }
}

/** Mirrors the elements at the border, which is not repeated `[..., W]`. */
export class ReflectionPad1d extends Padding {
  /** What stands around the elements. */
  protected override readonly mode: PadMode = "reflect";

  /**
   * Makes the layer.
   * @throws {TypeError} When the number of widths is not 2 or one is not whole
   */
  constructor(padding: number | readonly number[]) {
    super(padding, 1);
  }
}

/** Mirrors the elements at the border, which is not repeated `[..., H, W]`. */
export class ReflectionPad2d extends Padding {
  /** What stands around the elements. */
  protected override readonly mode: PadMode = "reflect";

  /**
   * Makes the layer.
   * @throws {TypeError} When the number of widths is not 4 or one is not whole
   */
  constructor(padding: number | readonly number[]) {
    super(padding, 2);
  }
}

/** Mirrors the elements at the border, which is not repeated `[..., D, H, W]`. */
export class ReflectionPad3d extends Padding {
  /** What stands around the elements. */
  protected override readonly mode: PadMode = "reflect";

  /**
   * Makes the layer.
   * @throws {TypeError} When the number of widths is not 6 or one is not whole
   */
  constructor(padding: number | readonly number[]) {
    super(padding, 3);
  }
}

/** Repeats the border `[..., W]`. */
export class ReplicationPad1d extends Padding {
  /** What stands around the elements. */
  protected override readonly mode: PadMode = "replicate";

  /**
   * Makes the layer.
   * @throws {TypeError} When the number of widths is not 2 or one is not whole
   */
  constructor(padding: number | readonly number[]) {
    super(padding, 1);
  }
}

/** Repeats the border `[..., H, W]`. */
export class ReplicationPad2d extends Padding {
  /** What stands around the elements. */
  protected override readonly mode: PadMode = "replicate";

  /**
   * Makes the layer.
   * @throws {TypeError} When the number of widths is not 4 or one is not whole
   */
  constructor(padding: number | readonly number[]) {
    super(padding, 2);
  }
}

/** Repeats the border `[..., D, H, W]`. */
export class ReplicationPad3d extends Padding {
  /** What stands around the elements. */
  protected override readonly mode: PadMode = "replicate";

  /**
   * Makes the layer.
   * @throws {TypeError} When the number of widths is not 6 or one is not whole
   */
  constructor(padding: number | readonly number[]) {
    super(padding, 3);
  }
}

/** Continues at the other end `[..., W]`. */
export class CircularPad1d extends Padding {
  /** What stands around the elements. */
  protected override readonly mode: PadMode = "circular";

  /**
   * Makes the layer.
   * @throws {TypeError} When the number of widths is not 2 or one is not whole
   */
  constructor(padding: number | readonly number[]) {
    super(padding, 1);
  }
}

/** Continues at the other end `[..., H, W]`. */
export class CircularPad2d extends Padding {
  /** What stands around the elements. */
  protected override readonly mode: PadMode = "circular";

  /**
   * Makes the layer.
   * @throws {TypeError} When the number of widths is not 4 or one is not whole
   */
  constructor(padding: number | readonly number[]) {
    super(padding, 2);
  }
}

/** Continues at the other end `[..., D, H, W]`. */
export class CircularPad3d extends Padding {
  /** What stands around the elements. */
  protected override readonly mode: PadMode = "circular";

  /**
   * Makes the layer.
   * @throws {TypeError} When the number of widths is not 6 or one is not whole
   */
  constructor(padding: number | readonly number[]) {
    super(padding, 3);
  }
}

/** Zeros around `[..., W]`. */
export class ZeroPad1d extends Padding {
  /** What stands around the elements. */
  protected override readonly mode: PadMode = "constant";

  /**
   * Makes the layer.
   * @throws {TypeError} When the number of widths is not 2 or one is not whole
   */
  constructor(padding: number | readonly number[]) {
    super(padding, 1);
  }
}

/** Zeros around `[..., H, W]`. */
export class ZeroPad2d extends Padding {
  /** What stands around the elements. */
  protected override readonly mode: PadMode = "constant";

  /**
   * Makes the layer.
   * @throws {TypeError} When the number of widths is not 4 or one is not whole
   */
  constructor(padding: number | readonly number[]) {
    super(padding, 2);
  }
}

/** Zeros around `[..., D, H, W]`. */
export class ZeroPad3d extends Padding {
  /** What stands around the elements. */
  protected override readonly mode: PadMode = "constant";

  /**
   * Makes the layer.
   * @throws {TypeError} When the number of widths is not 6 or one is not whole
   */
  constructor(padding: number | readonly number[]) {
    super(padding, 3);
  }
}

/** A constant around `[..., W]`. */
export class ConstantPad1d extends Padding {
  /** What stands around the elements. */
  protected override readonly mode: PadMode = "constant";

  /**
   * Makes the layer.
   * @throws {TypeError} When the number of widths is not 2 or one is not whole
   */
  constructor(padding: number | readonly number[], override readonly value: number) {
    super(padding, 1);
  }
}

/** A constant around `[..., H, W]`. */
export class ConstantPad2d extends Padding {
  /** What stands around the elements. */
  protected override readonly mode: PadMode = "constant";

  /**
   * Makes the layer.
   * @throws {TypeError} When the number of widths is not 4 or one is not whole
   */
  constructor(padding: number | readonly number[], override readonly value: number) {
    super(padding, 2);
  }
}

/** A constant around `[..., D, H, W]`. */
export class ConstantPad3d extends Padding {
  /** What stands around the elements. */
  protected override readonly mode: PadMode = "constant";

  /**
   * Makes the layer.
   * @throws {TypeError} When the number of widths is not 6 or one is not whole
   */
  constructor(padding: number | readonly number[], override readonly value: number) {
    super(padding, 3);
  }
}
