import type { Adapters } from "../adapter.ts";

/** Adapters by PyTorch's name. */
export const attention: Adapters = {};

/** Names left out, and why. */
export const attentionReasons: Record<string, string> = {};
