/**
 * Signal processing: window functions.
 *
 * @module
 */
/** Window functions. */
export * as windows from "./windows.ts";
