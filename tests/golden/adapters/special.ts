import type { Adapters } from "../adapter.ts";

/** Adapters by PyTorch's name. */
export const special: Adapters = {};

/** Names left out, and why. */
export const specialReasons: Record<string, string> = {};
