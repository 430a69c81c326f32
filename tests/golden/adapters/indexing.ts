import type { Adapters } from "../adapter.ts";

/** Adapters by PyTorch's name. */
export const indexing: Adapters = {};

/** Names left out, and why. */
export const indexingReasons: Record<string, string> = {};
