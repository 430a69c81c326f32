/** Philox 4x32-10 in four lanes (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011); see `core/rng.ts`. */
import type { Code } from "./assembler.ts";
import { i32x4, i64x2, v128 } from "./instructions.ts";
import type { Kit } from "./kit.ts";
import type { RowContext } from "./table.ts";

const M0 = 0xd2511f53, M1 = 0xcd9e8d57;

/** High and low words of the four products `a * b`, unsigned. */
function products(k: Kit, a: Code, b: Code): { high: Code; low: Code } {
  const first = k.vec(i64x2.extmulLowI32x4U(a, b)), last = k.vec(i64x2.extmulHighI32x4U(a, b));
  return {
    high: k.vec(i32x4.shuffle(first, last, [1, 3, 5, 7])),
    low: k.vec(i32x4.shuffle(first, last, [0, 2, 4, 6])),
  };
}

/**
 * First word of Philox 4x32-10 for counter words (counter, offset, 0, 0) and key words `low`, `high`. The key of each round, and what
 * follows from the offset alone, are computed outside the loops.
 *
 * @param hoist As in `RowContext`; the operands are numbered like those of `randomBits`
 */
export function philox(
  k: Kit,
  hoist: RowContext["hoist"],
  counter: Code,
  low: Code,
  high: Code,
  offset: Code,
): Code {
  const key = (word: 1 | 2, round: number): Code => {
    const start = word === 1 ? low : high;
    if (round === 0) return start;
    const step = Math.imul(word === 1 ? 0x9e3779b9 : 0xbb67ae85, round);
    return hoist([word], `key ${word} ${round}`, () => i32x4.add(start, k.i(step)));
  };
  const xor3 = (a: Code, b: Code, c: Code): Code => k.vec(v128.xor(a, v128.xor(b, c)));
  // Round 0: two counter words are 0, so word 0 becomes offset ^ key.
  const first = products(k, k.i(M0), counter);
  const mixed = hoist([1, 3], "round 0", () => v128.xor(offset, low));
  const word2 = k.vec(v128.xor(first.high, key(2, 0)));
  // Round 1: the product of that word is uniform too, and word 1 is 0.
  const high1 = hoist([1, 3], "high 1", () => products(k, k.i(M0), mixed).high);
  const low1 = hoist([1, 3], "low 1", () => products(k, k.i(M0), mixed).low);
  const second = products(k, k.i(M1), word2);
  let c0 = k.vec(v128.xor(second.high, key(1, 1)));
  let c1 = second.low;
  let c2 = xor3(high1, first.low, key(2, 1));
  let c3 = low1;
  for (let round = 2; round < 9; round++) {
    const p0 = products(k, k.i(M0), c0), p1 = products(k, k.i(M1), c2);
    c0 = xor3(p1.high, c1, key(1, round));
    c1 = p1.low;
    c2 = xor3(p0.high, c3, key(2, round));
    c3 = p0.low;
  }
  return v128.xor(v128.xor(products(k, k.i(M1), c2).high, c1), key(1, 9));
}
