/** Convolutions as modules. */
import type { DType } from "../dtype.ts";
import { Parameter, type Tensor, zeros } from "../tensor/mod.ts";
import { checkSize } from "./check.ts";
import {
  checkOutputPadding,
  type ConvolutionOptions,
  type ConvTransposeOptions,
  type Sizes,
  sizesOf,
} from "./functional/convolution.ts";
import { pad, type PadMode } from "./functional/pad.ts";
import { kaimingUniform_, uniform_ } from "./init.ts";
import { Module } from "./module.ts";

/** What stands around the input of a convolution. */
export type PaddingMode = "zeros" | "reflect" | "replicate" | "circular";

/** Options of the convolutions. */
export interface ConvOptions {
  /** Step between windows; 1 by default. */
  readonly stride?: Sizes;
  /** Elements added on both sides; `same` keeps the sizes, `valid` is 0, the default. */
  readonly padding?: Sizes | "same" | "valid";
  /** Distance between the elements of a window; 1 by default. */
  readonly dilation?: Sizes;
  /** Groups of channels that do not see each other; 1 by default. */
  readonly groups?: number;
  /** Whether there is a bias; true by default. */
  readonly bias?: boolean;
  /** What is added around; `zeros` by default. */
  readonly paddingMode?: PaddingMode;
  /** dtype of the parameters; float32 by default. */
  readonly dtype?: DType;
}

/** Options of the transposed convolutions. */
export interface ConvTransposeModuleOptions extends Omit<ConvOptions, "padding" | "paddingMode"> {
  /** Elements cut from both sides; 0 by default. */
  readonly padding?: Sizes;
  /** Elements added at the far side; 0 by default. */
  readonly outputPadding?: Sizes;
}

/** What both kinds of convolution share: sizes and parameters. */
export abstract class ConvBase extends Module {
  /** Sizes of the window. */
  readonly kernelSize: readonly number[];
  /** Step between windows. */
  readonly stride: readonly number[];
  /** Distance between the elements of a window. */
  readonly dilation: readonly number[];
  /** Groups of channels. */
  readonly groups: number;
  /** The windows. */
  readonly weight: Parameter;
  /** `[outChannels]`. */
  readonly bias: Parameter | undefined;

  /**
   * Makes the layer; weights Kaiming uniform with `a = sqrt(5)`, bias uniform within `1 / sqrt(fan in)`.
   * @throws {RangeError} When a size is not a whole number of at least 1 or the groups do not divide the channels
   */
  constructor(
    readonly inChannels: number,
    readonly outChannels: number,
    kernelSize: Sizes,
    options: Omit<ConvOptions, "padding" | "paddingMode">,
    /** Number of dimensions that windows slide over. */
    readonly spatial: number,
    transposed: boolean,
  ) {
    super();
    const { name } = this.constructor, { groups = 1, bias = true, dtype = "float32" } = options;
    checkSize(name, { inChannels, outChannels, groups });
    for (const [key, channels] of Object.entries({ inChannels, outChannels })) {
      if (channels % groups !== 0) {
        throw new RangeError(
          `Cannot make ${name} with ${key} ${channels}: it must be a multiple of groups ${groups}`,
        );
      }
    }
    this.kernelSize = sizesOf(`make ${name}`, "kernelSize", kernelSize, spatial, 1);
    this.stride = sizesOf(`make ${name}`, "stride", options.stride ?? 1, spatial, 1);
    this.dilation = sizesOf(`make ${name}`, "dilation", options.dilation ?? 1, spatial, 1);
    this.groups = groups;
    const channels = transposed
      ? [inChannels, outChannels / groups]
      : [outChannels, inChannels / groups];
    this.weight = new Parameter(zeros([...channels, ...this.kernelSize], { dtype }));
    if (bias) this.bias = new Parameter(zeros([outChannels], { dtype }));
    this.resetParameters();
  }

