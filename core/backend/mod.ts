/**
 * The backends. Importing this module makes them available by name; each is opened on first use.
 *
 * @module
 */
import { registerBackend } from "../runtime.ts";
import { NullBackend } from "./null/null.ts";
import { RefBackend } from "./ref/ref.ts";
import { WasmBackend } from "./wasm/mod.ts";

registerBackend("cpu", () => new WasmBackend());
registerBackend("ref", () => new RefBackend());
registerBackend("null", () => new NullBackend());

export { NullBackend, RefBackend, WasmBackend };
export type { WasmBuffer, WasmMemory } from "./wasm/memory.ts";
export type { Job, Pool, WasmCode, WasmFunction } from "./wasm/pool.ts";
