/** Convolutions of one to three dimensions. */
import type { Tensor } from "../tensor/mod.ts";
import {
  Conv,
  type ConvOptions,
  ConvTranspose,
  type ConvTransposeModuleOptions,
} from "./conv_base.ts";
import {
  conv1d,
  conv2d,
  conv3d,
  type ConvolutionOptions,
  convTranspose1d,
  convTranspose2d,
  convTranspose3d,
  type ConvTransposeOptions,
  type Sizes,
} from "./functional/convolution.ts";

/** Convolution of `[N, C, L]`. */
export class Conv1d extends Conv {
  /** The function of this number of dimensions. */
  protected override readonly convolve: (
    x: Tensor,
    weight: Tensor,
    options: ConvolutionOptions,
  ) => Tensor = conv1d;

  /**
   * Makes the layer.
   * @throws {RangeError} When a size or option is out of range or the groups do not divide the channels
   */
  constructor(
    inChannels: number,
    outChannels: number,
    kernelSize: Sizes,
    options: ConvOptions = {},
  ) {
    super(inChannels, outChannels, kernelSize, options, 1);
  }
}

/** Convolution of `[N, C, H, W]`. */
export class Conv2d extends Conv {
  /** The function of this number of dimensions. */
  protected override readonly convolve: (
    x: Tensor,
    weight: Tensor,
    options: ConvolutionOptions,
  ) => Tensor = conv2d;

  /**
   * Makes the layer.
   * @throws {RangeError} When a size or option is out of range or the groups do not divide the channels
   */
  constructor(
    inChannels: number,
    outChannels: number,
    kernelSize: Sizes,
    options: ConvOptions = {},
  ) {
    super(inChannels, outChannels, kernelSize, options, 2);
  }
}

/** Convolution of `[N, C, D, H, W]`. */
export class Conv3d extends Conv {
  /** The function of this number of dimensions. */
  protected override readonly convolve: (
    x: Tensor,
    weight: Tensor,
    options: ConvolutionOptions,
  ) => Tensor = conv3d;

  /**
   * Makes the layer.
   * @throws {RangeError} When a size or option is out of range or the groups do not divide the channels
   */
  constructor(
    inChannels: number,
    outChannels: number,
    kernelSize: Sizes,
    options: ConvOptions = {},
  ) {
    super(inChannels, outChannels, kernelSize, options, 3);
  }
}

/** Transposed convolution of `[N, C, L]`. */
export class ConvTranspose1d extends ConvTranspose {
  /** The function of this number of dimensions. */
  protected override readonly convolve: (
    x: Tensor,
    weight: Tensor,
    options: ConvTransposeOptions,
  ) => Tensor = convTranspose1d;

  /**
   * Makes the layer.
   * @throws {RangeError} When a size or option is out of range or the groups do not divide the channels
   */
  constructor(
    inChannels: number,
    outChannels: number,
    kernelSize: Sizes,
    options: ConvTransposeModuleOptions = {},
  ) {
    super(inChannels, outChannels, kernelSize, options, 1);
  }
}

/** Transposed convolution of `[N, C, H, W]`. */
export class ConvTranspose2d extends ConvTranspose {
  /** The function of this number of dimensions. */
  protected override readonly convolve: (
    x: Tensor,
    weight: Tensor,
    options: ConvTransposeOptions,
  ) => Tensor = convTranspose2d;

  /**
   * Makes the layer.
   * @throws {RangeError} When a size or option is out of range or the groups do not divide the channels
   */
  constructor(
    inChannels: number,
    outChannels: number,
    kernelSize: Sizes,
    options: ConvTransposeModuleOptions = {},
  ) {
    super(inChannels, outChannels, kernelSize, options, 2);
  }
}

/** Transposed convolution of `[N, C, D, H, W]`. */
export class ConvTranspose3d extends ConvTranspose {
  /** The function of this number of dimensions. */
  protected override readonly convolve: (
    x: Tensor,
    weight: Tensor,
    options: ConvTransposeOptions,
  ) => Tensor = convTranspose3d;

  /**
   * Makes the layer.
   * @throws {RangeError} When a size or option is out of range or the groups do not divide the channels
   */
  constructor(
    inChannels: number,
    outChannels: number,
    kernelSize: Sizes,
    options: ConvTransposeModuleOptions = {},
  ) {
    super(inChannels, outChannels, kernelSize, options, 3);
  }
}
