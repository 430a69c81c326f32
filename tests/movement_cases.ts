/** Movement and indexing beside direct formulas. */
import { arange, cat, stack, type Tensor, tensor } from "@pta/core";
import { type Case, last, row, swap, usual } from "./case.ts";
import * as plain from "./plain.ts";
import type { Plain } from "./plain.ts";

/** An index of the shape of `x` whose entries repeat and run through the last dimension. */
function wheel(x: Tensor): Tensor {
  const n = x.shape[x.ndim - 1];
  const ramp = arange(0, x.numel, 1, { dtype: "int32", device: x.device }).reshape(x.shape);
  return ramp.mul(2).add(1).remainder(Math.max(1, n - 1)).to("int64");
}
function plainWheel(x: Plain): Plain {
  const n = x.shape[last(x)];
  return { shape: x.shape, data: x.data.map((_, i) => (2 * i + 1) % Math.max(1, n - 1)) };
}

export const movementCases: readonly Case[] = [
  row("reshape", (x) => x.reshape(-1, 1), (x) => plain.reshape(x, [x.data.length, 1]), {
    empty: false,
  }),
  row(
    "view",
    (x) => x.contiguous().view([...x.shape, 1]),
    (x) => plain.reshape(x, [...x.shape, 1]),
    {
      covers: ["view", "contiguous"],
    },
  ),
  row("flatten", (x) => x.flatten(), (x) => plain.reshape(x, [x.data.length])),
  row("unflatten", (x) => x.unflatten(0, [1, -1]), (x) => plain.reshape(x, [1, ...x.shape]), {
    rank: 1,
    empty: false,
  }),
  row(
    "permute",
    (x) => x.permute(x.shape.map((_, d) => x.ndim - 1 - d)),
    (x) => plain.permute(x, x.shape.map((_, d) => last(x) - d)),
  ),
  row("transpose", (x) => x.transpose(0, -1), (x) => x.shape.length < 2 ? x : swap(x, 0, last(x)), {
    rank: 1,
  }),
  row("mT", (x) => x.mT, (x) => swap(x, last(x) - 1, last(x)), { rank: 2 }),
  row("t", (x) => x.reshape(-1, 1).t(), (x) => plain.reshape(x, [1, x.data.length]), {
    empty: false,
  }),
  row(
    "expand",
    (x) => x.unsqueeze(0).expand([3, ...x.shape]),
    (x) => plain.expand(x, [3, ...x.shape]),
  ),
  row(
    "broadcastTo",
    (x) => x.broadcastTo([2, ...x.shape]),
    (x) => plain.expand(x, [2, ...x.shape]),
  ),
  row(
    "squeeze",
    (x) => x.unsqueeze(-1).squeeze(),
    (x) => plain.reshape(x, x.shape.filter((s) => s !== 1)),
  ),
  row("unsqueeze", (x) => x.unsqueeze(-1), (x) => plain.reshape(x, [...x.shape, 1])),
  row(
    "narrow",
    (x) => x.narrow(-1, 1, x.shape[x.ndim - 1] - 1),
    (x) => plain.slice(x, last(x), 1, x.shape[last(x)]),
    {
      rank: 1,
      empty: false,
    },
  ),
  row(
    "slice",
    (x) => x.slice(-1, 0, -1, 2),
    (x) => plain.slice(x, last(x), 0, x.shape[last(x)] - 1, 2),
    {
      rank: 1,
      empty: false,
    },
  ),
  row(
    "select",
    (x) => x.select(0, -1),
    (x) => plain.reshape(plain.slice(x, 0, x.shape[0] - 1, x.shape[0]), x.shape.slice(1)),
    {
      rank: 1,
      empty: false,
    },
  ),
  row("chunk", (x) => cat(x.chunk(2, 0).reverse(), 0), (x) => {
    const half = Math.ceil(x.shape[0] / 2);
    return plain.cat([plain.slice(x, 0, half, x.shape[0]), plain.slice(x, 0, 0, half)], 0);
  }, { rank: 1, empty: false }),
  row("split", (x) => cat(x.split(2, -1).reverse(), -1), (x) => {
    const d = last(x), n = x.shape[d], parts: Plain[] = [];
    for (let i = 0; i < n; i += 2) parts.unshift(plain.slice(x, d, i, Math.min(i + 2, n)));
    return plain.cat(parts, d);
  }, { rank: 1, empty: false }),
  row(
    "unbind",
    (x) => stack(x.unbind(0), -1),
    (x) => plain.permute(x, [...x.shape.slice(1).map((_, d) => d + 1), 0]),
    {
      rank: 1,
      empty: false,
    },
  ),
  row("flip", (x) => x.flip(0), (x) => plain.flip(x, [0]), { rank: 1 }),
  row(
    "pad",
    (x) => x.pad([2, 1], 0.5),
    (x) => plain.pad(x, x.shape.map((_, d) => d === last(x) ? [2, 1] : [0, 0]), 0.5),
    {
      rank: 1,
      empty: false,
    },
  ),
  row(
    "pad, cutting",
    (x) => x.pad([-1, 2]),
    (x) =>
      plain.pad(
        plain.slice(x, last(x), 1, x.shape[last(x)]),
        x.shape.map((_, d) => d === last(x) ? [0, 2] : [0, 0]),
        0,
      ),
    {
      rank: 1,
      empty: false,
      covers: [],
    },
  ),
  row("repeat", (x) => x.repeat([2, ...x.shape.map(() => 2)]), (x) => {
    let out = plain.reshape(x, [1, ...x.shape]);
    for (let d = 0; d < out.shape.length; d++) out = plain.cat([out, out], d);
    return out;
  }, { empty: false }),
  row("clone", (x) => x.clone(), (x) => x),
  row("cat", (a, b) => cat([a, b, a], 0), (a, b) => plain.cat([a, b, a], 0), {
    rank: 1,
    domains: [usual, usual],
    covers: [],
    empty: false,
  }),
  row(
    "stack",
    (a, b) => stack([a, b], -1),
    (a, b) => plain.cat([a, b].map((x) => plain.reshape(x, [...x.shape, 1])), a.shape.length),
    {
      domains: [usual, usual],
      covers: [],
      empty: false,
    },
  ),

  row(
    "indexSelect",
    (x) => x.indexSelect(0, tensor(Int32Array.of(1, 0, 1), { device: x.device })),
    (x) => {
      const rows = [1, 0, 1].map((i) => plain.slice(x, 0, i, i + 1));
      return plain.cat(rows, 0);
    },
    { rank: 1, empty: false },
  ),
  row("gather", (x) => x.gather(-1, wheel(x)), (x) => plain.gather(x, last(x), plainWheel(x)), {
    rank: 1,
    empty: false,
  }),
  row(
    "scatterAdd",
    (a, b) => a.scatterAdd(-1, wheel(a), b),
    (a, b) => plain.scatterAdd(a, last(a), plainWheel(a), b),
    {
      rank: 1,
      domains: [usual, usual],
      empty: false,
    },
  ),
];
