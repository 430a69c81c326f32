import type { Adapters } from "../adapter.ts";

/** Adapters by PyTorch's name. */
export const creation: Adapters = {};

/** Names left out, and why. */
export const creationReasons: Record<string, string> = {};