  /** Draws the parameters anew. */
  resetParameters(): void {
    kaimingUniform_(this.weight, { a: Math.sqrt(5) });
    if (this.bias === undefined) return;
    const fanIn = this.weight.numel / this.weight.shape[0];
    uniform_(this.bias, -1 / Math.sqrt(fanIn), 1 / Math.sqrt(fanIn));
  }

  /**
   * Checks an input.
   * @throws {TypeError} When rank or channels of an input do not fit
   */
  protected checkInput(x: Tensor): void {
    const { spatial, inChannels } = this, dim = x.ndim - spatial - 1;
    if ((dim === 0 || dim === 1) && x.shape[dim] === inChannels) return;
    const places = ["L", "H, W", "D, H, W"][spatial - 1];
    throw new TypeError(
      `Cannot apply ${this.constructor.name} to [${
        x.shape.join(", ")
      }]: it must be [N, ${inChannels}, ${places}] or [${inChannels}, ${places}], the channels inChannels`,
    );
  }

  /** Sizes and options that are not the default. */
  override extraRepr(): string {
    const list = (n: readonly number[]) => `[${n.join(", ")}]`;
    const parts = [
      `${this.inChannels}, ${this.outChannels}`,
      `kernelSize=${list(this.kernelSize)}`,
      `stride=${list(this.stride)}`,
    ];
    if (this.dilation.some((d) => d !== 1)) parts.push(`dilation=${list(this.dilation)}`);
    if (this.groups !== 1) parts.push(`groups=${this.groups}`);
    if (this.bias === undefined) parts.push("bias=false");
    return parts.join(", ");
  }
}

/** Windows that slide over the input. */
export abstract class Conv extends ConvBase {
  /** Elements added on both sides. */
  readonly padding: readonly number[] | "same" | "valid";
  /** What is added. */
  readonly paddingMode: PaddingMode;

  /**
   * Makes the layer.
   * @throws {RangeError} When an option is out of range
   */
  constructor(
    inChannels: number,
    outChannels: number,
    kernelSize: Sizes,
    options: ConvOptions,
    spatial: number,
  ) {
    super(inChannels, outChannels, kernelSize, options, spatial, false);
    const { name } = this.constructor, { padding = 0, paddingMode = "zeros" } = options;
    this.padding = typeof padding === "string"
      ? padding
      : sizesOf(`make ${name}`, "padding", padding, spatial, 0);
    this.paddingMode = paddingMode;
    if (typeof padding === "string" && padding !== "same" && padding !== "valid") {
      throw new RangeError(
        `Cannot make ${name} with padding "${padding}": it must be numbers, "same" or "valid"`,
      );
    }
    if (padding === "same" && this.stride.some((s) => s !== 1)) {
      throw new RangeError(
        `Cannot make ${name} with padding "same" and stride [${
          this.stride.join(", ")
        }]: the stride must be 1`,
      );
    }
    if (!["zeros", "reflect", "replicate", "circular"].includes(paddingMode)) {
      throw new RangeError(
        `Cannot make ${name} with paddingMode ${paddingMode}: it must be zeros, reflect, replicate or circular`,
      );
    }
  }

  /** The function of this number of dimensions. */
  protected abstract readonly convolve: (
    x: Tensor,
    weight: Tensor,
    options: ConvolutionOptions,
  ) => Tensor;

  /**
   * The convolved input.
   * @param x `[N, C, ...]` or `[C, ...]`
   * @returns `[N, O, ...]` or `[O, ...]`
   * @throws {TypeError} When rank or channels do not fit
   * @throws {RangeError} When the kernel is larger than the padded input
   */
  override forward(x: Tensor): Tensor {
    this.checkInput(x);
    const { stride, dilation, groups, bias, paddingMode } = this;
    let { padding } = this, input = x;
    if (paddingMode !== "zeros") {
      const total = this.kernelSize.map((k, d) => dilation[d] * (k - 1));
      const widths = padding === "same"
        ? total.map((t) => [Math.floor(t / 2), t - Math.floor(t / 2)])
        : padding === "valid"
        ? total.map(() => [0, 0])
        : padding.map((p) => [p, p]);
      input = pad(x, widths.toReversed().flat(), { mode: paddingMode as PadMode });
      padding = "valid";
    }
    return this.convolve(input, this.weight, { bias, stride, padding, dilation, groups });
  }

