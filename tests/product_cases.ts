/** Products beside direct formulas. */
import { type Case, last, row, sum, swap, usual } from "./case.ts";
import * as plain from "./plain.ts";

export const productCases: readonly Case[] = [
  row(
    "matmul",
    (a, b) => a.matmul(b.mT),
    (a, b) => plain.matmul(a, swap(b, last(b) - 1, last(b))),
    {
      rank: 2,
      domains: [usual, usual],
      empty: false,
    },
  ),
  row("mm", (a, b) => a.mT.mm(b), (a, b) => plain.matmul(swap(a, 0, 1), b), {
    rank: 2,
    domains: [usual, usual],
    empty: false,
  }),
  row(
    "bmm",
    (a, b) => a.unsqueeze(0).bmm(b.mT.unsqueeze(0)),
    (a, b) =>
      plain.matmul(
        plain.reshape(a, [1, ...a.shape]),
        plain.reshape(swap(b, 0, 1), [1, b.shape[1], b.shape[0]]),
      ),
    {
      rank: 2,
      domains: [usual, usual],
      empty: false,
    },
  ),
  row(
    "dot",
    (a, b) => a.flatten().dot(b.flatten()),
    (a, b) => ({ shape: [], data: [sum(a.data.map((v, i) => v * b.data[i]))] }),
    {
      domains: [usual, usual],
      empty: false,
    },
  ),
  row(
    "outer",
    (a, b) => a.flatten().outer(b.flatten()),
    (a, b) => plain.build([a.data.length, b.data.length], ([i, j]) => a.data[i] * b.data[j]),
    { domains: [usual, usual], empty: false },
  ),
];
