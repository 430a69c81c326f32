import {
  capture,
  type Captured,
  defaultGenerator,
  isFloat,
  nn,
  noGrad,
  Tensor,
  tensor,
  where,
} from "@pta/core";
import { type Callback, callback } from "../callback.ts";
import type { Trainer } from "../trainer.ts";
import { hostRandom, permutation, symmetricBeta } from "./host_random.ts";

/** Options that mixup and cutmix have in common. */
export interface MixingOptions {
  /** Number of classes, for targets that are classes; targets that are probabilities already need none. */
  readonly numClasses?: number;
  /** Share of the batches that are mixed; 1 by default. */
  readonly probability?: number;
  /** Share of each target that is spread evenly over all classes; 0 by default. */
  readonly labelSmoothing?: number;
  /** The last epoch, from 1, in which batches are mixed; all by default. */
  readonly untilEpoch?: number;
}

/** Options of {@linkcode mixup} and {@linkcode cutmix}. */
export interface MixupOptions extends MixingOptions {
  /** Both parameters of the beta distribution that shares are drawn from; 0.2 for mixup, 1 for cutmix by default. */
  readonly alpha?: number;
}

/** Options of {@linkcode mixupOrCutmix}. */
export interface MixupOrCutmixOptions extends MixingOptions {
  /** `alpha` of mixup; 0.2 by default. */
  readonly mixupAlpha?: number;
  /** `alpha` of cutmix; 1 by default. */
  readonly cutmixAlpha?: number;
  /** Share of the mixed batches that get cutmix; 0.5 by default. */
  readonly switchProbability?: number;
}

/** Draws a share of the own samples, and for images the rectangle that comes from others. */
interface Draw {
  readonly own: number;
  /** `[top, bottom, left, right]` of what is taken from the partner. */
  readonly box?: readonly [number, number, number, number];
}

type Drawer = (uniform: () => number, shape: readonly number[]) => Draw;

const drawMixup = (alpha: number): Drawer => (uniform) => ({ own: symmetricBeta(alpha, uniform) });

/** A rectangle of the partner around a random place, cut at the borders; the share follows from what is left of it. */
const drawCutmix = (alpha: number): Drawer => (uniform, shape) => {
  if (shape.length < 3) {
    throw new TypeError(
      `Cannot cut and mix inputs of shape [${
        shape.join(", ")
      }]: the last two dimensions must be an image's`,
    );
  }
  const [height, width] = shape.slice(-2), side = Math.sqrt(1 - symmetricBeta(alpha, uniform));
  const y = uniform() * height, x = uniform() * width;
  const clip = (at: number, size: number) => Math.max(0, Math.min(size, Math.round(at)));
  const top = clip(y - side * height / 2, height), bottom = clip(y + side * height / 2, height);
  const left = clip(x - side * width / 2, width), right = clip(x + side * width / 2, width);
  const own = 1 - (bottom - top) * (right - left) / (height * width);
  return { own, box: [top, bottom, left, right] };
};

const check = (name: string, value: number, isValid: boolean, wanted: string) => {
  if (!isValid) throw new RangeError(`Cannot mix with ${name} ${value}: it must be ${wanted}`);
};

