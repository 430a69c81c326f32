/** Philox 4x32-10 in four lanes (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011); see `core/rng.ts`. */
import type { Code } from "./assembler.ts";
import { i32x4, i64x2, v128 } from "./instructions.ts";
import type { Kit } from "./kit.ts";

/** High and low words of the four products `a * b`, unsigned. */
function products(k: Kit, a: Code, b: Code): { high: Code; low: Code } {
  const first = k.vec(i64x2.extmulLowI32x4U(a, b)), last = k.vec(i64x2.extmulHighI32x4U(a, b));
  return {
    high: k.vec(i32x4.shuffle(first, last, [1, 3, 5, 7])),
    low: k.vec(i32x4.shuffle(first, last, [0, 2, 4, 6])),
  };
}

/**
 * First word of Philox 4x32-10, for counter words `c` and key words `low`, `high`.
 *
 * @param c Four vectors of 32-bit words
 */
export function philox(k: Kit, c: readonly Code[], low: Code, high: Code): Code {
  let [c0, c1, c2, c3] = c, key0 = low, key1 = high;
  for (let round = 0; round < 10; round++) {
    const p0 = products(k, k.i(0xd2511f53), c0), p1 = products(k, k.i(0xcd9e8d57), c2);
    c0 = k.vec(v128.xor(v128.xor(p1.high, c1), key0));
    c1 = p1.low;
    c2 = k.vec(v128.xor(v128.xor(p0.high, c3), key1));
    c3 = p0.low;
    if (round === 9) break;
    key0 = k.vec(i32x4.add(key0, k.i(0x9e3779b9)));
    key1 = k.vec(i32x4.add(key1, k.i(0xbb67ae85)));
  }
  return c0;
}
