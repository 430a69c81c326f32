/** Windows as columns and back, and channels as space, as modules. */
import type { Tensor } from "../tensor/mod.ts";
import type { Sizes } from "./functional/convolution.ts";
import * as F from "./functional/unfold.ts";
import { checkSize } from "./check.ts";
import { Module } from "./module.ts";

/** Every window as a column; see `unfold`. */
export class Unfold extends Module {
  /**
   * Makes the layer.
   * @param kernelSize Size of the windows
   * @throws {RangeError} When a size or option is out of range
   */
  constructor(readonly kernelSize: Sizes, readonly options: F.UnfoldOptions = {}) {
    super();
    F.unfoldSizes("make Unfold", kernelSize, options);
  }

  /** `[N, C * KH * KW, windows]` of `[N, C, H, W]`. */
  override forward(x: Tensor): Tensor {
    return F.unfold(x, this.kernelSize, this.options);
  }

  /** The size. */
  override extraRepr(): string {
    return `kernelSize=${this.kernelSize}`;
  }
}

/** The image whose windows are the columns; see `fold`. */
export class Fold extends Module {
  /**
   * Makes the layer.
   * @param outputSize `[H, W]`
   * @param kernelSize Size of the windows
   * @throws {RangeError} When a size or option is out of range, or a window is larger than the padded image
   */
  constructor(
    readonly outputSize: Sizes,
    readonly kernelSize: Sizes,
    readonly options: F.UnfoldOptions = {},
  ) {
    super();
    F.foldSizes("make Fold", outputSize, F.unfoldSizes("make Fold", kernelSize, options));
  }

  /** `[N, C, H, W]` of `[N, C * KH * KW, windows]`. */
  override forward(x: Tensor): Tensor {
    return F.fold(x, this.outputSize, this.kernelSize, this.options);
  }

  /** The sizes. */
  override extraRepr(): string {
    return `outputSize=${this.outputSize}, kernelSize=${this.kernelSize}`;
  }
}

/** Channels as space; see `pixelShuffle`. */
export class PixelShuffle extends Module {
  /**
   * Makes the layer.
   * @param upscaleFactor Factor of height and width
   */
  constructor(readonly upscaleFactor: number) {
    super();
    checkSize("PixelShuffle", { upscaleFactor });
  }

  /** `[..., C, H * r, W * r]` of `[..., C * r * r, H, W]`. */
  override forward(x: Tensor): Tensor {
    return F.pixelShuffle(x, this.upscaleFactor);
  }

  /** The factor. */
  override extraRepr(): string {
    return `upscaleFactor=${this.upscaleFactor}`;
  }
}

/** Space as channels; see `pixelUnshuffle`. */
export class PixelUnshuffle extends Module {
  /**
   * Makes the layer.
   * @param downscaleFactor Divisor of height and width
   */
  constructor(readonly downscaleFactor: number) {
    super();
    checkSize("PixelUnshuffle", { downscaleFactor });
  }

  /** `[..., C * r * r, H, W]` of `[..., C, H * r, W * r]`. */
  override forward(x: Tensor): Tensor {
    return F.pixelUnshuffle(x, this.downscaleFactor);
  }

  /** The factor. */
  override extraRepr(): string {
    return `downscaleFactor=${this.downscaleFactor}`;
  }
}

/** Mixes the channels of groups; see `channelShuffle`. */
export class ChannelShuffle extends Module {
  /**
   * Makes the layer.
   * @param groups Number of groups
   */
  constructor(readonly groups: number) {
    super();
    checkSize("ChannelShuffle", { groups });
  }

  /** Same shape. */
  override forward(x: Tensor): Tensor {
    return F.channelShuffle(x, this.groups);
  }

  /** The groups. */
  override extraRepr(): string {
    return `groups=${this.groups}`;
  }
}
