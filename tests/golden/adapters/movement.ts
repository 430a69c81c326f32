import type { Adapters } from "../adapter.ts";

/** Adapters by PyTorch's name. */
export const movement: Adapters = {};

/** Names left out, and why. */
export const movementReasons: Record<string, string> = {};
