/**
 * Counter-based random numbers: Philox 4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011). A number is a pure
 * function of (seed, offset, element), so every backend draws the same ones and order of evaluation does not matter.
 */

/** High 32 bits of the product of two unsigned 32-bit numbers, without BigInt. */
function mulHigh(a: number, b: number): number {
  const al = a & 0xffff, ah = a >>> 16, bl = b & 0xffff, bh = b >>> 16;
  const ll = al * bl, lh = al * bh, hl = ah * bl;
  const middle = (ll >>> 16) + (lh & 0xffff) + (hl & 0xffff);
  return (ah * bh + (lh >>> 16) + (hl >>> 16) + (middle >>> 16)) >>> 0;
}

/**
 * Philox 4x32 with 10 rounds.
 * @param counter Four 32-bit words
 * @param key Two 32-bit words
 * @returns Four random unsigned 32-bit words
 */
export function philox4x32(
  counter: readonly [number, number, number, number],
  key: readonly [number, number],
): [number, number, number, number] {
  let [c0, c1, c2, c3] = counter.map((c) => c >>> 0);
  let [k0, k1] = key.map((k) => k >>> 0);
  for (let round = 0; round < 10; round++) {
    const h0 = mulHigh(0xd2511f53, c0), l0 = Math.imul(0xd2511f53, c0) >>> 0;
    const h1 = mulHigh(0xcd9e8d57, c2), l1 = Math.imul(0xcd9e8d57, c2) >>> 0;
    c0 = (h1 ^ c1 ^ k0) >>> 0;
    c1 = l1;
    c2 = (h0 ^ c3 ^ k1) >>> 0;
    c3 = l0;
    k0 = (k0 + 0x9e3779b9) >>> 0;
    k1 = (k1 + 0xbb67ae85) >>> 0;
  }
  return [c0, c1, c2, c3];
}

/** A seed as the two key words of Philox. */
export function seedWords(seed: number): [number, number] {
  return [seed % 2 ** 32 >>> 0, Math.floor(seed / 2 ** 32) >>> 0];
}

/**
 * A permutation of `0..n-1` that depends on its arguments alone: Fisher-Yates with unbiased draws.
 *
 * @param n Length
 * @param seed Seed, a non-negative integer below 2^53
 * @param stream Distinguishes permutations of one seed, such as the epoch
 */
export function randomPermutation(n: number, seed: number, stream = 0): Int32Array {
  const out = new Int32Array(n);
  for (let i = 0; i < n; i++) out[i] = i;
  const key = seedWords(seed);
  // Counter word 3 keeps these draws apart from those of tensors, which leave it 0.
  let block = 0, words: readonly number[] = [], at = 4;
  const draw = (): number => {
    if (at === 4) {
      words = philox4x32([block++, stream >>> 0, Math.floor(stream / 2 ** 32), 1], key);
      at = 0;
    }
    return words[at++];
  };
  for (let i = n - 1; i > 0; i--) {
    const range = i + 1, limit = 2 ** 32 - (2 ** 32 % range);
    let r = draw();
    while (r >= limit) r = draw();
    const j = r % range, t = out[i];
    out[i] = out[j];
    out[j] = t;
  }
  return out;
}

/** A stream of random numbers: a seed and a count of the draws made so far. */
export class Generator {
  #seed: number;
  #offset = 0;

  /**
   * Starts a stream.
   * @param seed A non-negative integer below 2^53
   * @throws {RangeError} When it is not
   */
  constructor(seed = 0) {
    this.#seed = checkSeed(seed);
  }

  /** The seed. */
  get seed(): number {
    return this.#seed;
  }

  /** Starts over with another seed. */
  manualSeed(seed: number): this {
    this.#seed = checkSeed(seed);
    this.#offset = 0;
    return this;
  }

  /** What restores the stream to where it is now. */
  state(): { seed: number; offset: number } {
    return { seed: this.#seed, offset: this.#offset };
  }

  /** Goes to a state that {@linkcode Generator.state} returned. */
  setState(state: { seed: number; offset: number }): this {
    this.#seed = checkSeed(state.seed);
    this.#offset = state.offset;
    return this;
  }

  /** Number of the next draw; each draw covers a whole tensor. */
  next(): number {
    return this.#offset++;
  }

  /** A random permutation of `0..n-1`, the next draw of this stream. */
  permutation(n: number): Int32Array {
    return randomPermutation(n, this.#seed, 2 ** 40 + this.next());
  }
}

function checkSeed(seed: number): number {
  if (!Number.isSafeInteger(seed) || seed < 0) {
    throw new RangeError(`Cannot seed with ${seed}: a seed is an integer from 0 to 2^53 - 1`);
  }
  return seed;
}

/** The generator that functions use when none is given. */
export const defaultGenerator: Generator = new Generator(0);

/** Seeds the default generator. */
export function manualSeed(seed: number): void {
  defaultGenerator.manualSeed(seed);
}
