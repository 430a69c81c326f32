import type { Adapters } from "../adapter.ts";

/** Adapters by PyTorch's name. */
export const activations: Adapters = {};

/** Names left out, and why. */
export const activationsReasons: Record<string, string> = {};
