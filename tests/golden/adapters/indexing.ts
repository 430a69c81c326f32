import { type Index, type ScatterReduction, Tensor } from "@pta/accelerated";
import {
  type Adapter,
  type Adapters,
  argument,
  numberOf,
  numericOf,
  type Sample,
  type Slice,
  tensorOf,
  type Value,
} from "../adapter.ts";

const x = (s: Sample): Tensor => tensorOf(s.input);
const tensor = (s: Sample, i: number, name: string): Tensor => tensorOf(argument(s, i, name));
const number = (s: Sample, i: number, name: string, fallback?: number): number =>
  numberOf(argument(s, i, name), fallback);
const flag = (s: Sample, i: number, name: string, fallback: boolean): boolean =>
  (argument(s, i, name) ?? fallback) === true;

/** What stands between Python's brackets: a list of numbers is one index, any other list is a tuple. */
function indices(value: Value): Index[] {
  const tuple = Array.isArray(value) && value.some((v) => typeof v !== "number");
  return tuple ? (value as readonly Value[]).map(one) : [one(value)];
}

function one(value: Value): Index {
  if (value === null || typeof value === "number" || value instanceof Tensor) return value;
  if (Array.isArray(value)) return value.map((v) => numberOf(v));
  if (typeof value === "object") return value as Slice;
  return "...";
}

const reduced: Adapter = (s) =>
  x(s).scatterReduce(
    number(s, 0, "dim"),
    tensor(s, 1, "index"),
    tensor(s, 2, "src"),
    argument(s, 3, "reduce") as ScatterReduction,
    { includeSelf: flag(s, 4, "include_self", true) },
  );

/** Adapters by PyTorch's name. */
export const indexing: Adapters = {
  gather: (s) => x(s).gather(number(s, 0, "dim"), tensor(s, 1, "index")),
  take: (s) => x(s).take(tensor(s, 0, "index")),
  take_along_dim: (s) => {
    const dim = argument(s, 1, "dim");
    return x(s).takeAlongDim(tensor(s, 0, "indices"), dim == null ? undefined : numberOf(dim));
  },
  put: (s) =>
    x(s).put(tensor(s, 0, "index"), tensor(s, 1, "source"), flag(s, 2, "accumulate", false)),
  index_fill: (s) =>
    x(s).indexFill(number(s, 0, "dim"), tensor(s, 1, "index"), numericOf(argument(s, 2, "value"))),
  index_copy: (s) =>
    x(s).indexCopy(number(s, 0, "dim"), tensor(s, 1, "index"), tensor(s, 2, "source")),
  index_select: (s) => x(s).indexSelect(number(s, 0, "dim"), tensor(s, 1, "index")),
  index_add: (s) =>
    x(s).indexAdd(number(s, 0, "dim"), tensor(s, 1, "index"), tensor(s, 2, "source"), {
      alpha: number(s, -1, "alpha", 1),
    }),
  index_reduce: (s) =>
    x(s).indexReduce(
      number(s, 0, "dim"),
      tensor(s, 1, "index"),
      tensor(s, 2, "source"),
      argument(s, 3, "reduce") as "mean",
      { includeSelf: flag(s, -1, "include_self", true) },
    ),
  index_put: (s) =>
    x(s).indexPut((s.args[0] as readonly Value[]).map(one), tensor(s, 1, "values"), {
      accumulate: flag(s, 2, "accumulate", false),
    }),
  __getitem__: (s) => x(s).index(...indices(s.args[0])),
  masked_fill: (s) => x(s).maskedFill(tensor(s, 0, "mask"), numericOf(argument(s, 1, "value"))),
  masked_scatter: (s) => x(s).maskedScatter(tensor(s, 0, "mask"), tensor(s, 1, "source")),
  masked_select: (s) => x(s).maskedSelect(tensor(s, 0, "mask")),
  scatter: (s) =>
    x(s).scatter(number(s, 0, "dim"), tensor(s, 1, "index"), numericOf(argument(s, 2, "src")), {
      reduce: (argument(s, -1, "reduce") ?? undefined) as "add" | undefined,
    }),
  scatter_add: (s) =>
    x(s).scatterAdd(number(s, 0, "dim"), tensor(s, 1, "index"), tensor(s, 2, "src")),
  scatter_reduce: reduced,
  select_scatter: (s) =>
    x(s).selectScatter(tensor(s, 0, "src"), number(s, 1, "dim"), number(s, 2, "index")),
  slice_scatter: (s) =>
    x(s).sliceScatter(
      tensor(s, 0, "src"),
      number(s, 1, "dim", 0),
      number(s, 2, "start", 0),
      number(s, 3, "end", Infinity),
      number(s, 4, "step", 1),
    ),
};

/** Names left out, and why. */
export const indexingReasons: Record<string, string> = {};
