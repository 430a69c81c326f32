import type { Adapters } from "../adapter.ts";

/** Adapters by PyTorch's name. */
export const windows: Adapters = {};

/** Names left out, and why. */
export const windowsReasons: Record<string, string> = {};
