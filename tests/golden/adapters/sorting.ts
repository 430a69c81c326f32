/** Sorting, searching and counting. */
import { bucketize, histogram, histogramdd, searchsorted, type Tensor } from "@pta/accelerated";
import {
  type Adapter,
  type Adapters,
  argument,
  dimsOf,
  numberOf,
  numericOf,
  type Output,
  type Sample,
  tensorOf,
  type Value,
} from "../adapter.ts";

const maybe = (v: Value | undefined): Tensor | undefined => v == null ? undefined : tensorOf(v);
const dim = (s: Sample, index: number) => numberOf(argument(s, index, "dim"), -1);

/** Values and places, in PyTorch's order. */
const pair = (
  { values, indices }: { values: Tensor; indices: Tensor },
): Tensor[] => [values, indices];

/** What PyTorch returns of distinct elements depends on what was asked for. */
const distinct = (name: "unique" | "uniqueConsecutive"): Adapter => (s) => {
  const all = tensorOf(s.input)[name]({ dim: dimsOf(s.kwargs.dim) as number | undefined });
  const asked: Output[] = [all.output];
  if (s.kwargs.return_inverse === true) asked.push(all.inverseIndices);
  if (s.kwargs.return_counts === true) asked.push(all.counts);
  return asked.length === 1 ? asked[0] : asked;
};

const quantile = (name: "quantile" | "nanquantile"): Adapter => (s) => {
  const d = argument(s, 1, "dim");
  return tensorOf(s.input)[name](numericOf(s.args[0]), d == null ? undefined : numberOf(d), {
    keepdim: s.kwargs.keepdim === true,
    interpolation: s.kwargs.interpolation as "linear" | undefined,
  });
};

const searching = (s: Sample) => ({
  right: s.kwargs.right as boolean | undefined,
  outInt32: s.kwargs.out_int32 === true,
});

const binning = (s: Sample) => ({
  weight: maybe(s.kwargs.weight),
  density: s.kwargs.density === true,
  range: s.kwargs.range == null ? undefined : s.kwargs.range as number[],
});

/** Adapters by PyTorch's name. */
export const sorting: Adapters = {
  sort: (s) => pair(tensorOf(s.input).sort(dim(s, 0), argument(s, 1, "descending") === true)),
  argsort: (s) => tensorOf(s.input).argsort(dim(s, 0), argument(s, 1, "descending") === true),
  msort: (s) => tensorOf(s.input).msort(),
  topk: (s) =>
    pair(
      tensorOf(s.input).topk(
        numberOf(argument(s, 0, "k")),
        dim(s, 1),
        argument(s, 2, "largest") !== false,
      ),
    ),
  kthvalue: (s) =>
    pair(
      tensorOf(s.input).kthvalue(
        numberOf(argument(s, 0, "k")),
        dim(s, 1),
        argument(s, 2, "keepdim") === true,
      ),
    ),
  mode: (s) => pair(tensorOf(s.input).mode(dim(s, 0), argument(s, 1, "keepdim") === true)),
  quantile: quantile("quantile"),
  nanquantile: quantile("nanquantile"),
  unique: distinct("unique"),
  unique_consecutive: distinct("uniqueConsecutive"),
  nonzero: (s) =>
    s.kwargs.as_tuple === true
      ? tensorOf(s.input).nonzero({ asTuple: true })
      : tensorOf(s.input).nonzero(),
  nonzero_static: (s) =>
    tensorOf(s.input).nonzeroStatic(numberOf(s.kwargs.size), numberOf(s.kwargs.fill_value, -1)),
  argwhere: (s) => tensorOf(s.input).argwhere(),
  bincount: (s) =>
    tensorOf(s.input).bincount({
      weights: maybe(s.kwargs.weights),
      minlength: numberOf(s.kwargs.minlength, 0),
    }),
  histc: (s) =>
    tensorOf(s.input).histc({
      bins: numberOf(s.kwargs.bins, 100),
      min: numberOf(s.kwargs.min, 0),
      max: numberOf(s.kwargs.max, 0),
    }),
  histogram: (s) => {
    const { hist, binEdges } = histogram(tensorOf(s.input), numericOf(s.args[0]), binning(s));
    return [hist, binEdges];
  },
  histogramdd: (s) => {
    const bins = s.args[0] as number[] | Tensor[];
    const { hist, binEdges } = histogramdd(tensorOf(s.input), bins, binning(s));
    return [hist, binEdges];
  },
  bucketize: (s) => bucketize(numericOf(s.input), tensorOf(s.args[0]), searching(s)),
  searchsorted: (s) =>
    searchsorted(tensorOf(s.input), numericOf(s.args[0]), {
      ...searching(s),
      side: s.kwargs.side as "left" | "right" | undefined,
      sorter: maybe(s.kwargs.sorter),
    }),
};

/** Names left out, and why. */
export const sortingReasons: Record<string, string> = {};
