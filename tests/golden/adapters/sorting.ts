import type { Adapters } from "../adapter.ts";

/** Adapters by PyTorch's name. */
export const sorting: Adapters = {};

/** Names left out, and why. */
export const sortingReasons: Record<string, string> = {};