function mixing(name: string, options: MixingOptions, draw: Drawer): Callback {
  const { numClasses, probability = 1, labelSmoothing = 0, untilEpoch = Infinity } = options;
  check("probability", probability, probability >= 0 && probability <= 1, "from 0 to 1");
  check("labelSmoothing", labelSmoothing, labelSmoothing >= 0 && labelSmoothing < 1, "from 0 to 1");
  let mix: Captured<Tensor[], readonly Tensor[]> | undefined;

  const soft = (y: Tensor): Tensor => {
    if (isFloat(y.dtype)) return y;
    const hot = nn.functional.oneHot(y, numClasses).to("float32");
    const spread = labelSmoothing / numClasses!;
    return labelSmoothing === 0 ? hot : hot.mul(1 - labelSmoothing).add(spread);
  };
  // Own shares, partners and masks are tensors, so that every step is the same launches.
  const body = (x: Tensor, y: Tensor, own: Tensor, partners: Tensor, mask: Tensor) =>
    noGrad(() => {
      const other = x.indexSelect(0, partners), share = own.to(x.dtype);
      const input = mask.ndim === 0
        ? x.mul(share).add(other.mul(share.neg().add(1)))
        : where(mask, other, x);
      const target = soft(y), weight = own.to(target.dtype);
      const mixed = target.mul(weight).add(
        target.indexSelect(0, partners).mul(weight.neg().add(1)),
      );
      return [input, mixed];
    });

  return callback({
    name,
    onTrainingRunStart: () => {
      mix = capture((...[x, y, own, partners, mask]: Tensor[]) => body(x, y, own, partners, mask));
    },
    onTrainStepStart: (trainer, event) => {
      if (trainer.runHistory.currentEpoch > untilEpoch) return;
      const { batch } = event;
      if (!isPair(batch)) {
        throw new TypeError("Cannot mix this batch: it must be an array [input, target, ...]");
      }
      const [x, y, ...rest] = batch;
      if (!isFloat(y.dtype) && numClasses === undefined) {
        throw new RangeError("Cannot mix targets that are classes without numClasses");
      }
      const uniform = randomFor(trainer, event.step);
      const isMixed = uniform() < probability;
      const { own, box } = isMixed ? draw(uniform, x.shape) : { own: 1, box: undefined };
      const { device } = x, [n] = x.shape, order = permutation(n, uniform);
      const [input, target] = mix!(
        x,
        y,
        tensor(own, { dtype: "float32", device }),
        tensor(order, { device }),
        box === undefined ? tensor(0, { device }) : maskOf(box, x.shape, device),
      );
      event.batch = [input, target, ...rest];
    },
    cleanup: () => {
      mix?.dispose();
      mix = undefined;
    },
  });
}

const isPair = (batch: unknown): batch is [Tensor, Tensor, ...unknown[]] =>
  Array.isArray(batch) && batch[0] instanceof Tensor && batch[1] instanceof Tensor;

// The seed's streams: what is drawn here must differ from what others draw of the same seed.
const mixingStream = 0x6d69;

const randomFor = (trainer: Trainer, step: number) =>
  hostRandom(
    trainer.runConfig.seed ?? defaultGenerator.seed,
    mixingStream,
    trainer.runHistory.currentEpoch,
    step,
    trainer.runConfig.rank,
  );

function maskOf(
  [top, bottom, left, right]: readonly [number, number, number, number],
  shape: readonly number[],
  device: string,
): Tensor {
  const [height, width] = shape.slice(-2), mask = new Uint8Array(height * width);
  for (let y = top; y < bottom; y++) mask.fill(1, y * width + left, y * width + right);
  return tensor(mask, { dtype: "bool", device, shape: [height, width] });
}

/**
 * Mixes each training batch with itself in another order: inputs and targets are `share x own + (1 - share) x partner`, with a share for the batch drawn from
 * a beta distribution (Zhang et al., arXiv:1710.09412). The loss must take targets that are probabilities, as `nn.CrossEntropyLoss` does. What is drawn
 * depends on seed, epoch, step and rank alone.
 *
 * @throws {RangeError} When an option is out of range
 */
export function mixup(options: MixupOptions = {}): Callback {
  const { alpha = 0.2 } = options;
  check("alpha", alpha, alpha > 0, "above 0");
  return mixing("mixup", options, drawMixup(alpha));
}

/**
 * Pastes into each image of a training batch a rectangle of another one; targets are mixed by area (Yun et al., arXiv:1905.04899). Inputs are
 * `[N, ..., H, W]`; otherwise as {@linkcode mixup}.
 *
 * @throws {RangeError} When an option is out of range
 */
export function cutmix(options: MixupOptions = {}): Callback {
  const { alpha = 1 } = options;
  check("alpha", alpha, alpha > 0, "above 0");
  return mixing("cutmix", options, drawCutmix(alpha));
}

/**
 * For each training batch either {@linkcode mixup} or {@linkcode cutmix}.
 *
 * @throws {RangeError} When an option is out of range
 */
export function mixupOrCutmix(options: MixupOrCutmixOptions = {}): Callback {
  const { mixupAlpha = 0.2, cutmixAlpha = 1, switchProbability: p = 0.5 } = options;
  check("mixupAlpha", mixupAlpha, mixupAlpha > 0, "above 0");
  check("cutmixAlpha", cutmixAlpha, cutmixAlpha > 0, "above 0");
  check("switchProbability", p, p >= 0 && p <= 1, "from 0 to 1");
  const mix = drawMixup(mixupAlpha), cut = drawCutmix(cutmixAlpha);
  return mixing("mixupOrCutmix", options, (uniform, shape) => {
    return (uniform() < p ? cut : mix)(uniform, shape);
  });
}
