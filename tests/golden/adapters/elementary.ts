import type { Adapters } from "../adapter.ts";

/** Adapters by PyTorch's name. */
export const elementary: Adapters = {};

/** Names left out, and why. */
export const elementaryReasons: Record<string, string> = {};
