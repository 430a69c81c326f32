/**
 * Floating-point operations of the forward pass by class. Two for a multiply-add, one for any other addition, product, comparison or function of a
 * number. Layers that only move data have none.
 */
import type { Tensor } from "../tensor/mod.ts";
import * as activation from "./activation.ts";
import * as adaptive from "./adaptive_pooling.ts";
import { Bilinear } from "./bilinear.ts";
import { ChannelNorm } from "./channel_norm.ts";
import { ConvBase, ConvTranspose } from "./conv_base.ts";
import { DropoutModule } from "./dropout.ts";
import { Embedding } from "./embedding.ts";
import { EmbeddingBag } from "./embedding_bag.ts";
import { Flatten, Unflatten } from "./flatten.ts";
import { FractionalMaxPool } from "./fractional_pooling.ts";
import type { Sizes } from "./functional/convolution.ts";
import { GroupNorm, RMSNorm } from "./group_norm.ts";
import * as hard from "./hard_activation.ts";
import { LayerNorm } from "./layer_norm.ts";
import { Identity, Linear } from "./linear.ts";
import type { Module } from "./module.ts";
import { MultiheadAttention } from "./multihead_attention.ts";
import { Padding } from "./padding.ts";
import * as pooling from "./pooling.ts";
import * as rectifier from "./rectifier.ts";
import { RecurrentNetwork } from "./rnn.ts";
import { RecurrentCell } from "./rnn_cell.ts";
import * as softmax from "./softmax.ts";
import { ChannelShuffle, Fold, PixelShuffle, PixelUnshuffle, Unfold } from "./unfold.ts";
import { Upsample } from "./upsample.ts";

/** One call of a module: its inputs and the tensors of its result. */
export interface Call {
  /** What `forward` was given. */
  readonly inputs: readonly unknown[];
  /** What it gave back, flat. */
  readonly outputs: readonly Tensor[];
}

/** Operations of one call. */
export type FlopRule = (module: Module, call: Call) => number;

// Any class, also an abstract one: rules hold for the classes below it.
type Class<M extends Module> = abstract new (...args: never[]) => M;

const rules = new Map<unknown, FlopRule>();

function rule<M extends Module>(
  classes: readonly Class<M>[],
  flops: (module: M, call: Call) => number,
): void {
  for (const c of classes) rules.set(c, (module, call) => flops(module as M, call));
}

const product = (sizes: readonly number[]) => sizes.reduce((a, b) => a * b, 1);
const input = ({ inputs }: Call) => inputs[0] as Tensor;
const size = ({ outputs }: Call) => outputs[0].numel;

/** `count` operations for each element of the output. */
const each = (count: number) => (_: Module, call: Call) => count * size(call);

/** Every matrix of the module times a vector and every bias added, at so many places. */
const weights = (module: Module, places: number) =>
  places * module.parameters().reduce((sum, p) => sum + (p.ndim >= 2 ? 2 : 1) * p.numel, 0);

rule(
  [Linear],
  ({ inFeatures, bias }, call) => size(call) * (2 * inFeatures + (bias === undefined ? 0 : 1)),
);
rule([Bilinear], ({ in1Features, in2Features, bias }, call) => {
  const sums = 2 * in1Features * in2Features + 2 * in1Features;
  return size(call) * (sums + (bias === undefined ? 0 : 1));
});
// Each output of a convolution sums a window of a group's channels; a transposed one spreads each input over such a window.
rule([ConvBase], ({ weight, bias }, call) => {
  const window = weight.numel / weight.shape[0];
  return size(call) * (2 * window + (bias === undefined ? 0 : 1));
});
rule([ConvTranspose], ({ weight, bias }, call) => {
  const window = weight.numel / weight.shape[0];
  return input(call).numel * 2 * window + (bias === undefined ? 0 : size(call));
});

// Mean, difference, square and its sum, scale; then weight and bias.
type Affine = Module & { readonly weight: Tensor | undefined; readonly bias?: Tensor };
const affine = (m: Affine) => (m.weight === undefined ? 0 : 1) + (m.bias === undefined ? 0 : 1);
rule<Affine>([LayerNorm, GroupNorm, ChannelNorm], (m, call) => (5 + affine(m)) * size(call));
rule<Affine>([RMSNorm], (m, call) => (3 + affine(m)) * size(call));

