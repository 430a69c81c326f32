import type { Adapters } from "../adapter.ts";

/** Adapters by PyTorch's name. */
export const linalg: Adapters = {};

/** Names left out, and why. */
export const linalgReasons: Record<string, string> = {};
