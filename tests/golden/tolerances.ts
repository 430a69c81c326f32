/** Tolerances wider than PyTorch's defaults, each with the source: op_db's own overrides for float32 on the CPU. */
import type { Tolerance } from "./compare.ts";

/** By operator name. */
export const tolerances: Readonly<Record<string, Tolerance>> = {};
