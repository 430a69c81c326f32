/**
 * Source of a pool worker, as text: a worker made from text needs no permission to read files and exists in a compiled binary.
 *
 * Words of the control block (32-bit, shared): see `Ctl` in `pool.ts`. A chunk is claimed by adding 1 to the claim word
 * `epoch << 16 | count << 8 | next` with a compare-exchange, so a thread that the system does not run never holds up the others.
 */
export const workerSource = `
const { workerData } = require("node:worker_threads");
const { memory, control, thread, mathNames, ctl: C } = workerData;
const I = new Int32Array(memory.buffer, control, C.words);
const U = new Uint8Array(memory.buffer);
const imports = { m: memory };
for (const name of mathNames) imports[name] = Math[name];
const loaded = new Map();
const pause = Atomics.pause ?? (() => {});
const exportsOf = (entry) => {
  let exports = loaded.get(entry);
  if (exports === undefined) {
    const size = new Int32Array(memory.buffer, entry, 1)[0];
    const bytes = U.slice(entry + 64, entry + 64 + size);
    exports = Object.values(new WebAssembly.Instance(new WebAssembly.Module(bytes), { e: imports }).exports);
    loaded.set(entry, exports);
  }
  return exports;
};
const args = [];
const runChunk = (chunk) => {
  const count = I[C.argCount], base = C.job + chunk * count, slot = I[C.scratchSlot];
  args.length = count;
  for (let i = 0; i < count; i++) args[i] = I[base + i];
  if (slot >= 0) args[slot] = I[C.scratchBase] + thread * I[C.scratchStride];
  exportsOf(I[C.module] >>> 0)[I[C.exportIndex]](...args);
};
const fail = (error) => {
  if (Atomics.compareExchange(I, C.failed, 0, 1) !== 0) return;
  const text = new TextEncoder().encode(String(error)).subarray(0, C.messageBytes);
  U.set(text, control + C.message * 4);
  I[C.messageLength] = text.length;
};
Atomics.add(I, C.ready, 1);
Atomics.notify(I, C.ready);
let seen = 0;
for (;;) {
  for (let n = 0; Atomics.load(I, C.epoch) === seen; n++) {
    pause();
    if (n < C.spins) continue;
    Atomics.add(I, C.asleep, 1);
    Atomics.wait(I, C.epoch, seen);
    Atomics.sub(I, C.asleep, 1);
    n = 0;
  }
  seen = Atomics.load(I, C.epoch);
  for (;;) {
    const claim = Atomics.load(I, C.claim), next = claim & 255;
    if (next >= ((claim >>> 8) & 255)) break;
    if (Atomics.compareExchange(I, C.claim, claim, claim + 1) !== claim) continue;
    try {
      runChunk(next);
    } catch (error) {
      fail(error);
    }
    Atomics.add(I, C.done, 1);
    if (I[C.callerAsleep] !== 0) Atomics.notify(I, C.done);
  }
}`;
