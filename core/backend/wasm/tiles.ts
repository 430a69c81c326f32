/** Register tiles of the packed matrix product, and which of them to use here. */
import { env } from "../../env.ts";

/** How the micro-kernel holds a piece of the output in vector registers. */
export interface Tile {
  /** Rows of the output. */
  readonly rows: number;
  /** Columns, in vectors of 16 bytes. */
  readonly vectors: number;
  /** Steps along the inner dimension in one turn of the loop; a power of two. */
  readonly unroll: number;
  /**
   * How values of A get into all lanes: `splat` by a load with a constant offset, `address` by a load from a computed
   * address, `shuffle` out of one vector load.
   */
  readonly load: "splat" | "address" | "shuffle";
}

/**
 * The tiles that are worth having. V8 keeps 15 vectors in registers on x64, so 8 to 12 accumulators is the most; every load costs a
 * bounds check, so a tile is judged by its loads for each multiply-add too. With V8's wide vectors two vectors share a register.
 */
export const tiles = {
  /** Fastest for large products. */
  main: { rows: 6, vectors: 2, unroll: 4, load: "address" },
  /** Fewest padded columns: for outputs of 1 to 4, 9 to 12, ... columns. */
  narrow: { rows: 8, vectors: 1, unroll: 4, load: "shuffle" },
  /** Rows and columns alike; few loads. */
  square: { rows: 4, vectors: 2, unroll: 4, load: "shuffle" },
  /** For two rows. */
  flat: { rows: 2, vectors: 4, unroll: 4, load: "shuffle" },
  /** Two registers of eight values by four rows, when V8 joins vectors. */
  wide: { rows: 4, vectors: 4, unroll: 4, load: "splat" },
} as const satisfies Record<string, Tile>;

/** Name of a tile. */
export type TileName = keyof typeof tiles;

/** How a product is made: with a tile from packed panels, or straight from memory. */
export type Method = TileName | "direct" | "dot";

/**
 * Whether V8 runs with the flags that join vectors: they cannot be seen from inside, so whoever sets them also sets `PTA_TURBO=1`
 * (or used the variable that Deno reads).
 */
export function turbo(): boolean {
  return env("PTA_TURBO") === "1" || (env("DENO_V8_FLAGS") ?? "").includes("wasm-revectorize");
}

/** What decides how a product is made. */
export interface ProductForm {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  /** Whether A and B are row-major. */
  readonly rowMajor: boolean;
  /** Whether rows of A and columns of B lie in order in memory, in whole vectors. */
  readonly inner: boolean;
  /** Values in a vector. */
  readonly lanes: number;
}

/**
 * Rows up to which copying B into panels does not pay, and values of B that stay in the first-level cache; without and with wide
 * vectors, which only the packed kernels gain much from.
 */
const FEW_ROWS = [16, 8], SMALL_B = [4096, 0];

/** Rows up to which inner products beat packing a column-major B, and the inner size that pays for adding up lanes at the end. */
const DOT_ROWS = 64, DOT_INNER = 64;

/** The method for a product. */
export function chooseMethod(form: ProductForm, wide: boolean): Method {
  const { m, n, k, rowMajor, inner, lanes } = form;
  const small = m <= FEW_ROWS[Number(wide)] || k * n <= SMALL_B[Number(wide)];
  if (rowMajor && n % lanes === 0 && small) return "direct";
  if (wide) return "wide";
  // Packing B costs as much as a few rows of the product; beyond these the packed tiles catch up.
  if (inner && m <= DOT_ROWS && k >= DOT_INNER) return "dot";
  const odd = Math.ceil(n / lanes) % 2 === 1;
  return odd && n <= 8 * lanes ? "narrow" : "main";
}

/** Whether products use fused multiply-add; `PTA_FMA=0` gives the same bits on machines with and without it. */
export function fusedMultiplyAdd(): boolean {
  return env("PTA_FMA") !== "0";
}
