/** How exactly float32 matrix products are computed where the hardware offers less. */
import { env } from "./env.ts";

/**
 * - `highest`: float32;
 * - `high`: factors may be rounded to TF32 (10 bits of mantissa), sums stay in float32;
 * - `medium`: factors may be rounded to bfloat16; where that is no faster, as `high`.
 */
export type Float32MatmulPrecision = "highest" | "high" | "medium";

const known: readonly string[] = ["highest", "high", "medium"];
let chosen: Float32MatmulPrecision | undefined;

function check(value: string, source: string): Float32MatmulPrecision {
  if (known.includes(value)) return value as Float32MatmulPrecision;
  throw new RangeError(
    `Cannot use float32 matmul precision "${value}"${source}: it must be ${known.join(", ")}`,
  );
}

/** What is in force: what was set, else `PTA_FLOAT32_MATMUL_PRECISION`, else `highest`. */
export function float32MatmulPrecision(): Float32MatmulPrecision {
  const name = "PTA_FLOAT32_MATMUL_PRECISION";
  return chosen ??= check(env(name) || "highest", ` of ${name}`);
}

/**
 * Sets how exactly float32 products are computed from now on; captured steps keep what they were recorded with. The CPU always computes in
 * float32.
 *
 * @param precision `highest` (the default), `high` or `medium`
 * @returns What was in force before
 * @throws {RangeError} When there is no such precision
 */
export function setFloat32MatmulPrecision(
  precision: Float32MatmulPrecision,
): Float32MatmulPrecision {
  const before = float32MatmulPrecision();
  chosen = check(precision, "");
  return before;
}
