/** Which autocast region is open. A leaf of the import graph, so that every operation may ask. */

/** The types that autocast computes in. */
export type LowDType = "float16" | "bfloat16";

/** Whose operator lists decide: PyTorch has one for GPUs and a shorter one for CPUs. */
export type PolicyList = "gpu" | "cpu";

/** An open region. */
export interface AutocastContext {
  /** What matrix products and convolutions are computed in. */
  readonly dtype: LowDType;
  /** Whose operator lists decide. */
  readonly list: PolicyList;
  /** Whether casts of parameters are remembered. */
  readonly cacheEnabled: boolean;
}

let context: AutocastContext | undefined;

/** The innermost open region; undefined outside, where it is disabled, and inside an operation that it has already decided on. */
export function autocastContext(): AutocastContext | undefined {
  return context;
}

/** Opens (or, with undefined, suspends) and returns what was open before. */
export function setAutocastContext(next: AutocastContext | undefined): AutocastContext | undefined {
  const before = context;
  context = next;
  return before;
}

/** Runs `fn` with operations left as they are. */
export function suspendAutocast<T>(fn: () => T): T {
  if (context === undefined) return fn();
  const before = setAutocastContext(undefined);
  try {
    return fn();
  } finally {
    setAutocastContext(before);
  }
}
