/** Reductions, statistics, scans and distances. */
import {
  cdist,
  type DType,
  linalg,
  masked,
  nn,
  segmentReduce,
  type Tensor,
} from "@pta/accelerated";
import {
  type Adapter,
  type Adapters,
  argument,
  dimsOf,
  numberOf,
  numbersOf,
  type Sample,
  tensorOf,
  type Value,
} from "../adapter.ts";

const { functional: F } = nn;

/** What most reductions take. */
const dims = (s: Sample, index = 0) => dimsOf(argument(s, index, "dim"));
const keepdim = (s: Sample, index = 1) => argument(s, index, "keepdim") === true;
const dtypeOf = (v: Value | undefined): DType | undefined => v as DType ?? undefined;
const options = (s: Sample) => ({ dtype: dtypeOf(s.kwargs.dtype) });
const maybe = (v: Value | undefined): Tensor | undefined => v == null ? undefined : tensorOf(v);
const oneDim = (s: Sample, index = 0) => dims(s, index) as number | undefined;

/** A reduction of all elements, or of dimensions. */
const reduction =
  (call: (x: Tensor, d: ReturnType<typeof dimsOf>, keep: boolean, s: Sample) => Tensor): Adapter =>
  (s) => call(tensorOf(s.input), dims(s), keepdim(s), s);

/** Values and places along a dimension, or one value of all. */
const ranked = (name: "max" | "min" | "median" | "nanmedian"): Adapter => (s) => {
  const x = tensorOf(s.input), d = argument(s, 0, "dim");
  if (d == null) return x[name]();
  if (typeof d === "number") {
    const { values, indices } = x[name](d, keepdim(s));
    return [values, indices];
  }
  return (name === "max" ? x.max(tensorOf(d)) : x.min(tensorOf(d)));
};

/** PyTorch's `unbiased` and `correction` as the correction. */
function variance(
  s: Sample,
): { dims: ReturnType<typeof dimsOf>; correction: number; keepdim: boolean } {
  const first = s.args[0], given = typeof first === "boolean" ? first : s.kwargs.unbiased ?? true;
  return {
    dims: typeof first === "boolean" ? undefined : dims(s),
    correction: numberOf(s.kwargs.correction, Number(given)),
    keepdim: keepdim(s, 2),
  };
}

const withVariance =
  (call: (x: Tensor, v: ReturnType<typeof variance>) => Tensor | Tensor[]): Adapter => (s) =>
    call(tensorOf(s.input), variance(s));

const masks = (s: Sample) => ({
  mask: maybe(s.kwargs.mask),
  keepdim: keepdim(s, -1),
  ...options(s),
});

/** A masked reduction of all elements, or of dimensions. */
const maskedReduction =
  (name: "sum" | "prod" | "amax" | "amin" | "mean" | "logsumexp"): Adapter => (s) =>
    masked[name](tensorOf(s.input), dims(s), masks(s));
const maskedAlong =
  (name: "cumsum" | "cumprod" | "softmax" | "logSoftmax" | "softmin"): Adapter => (s) =>
    masked[name](tensorOf(s.input), oneDim(s) as number, masks(s));
const maskedVariance = (name: "var" | "std"): Adapter => (s) => {
  const { dims, correction } = variance(s);
  return masked[name](tensorOf(s.input), dims, { ...masks(s), correction });
};

const trapezoid: Adapter = (s) =>
  tensorOf(s.input).trapezoid({ x: maybe(argument(s, 0, "x")), ...spacing(s) });
const spacing = (s: Sample) => ({
  dx: numberOf(s.kwargs.dx, 1),
  dim: numberOf(s.kwargs.dim, -1),
});

