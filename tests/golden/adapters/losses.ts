import { nn, Tensor } from "@pta/accelerated";
import {
  type Adapters,
  argument,
  numberOf,
  numbersOf,
  type Sample,
  tensorOf,
  type Value,
} from "../adapter.ts";
import { camelCase } from "./modules.ts";

const { functional: F } = nn;

/** Keyword arguments under our names, without those that are None. */
// deno-lint-ignore no-explicit-any -- each function has options of its own
function options(s: Sample): any {
  const given = Object.entries(s.kwargs).filter(([, v]) => v !== null);
  return Object.fromEntries(given.map(([k, v]) => [camelCase(k), v]));
}

const lengths = (v: Value | undefined) => v instanceof Tensor ? v : numbersOf(v);

type PairLoss = (input: Tensor, target: Tensor, options: never) => Tensor;
type TripletLoss = (a: Tensor, b: Tensor, c: Tensor, options: never) => Tensor;

/** A loss of an input and a target. */
const pair = (fn: PairLoss) => (s: Sample): Tensor =>
  fn(tensorOf(s.input), tensorOf(argument(s, 0, "target")), options(s) as never);

/** A loss of three tensors. */
const triple = (fn: TripletLoss) => (s: Sample): Tensor =>
  fn(tensorOf(s.input), tensorOf(s.args[0]), tensorOf(s.args[1]), options(s) as never);

/** Adapters by PyTorch's name. */
export const losses: Adapters = {
  "nn.functional.cross_entropy": pair(F.crossEntropy),
  "nn.functional.nll_loss": pair(F.nllLoss),
  "nn.functional.binary_cross_entropy": pair(F.binaryCrossEntropy),
  "nn.functional.binary_cross_entropy_with_logits": pair(F.binaryCrossEntropyWithLogits),
  "nn.functional.mse_loss": pair(F.mseLoss),
  "nn.functional.l1_loss": pair(F.l1Loss),
  "nn.functional.smooth_l1_loss": pair(F.smoothL1Loss),
  "nn.functional.huber_loss": pair(F.huberLoss),
  "nn.functional.kl_div": pair(F.klDiv),
  "nn.functional.poisson_nll_loss": pair(F.poissonNllLoss),
  "nn.functional.gaussian_nll_loss": triple(F.gaussianNllLoss),
  "nn.functional.hinge_embedding_loss": pair(F.hingeEmbeddingLoss),
  "nn.functional.soft_margin_loss": pair(F.softMarginLoss),
  "nn.functional.margin_ranking_loss": triple(F.marginRankingLoss),
  "nn.functional.multi_margin_loss": pair(F.multiMarginLoss),
  "nn.functional.multilabel_margin_loss": pair(F.multilabelMarginLoss),
  "nn.functional.multilabel_soft_margin_loss": pair(F.multilabelSoftMarginLoss),
  "nn.functional.cosine_embedding_loss": triple(F.cosineEmbeddingLoss),
  "nn.functional.triplet_margin_loss": triple(F.tripletMarginLoss),
  "nn.functional.triplet_margin_with_distance_loss": triple(F.tripletMarginWithDistanceLoss),
  "nn.functional.ctc_loss": (s) =>
    F.ctcLoss(
      tensorOf(s.input),
      tensorOf(s.args[0]),
      lengths(s.args[1]),
      lengths(s.args[2]),
      options(s),
    ),
  "nn.functional.one_hot": (s) =>
    F.oneHot(tensorOf(s.input), numberOf(argument(s, 0, "num_classes"), -1)),
  // The sample's input is the table.
  "nn.functional.embedding": (s) => F.embedding(tensorOf(s.args[0]), tensorOf(s.input), options(s)),
  "nn.functional.embedding_bag": (s) =>
    F.embeddingBag(tensorOf(s.args[0]), tensorOf(s.input), options(s)),
};

/** Names left out, and why. */
export const lossesReasons: Record<string, string> = {
  "nn.functional.linear_cross_entropy":
    "experimental in PyTorch; crossEntropy of a linear layer fuses by itself",
};
