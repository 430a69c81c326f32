import type { Adapters } from "../adapter.ts";

/** Adapters by PyTorch's name. */
export const losses: Adapters = {};

/** Names left out, and why. */
export const lossesReasons: Record<string, string> = {};