/** Adapters by PyTorch's name. */
export const reductions: Adapters = {
  sum: reduction((x, d, k, s) => x.sum(d, k, options(s))),
  mean: reduction((x, d, k, s) => x.mean(d, k, options(s))),
  prod: reduction((x, d, k, s) => x.prod(d, k, options(s))),
  nansum: reduction((x, d, k, s) => x.nansum(d, k, options(s))),
  nanmean: reduction((x, d, k, s) => x.nanmean(d, k, options(s))),
  amax: reduction((x, d, k) => x.amax(d, k)),
  amin: reduction((x, d, k) => x.amin(d, k)),
  any: reduction((x, d, k) => x.any(d, k)),
  all: reduction((x, d, k) => x.all(d, k)),
  argmax: reduction((x, d, k) => x.argmax(d as number | undefined, k)),
  argmin: reduction((x, d, k) => x.argmin(d as number | undefined, k)),
  count_nonzero: (s) => tensorOf(s.input).countNonzero(dims(s)),
  logsumexp: reduction((x, d, k) => x.logsumexp(d, k)),
  aminmax: (s) => {
    const { min, max } = tensorOf(s.input).aminmax({ dim: oneDim(s, -1), keepdim: keepdim(s, -1) });
    return [min, max];
  },
  max: ranked("max"),
  min: ranked("min"),
  median: ranked("median"),
  nanmedian: ranked("nanmedian"),
  var: withVariance((x, v) => x.var(v.dims, v)),
  std: withVariance((x, v) => x.std(v.dims, v)),
  var_mean: withVariance((x, v) => {
    const { var: variance, mean } = x.varMean(v.dims, v);
    return [variance, mean];
  }),
  std_mean: withVariance((x, v) => {
    const { std, mean } = x.stdMean(v.dims, v);
    return [std, mean];
  }),
  norm: (s) => {
    const p = argument(s, 0, "p") as number | "fro" | "nuc" | undefined, d = argument(s, 1, "dim");
    // Norms of matrices by singular values live in linalg alone.
    return p === "nuc"
      ? linalg.matrixNorm(tensorOf(s.input), p, d == null ? undefined : numbersOf(d), keepdim(s, 2))
      : tensorOf(s.input).norm(p, dimsOf(d), keepdim(s, 2), options(s));
  },
  "linalg.vector_norm": (s) =>
    tensorOf(s.input).vectorNorm(
      numberOf(argument(s, 0, "ord"), 2),
      dims(s, 1),
      { keepdim: keepdim(s, 2), ...options(s) },
    ),
  dist: (s) => tensorOf(s.input).dist(tensorOf(s.args[0]), numberOf(argument(s, 1, "p"), 2)),
  renorm: (s) => {
    const [p, dim, maxnorm] = numbersOf(s.args);
    return tensorOf(s.input).renorm(p, dim, maxnorm);
  },
  cov: (s) =>
    tensorOf(s.input).cov({
      correction: numberOf(s.kwargs.correction, 1),
      fweights: maybe(s.kwargs.fweights),
      aweights: maybe(s.kwargs.aweights),
    }),
  corrcoef: (s) => tensorOf(s.input).corrcoef(),
  cumsum: (s) => tensorOf(s.input).cumsum(oneDim(s) as number, options(s)),
  cumprod: (s) => tensorOf(s.input).cumprod(oneDim(s) as number, options(s)),
  logcumsumexp: (s) => tensorOf(s.input).logcumsumexp(oneDim(s) as number),
  cummax: (s) => {
    const { values, indices } = tensorOf(s.input).cummax(oneDim(s) as number);
    return [values, indices];
  },
  cummin: (s) => {
    const { values, indices } = tensorOf(s.input).cummin(oneDim(s) as number);
    return [values, indices];
  },
  diff: (s) =>
    tensorOf(s.input).diff(numberOf(argument(s, 0, "n"), 1), numberOf(argument(s, 1, "dim"), -1), {
      prepend: maybe(argument(s, 2, "prepend")),
      append: maybe(argument(s, 3, "append")),
    }),
  gradient: (s) =>
    tensorOf(s.input).gradient({
      spacing: (s.kwargs.spacing ?? undefined) as number | number[] | Tensor[] | undefined,
      dim: dimsOf(s.kwargs.dim),
      edgeOrder: numberOf(s.kwargs.edge_order, 1) as 1 | 2,
    }),
  trapz: trapezoid,
  trapezoid,
  cumulative_trapezoid: (s) =>
    tensorOf(s.input).cumulativeTrapezoid({ x: maybe(argument(s, 0, "x")), ...spacing(s) }),
  softmax: (s) => tensorOf(s.input).softmax(oneDim(s) as number, options(s)),
  log_softmax: (s) => tensorOf(s.input).logSoftmax(oneDim(s) as number, options(s)),
  "nn.functional.softmin": (s) => F.softmin(tensorOf(s.input), oneDim(s) as number, options(s)),
  "nn.functional.normalize": (s) =>
    F.normalize(tensorOf(s.input), s.kwargs as Record<string, number>),
  "nn.functional.cosine_similarity": (s) =>
    F.cosineSimilarity(tensorOf(s.input), tensorOf(s.args[0]), s.kwargs as Record<string, number>),
  "nn.functional.pairwise_distance": (s) =>
    F.pairwiseDistance(tensorOf(s.input), tensorOf(s.args[0]), s.kwargs as Record<string, number>),
  "nn.functional.pdist": (s) => F.pdist(tensorOf(s.input), numberOf(s.kwargs.p, 2)),
  cdist: (s) => cdist(tensorOf(s.input), tensorOf(s.args[0]), numberOf(argument(s, 1, "p"), 2)),
  _segment_reduce: (s) =>
    segmentReduce(tensorOf(s.input), s.args[0] as "sum" | "mean" | "max" | "min" | "prod", {
      lengths: maybe(s.kwargs.lengths),
      offsets: maybe(s.kwargs.offsets),
      axis: numberOf(s.kwargs.axis, 0),
      initial: s.kwargs.initial == null ? undefined : numberOf(s.kwargs.initial),
    }),
  "masked.sum": maskedReduction("sum"),
  "masked.prod": maskedReduction("prod"),
  "masked.amax": maskedReduction("amax"),
  "masked.amin": maskedReduction("amin"),
  "masked.mean": maskedReduction("mean"),
  "masked.logsumexp": maskedReduction("logsumexp"),
  "masked.argmax": (s) => masked.argmax(tensorOf(s.input), oneDim(s), masks(s)),
  "masked.argmin": (s) => masked.argmin(tensorOf(s.input), oneDim(s), masks(s)),
  "masked.median": (s) => masked.median(tensorOf(s.input), oneDim(s) as number, masks(s)),
  "masked.norm": (s) =>
    masked.norm(tensorOf(s.input), numberOf(argument(s, 0, "ord"), 2), dims(s, 1), masks(s)),
  "masked.var": maskedVariance("var"),
  "masked.std": maskedVariance("std"),
  "masked.cumsum": maskedAlong("cumsum"),
  "masked.cumprod": maskedAlong("cumprod"),
  "masked.softmax": maskedAlong("softmax"),
  "masked.log_softmax": maskedAlong("logSoftmax"),
  "masked.softmin": maskedAlong("softmin"),
  "masked.normalize": (s) =>
    masked.normalize(
      tensorOf(s.input),
      numberOf(argument(s, 0, "ord"), 2),
      oneDim(s, 1) as number,
      masks(s),
    ),
  "masked.logaddexp": (s) =>
    masked.logaddexp(tensorOf(s.input), tensorOf(s.args[0]), {
      inputMask: maybe(s.kwargs.input_mask),
      otherMask: maybe(s.kwargs.other_mask),
    }),
};

/** Names left out, and why. */
export const reductionsReasons: Record<string, string> = {
  _softmax_backward_data: "internal to PyTorch's autograd; softmax brings its own gradient",
};
