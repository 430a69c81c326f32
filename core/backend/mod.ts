/**
 * The backends. Importing this module makes them available by name; each is opened on first use.
 *
 * @module
 */
import { registerAlias, registerBackend } from "../runtime.ts";
import { CudaBackend } from "./cuda/mod.ts";
import { defaultOrdinal } from "./cuda/device_facts.ts";
import { NullBackend } from "./null/null.ts";
import { RefBackend } from "./ref/ref.ts";
import { WasmBackend } from "./wasm/mod.ts";

registerBackend("cpu", () => new WasmBackend());
registerBackend("ref", () => new RefBackend());
registerBackend("null", () => new NullBackend());
// As many as fit in a machine; opening one that is not there is an error that says how many are.
for (let i = 0; i < 16; i++) registerBackend(`cuda:${i}`, () => new CudaBackend(i));
registerAlias("cuda", () => `cuda:${defaultOrdinal()}`);

export { CudaBackend, NullBackend, RefBackend, WasmBackend };
export type { WasmBuffer, WasmMemory } from "./wasm/memory.ts";
export type { Job, Pool, WasmCode, WasmFunction } from "./wasm/pool.ts";
