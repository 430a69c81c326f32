import type { Adapters } from "../adapter.ts";

/** Adapters by PyTorch's name. */
export const normalization: Adapters = {};

/** Names left out, and why. */
export const normalizationReasons: Record<string, string> = {};
