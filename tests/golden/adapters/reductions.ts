import type { Adapters } from "../adapter.ts";

/** Adapters by PyTorch's name. */
export const reductions: Adapters = {};

/** Names left out, and why. */
export const reductionsReasons: Record<string, string> = {};