  /** Sizes and options that are not the default. */
  override extraRepr(): string {
    const { padding, paddingMode } = this;
    const text = typeof padding === "string" ? padding : `[${padding.join(", ")}]`;
    return super.extraRepr() +
      (typeof padding !== "string" && padding.every((p) => p === 0) ? "" : `, padding=${text}`) +
      (paddingMode === "zeros" ? "" : `, paddingMode=${paddingMode}`);
  }
}

/** Every input element adds its multiple of the kernel to the output. */
export abstract class ConvTranspose extends ConvBase {
  /** Elements cut from both sides. */
  readonly padding: readonly number[];
  /** Elements added at the far side. */
  readonly outputPadding: readonly number[];

  /**
   * Makes the layer.
   * @throws {RangeError} When an option is out of range
   */
  constructor(
    inChannels: number,
    outChannels: number,
    kernelSize: Sizes,
    options: ConvTransposeModuleOptions,
    spatial: number,
  ) {
    super(inChannels, outChannels, kernelSize, options, spatial, true);
    const { name } = this.constructor;
    this.padding = sizesOf(`make ${name}`, "padding", options.padding ?? 0, spatial, 0);
    const extra = sizesOf(`make ${name}`, "outputPadding", options.outputPadding ?? 0, spatial, 0);
    checkOutputPadding(`make ${name}`, extra, this.stride, this.dilation);
    this.outputPadding = extra;
  }

  /** The function of this number of dimensions. */
  protected abstract readonly convolve: (
    x: Tensor,
    weight: Tensor,
    options: ConvTransposeOptions,
  ) => Tensor;

  /**
   * The transposed convolution of the input.
   * @param x `[N, C, ...]` or `[C, ...]`
   * @param options `outputSize`: the spatial sizes wanted, which must be reachable with some outputPadding
   * @returns `[N, O, ...]` or `[O, ...]`
   * @throws {TypeError} When rank or channels do not fit
   * @throws {RangeError} When the size is not reachable
   */
  override forward(x: Tensor, options: { readonly outputSize?: readonly number[] } = {}): Tensor {
    this.checkInput(x);
    const { stride, dilation, groups, bias, padding, spatial } = this;
    let { outputPadding } = this;
    if (options.outputSize !== undefined) {
      const wanted = options.outputSize.slice(-spatial), sizes = x.shape.slice(-spatial);
      const least = sizes.map((n, d) =>
        (n - 1) * stride[d] - 2 * padding[d] + dilation[d] * (this.kernelSize[d] - 1) + 1
      );
      outputPadding = wanted.map((n, d) => n - least[d]);
      if (wanted.length !== spatial || outputPadding.some((e, d) => e < 0 || e >= stride[d])) {
        throw new RangeError(
          `Cannot apply ${this.constructor.name} with outputSize [${
            options.outputSize.join(", ")
          }]: it must be from [${least.join(", ")}] to [${
            least.map((n, d) => n + stride[d] - 1).join(", ")
          }]`,
        );
      }
    }
    const call = { bias, stride, padding, outputPadding, dilation, groups };
    return this.convolve(x, this.weight, call);
  }

  /** Sizes and options that are not the default. */
  override extraRepr(): string {
    const list = (name: string, n: readonly number[]) =>
      n.every((p) => p === 0) ? "" : `, ${name}=[${n.join(", ")}]`;
    return super.extraRepr() + list("padding", this.padding) +
      list("outputPadding", this.outputPadding);
  }
}