rule(
  [
    ...[activation.Tanh, activation.Sigmoid, activation.LogSigmoid, activation.SiLU],
    ...[activation.Mish, activation.Softsign, activation.Tanhshrink, activation.GELU],
    ...[activation.Softplus, hard.Hardtanh, hard.ReLU6, hard.Hardsigmoid, hard.Hardswish],
    ...[hard.Hardshrink, hard.Softshrink, hard.Threshold, rectifier.ReLU, rectifier.LeakyReLU],
    ...[rectifier.PReLU, rectifier.RReLU, rectifier.ELU, rectifier.CELU, rectifier.SELU],
  ],
  each(1),
);
rule([softmax.GLU], each(2));
// Maximum, difference, exponential, its sum, quotient.
const softmaxCost = 5;
rule([softmax.Softmax, softmax.Softmax2d, softmax.Softmin, softmax.LogSoftmax], each(softmaxCost));

const windows = (k: Sizes, spatial: number) => typeof k === "number" ? k ** spatial : product(k);
type Windowed = Module & { readonly kernelSize: Sizes };
const pools: readonly (readonly Class<Windowed>[])[] = [
  [pooling.MaxPool1d, pooling.AvgPool1d, pooling.LPPool1d],
  [pooling.MaxPool2d, pooling.AvgPool2d, pooling.LPPool2d],
  [pooling.MaxPool3d, pooling.AvgPool3d, pooling.LPPool3d],
];
pools.forEach((classes, i) =>
  rule(classes, ({ kernelSize }, call) => size(call) * windows(kernelSize, i + 1))
);
// Their windows cover the input about once.
rule<Module>([adaptive.AdaptivePool, FractionalMaxPool], (_, call) => input(call).numel);

const noArithmetic: readonly Class<Module>[] = [
  ...[Identity, Flatten, Unflatten, DropoutModule, Padding, Embedding, Unfold, PixelShuffle],
  ...[PixelUnshuffle, ChannelShuffle, adaptive.MaxUnpool1d, adaptive.MaxUnpool2d],
  adaptive.MaxUnpool3d,
];
rule(noArithmetic, () => 0);
rule([Fold], (_, call) => input(call).numel);
rule([EmbeddingBag], ({ embeddingDim }, call) => input(call).numel * embeddingDim);
const taps: Readonly<Record<string, number>> = {
  linear: 2,
  bilinear: 4,
  trilinear: 8,
  bicubic: 16,
};
rule([Upsample], ({ options }, call) => 2 * (taps[options.mode ?? "nearest"] ?? 0) * size(call));

rule([RecurrentNetwork], (m, call) => weights(m, input(call).numel / m.inputSize));
rule([RecurrentCell], (m, call) => weights(m, input(call).numel / m.inputSize));

rule([MultiheadAttention], (m, { inputs }) => {
  const [query, key, value] = inputs as Tensor[], e = m.embedDim;
  const { kdim, vdim, bias, addBiasKv, addZeroAttn } = m.options;
  const places = query.numel / e, keys = key.numel / kdim, values = value.numel / vdim;
  const batch = query.ndim === 2 ? 1 : query.shape[m.options.batchFirst ? 0 : 1];
  const attended = keys / batch + (addBiasKv ? 1 : 0) + (addZeroAttn ? 1 : 0);
  const projections = 2 * e * (2 * places * e + keys * kdim + values * vdim) +
    (bias ? e * (2 * places + keys + values) : 0);
  return projections + places * attended * (4 * e + softmaxCost * m.numHeads);
});

/** The rule of a module's class, or of the nearest class above it; undefined when there is none. */
export function flopRule(module: Module): FlopRule | undefined {
  for (let c: unknown = module.constructor; typeof c === "function"; c = Object.getPrototypeOf(c)) {
    const found = rules.get(c);
    if (found !== undefined) return found;
  }
  return undefined;
}
