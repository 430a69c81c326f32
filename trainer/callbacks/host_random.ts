/** Random numbers on the host that are a pure function of what they are for, so that a resumed run draws the same ones. */

/**
 * A stream of uniform numbers between 0 and 1, both left out.
 *
 * @param words What the numbers are for, such as seed, epoch, step and rank
 */
export function hostRandom(...words: readonly number[]): () => number {
  // Each word goes through the finaliser of MurmurHash3, so that neighbours are far apart.
  let state = 0x9e3779b9;
  for (const word of words) {
    for (const part of [word % 2 ** 32, Math.floor(word / 2 ** 32)]) {
      state = mix((state ^ part) >>> 0) + 0x6d2b79f5;
    }
  }
  return () => {
    state = (state + 0x9e3779b9) >>> 0;
    return (mix(state) + 0.5) / 2 ** 32;
  };
}

function mix(x: number): number {
  let h = x >>> 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b) >>> 0;
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35) >>> 0;
  return (h ^ (h >>> 16)) >>> 0;
}

const normal = (uniform: () => number) =>
  Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());

/** A number of the gamma distribution with shape `a` and scale 1 (Marsaglia and Tsang, ACM TOMS 26, 2000). */
function gamma(a: number, uniform: () => number): number {
  if (a < 1) return gamma(a + 1, uniform) * uniform() ** (1 / a);
  const d = a - 1 / 3, c = 1 / Math.sqrt(9 * d);
  for (;;) {
    const x = normal(uniform), v = (1 + c * x) ** 3;
    if (v > 0 && Math.log(uniform()) < x * x / 2 + d - d * v + d * Math.log(v)) return d * v;
  }
}

/** A number of the beta distribution with both parameters `alpha`. */
export function symmetricBeta(alpha: number, uniform: () => number): number {
  const a = gamma(alpha, uniform), b = gamma(alpha, uniform);
  // Both can vanish when alpha is tiny; then the distribution is a coin.
  return a + b > 0 ? a / (a + b) : uniform() < 0.5 ? 0 : 1;
}

/** A permutation of `0..n-1`. */
export function permutation(n: number, uniform: () => number): BigInt64Array<ArrayBuffer> {
  const out = BigInt64Array.from({ length: n }, (_, i) => BigInt(i));
  for (let i = n - 1; i > 0; i--) {
    const j = Math.floor(uniform() * (i + 1));
    [out[i], out[j]] = [out[j], out[i]];
  }
  return out;
}
