/** How values scattered to the same place become one, with gradients. */
import { isFloat } from "../dtype.ts";
import { reduceStart } from "../meaning.ts";
import type { Shape } from "../shape.ts";
import { filled, ramp } from "./ramp.ts";
import { routine } from "./routine.ts";
import type { Tensor } from "./tensor.ts";

/** What becomes of several values at one place. */
export type ScatterReduction = "sum" | "prod" | "mean" | "amax" | "amin";

/** A 1-D index along `dim` as an index of `shape`. */
export function spread(index: Tensor, shape: Shape, dim: number): Tensor {
  return index.reshape(shape.map((s, d) => d === dim ? s : 1)).expand(shape);
}

/** For each place of `shape` the flat place in the index that was scattered to it last, or -1; int32. */
export function lastPlaces(shape: Shape, dim: number, index: Tensor): Tensor {
  const order = ramp(index.numel, index.device).reshape(index.shape);
  const none = filled(-1, shape, index.device);
  return routine("scatterReduce", { op: "max", dim }, [none, index, order], shape, "int32");
}

/** One call; `index` has the rank of `base` and the shape of `values`, which share a dtype. */
interface Scattering {
  readonly base: Tensor;
  readonly dim: number;
  readonly index: Tensor;
  readonly values: Tensor;
  readonly includeSelf: boolean;
}

/** How many values go to each place; int32. */
function counts({ base, dim, index }: Scattering): Tensor {
  const one = filled(1, index.shape, base.device);
  return filled(0, base.shape, base.device).scatterAdd(dim, index, one);
}

/** The base with `neutral` where values arrive, unless its own elements count too. */
function startOf(s: Scattering, neutral: number): Tensor {
  return s.includeSelf ? s.base : counts(s).gt(0).where(neutral, s.base);
}

function sum(s: Scattering): Tensor {
  return startOf(s, 0).scatterAdd(s.dim, s.index, s.values);
}

function mean(s: Scattering): Tensor {
  const count = s.includeSelf ? counts(s).add(1) : counts(s).maximum(1);
  const total = sum(s);
  return isFloat(total.dtype)
    ? total.div(count.to(total.dtype))
    : total.floorDivide(count.to(total.dtype));
}

/** The product; a factor's gradient is that of the others, found from the number of zeros and the product of the rest. */
function prod(s: Scattering): Tensor {
  const { dim, index, values } = s, start = startOf(s, 1), { dtype } = start;
  const y = routine(
    "scatterReduce",
    { op: "prod", dim },
    [start, index, values],
    start.shape,
    dtype,
  );
  return y.withGradient([start, values], (g) => {
    const nonzero = (x: Tensor) => x.eq(0).where(1, x);
    const zeros = start.eq(0).to(dtype).scatterAdd(dim, index, values.eq(0).to(dtype));
    const rest = prod({ ...s, base: nonzero(start), values: nonzero(values), includeSelf: true });
    const others = (x: Tensor, count: Tensor, product: Tensor) =>
      count.sub(x.eq(0).to(dtype)).eq(0).where(product.div(nonzero(x)), 0);
    return [
      g.mul(others(start, zeros, rest)),
      g.gather(dim, index).mul(others(values, zeros.gather(dim, index), rest.gather(dim, index))),
    ];
  });
}

function extreme(op: "max" | "min"): (s: Scattering) => Tensor {
  return (s) => {
    const { dim, index, values, base: { dtype } } = s;
    const start = startOf(s, reduceStart(op, dtype === "int64" ? "int32" : dtype));
    const y = routine("scatterReduce", { op, dim }, [start, index, values], start.shape, dtype);
    return y.withGradient([start, values], (g, out) => {
      const mine = start.eq(out), theirs = values.eq(out.gather(dim, index));
      const share = g.div(mine.to(dtype).scatterAdd(dim, index, theirs.to(dtype)));
      return [mine.where(share, 0), theirs.where(share.gather(dim, index), 0)];
    });
  };
}

const reductions: Readonly<Record<ScatterReduction, (s: Scattering) => Tensor>> = {
  sum,
  mean,
  prod,
  amax: extreme("max"),
  amin: extreme("min"),
};

/** A copy of `base` with `values` joined in. */
export function reduceInto(
  base: Tensor,
  dim: number,
  index: Tensor,
  values: Tensor,
  reduce: ScatterReduction,
  includeSelf: boolean,
): Tensor {
  if (!(reduce in reductions)) {
    throw new RangeError(
      `Cannot reduce by ${String(reduce)}: it must be one of ${Object.keys(reductions).join(", ")}`,
    );
  }
  return reductions[reduce]({ base, dim, index, values, includeSelf });
}

/** A copy of `base` with slice `last[i]` of `values` at place i of dimension d, where that is not negative. */
export function placed(base: Tensor, d: number, last: Tensor, values: Tensor): Tensor {
  const found = last.ge(0).reshape(base.shape.map((s, i) => i === d ? s : 1));
  return found.where(values.indexSelect(d, last.maximum(0)), base);
}
