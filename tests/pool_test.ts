import { assert, assertEquals, assertThrows } from "@std/assert";
import { WasmMemory } from "../core/backend/wasm/memory.ts";
import { makeJob, Pool, threadCount } from "../core/backend/wasm/pool.ts";

// (module (memory shared) (func (export "fill") (param $ptr $count $value $scratch)
//   fill `count` words at ptr with value; store value at scratch) (func (export "trap") (param i32) unreachable))
const sized = (body: number[]) => [body.length, ...body];
// deno-fmt-ignore
const fillBody = [
  0,
  0x20, 3, 0x20, 2, 0x36, 2, 0, // scratch[0] = value
  0x02, 0x40, 0x03, 0x40,
  0x20, 1, 0x45, 0x0d, 1, // leave when count is 0
  0x20, 0, 0x20, 2, 0x36, 2, 0, // ptr[0] = value
  0x20, 0, 0x41, 4, 0x6a, 0x21, 0,
  0x20, 1, 0x41, 1, 0x6b, 0x21, 1,
  0x0c, 0, 0x0b, 0x0b, 0x0b,
];
// deno-fmt-ignore
const code = new Uint8Array([
  0, 0x61, 0x73, 0x6d, 1, 0, 0, 0,
  1, ...sized([2, 0x60, 4, 0x7f, 0x7f, 0x7f, 0x7f, 0, 0x60, 1, 0x7f, 0]),
  2, ...sized([1, 1, 0x65, 1, 0x6d, 2, 3, 1, 0x80, 0x80, 4]),
  3, ...sized([2, 0, 1]),
  7, ...sized([2, 4, 0x66, 0x69, 0x6c, 0x6c, 0, 0, 4, 0x74, 0x72, 0x61, 0x70, 0, 1]),
  10, ...sized([2, ...sized(fillBody), 3, 0, 0x00, 0x0b]),
]);

type Exports = Record<"fill" | "trap", (...args: number[]) => void>;

function setup(threads: number) {
  const memory = new WasmMemory({ bytesAlive: 0, bytesPeak: 0 }, 64 << 20);
  const instance = new WebAssembly.Instance(new WebAssembly.Module(code), {
    e: { m: memory.memory },
  });
  const { fill, trap } = instance.exports as Exports;
  const pool = new Pool(memory, threads, []);
  const module = { bytes: code };
  return {
    memory,
    pool,
    fill: { fn: fill, module, exportIndex: 0 },
    trap: { fn: trap, module, exportIndex: 1 },
  };
}

async function workersUp(pool: Pool, count: number) {
  for (let i = 0; i < 200 && pool.workersReady < count; i++) {
    await new Promise((done) => setTimeout(done, 25));
  }
  assertEquals(pool.workersReady, count);
}

Deno.test("every chunk of a job runs exactly once, before and after workers are up", async () => {
  const { memory, pool, fill } = setup(3);
  const out = memory.alloc("int32", 32 * 100);
  const { base, stride } = pool.scratch(100);
  const chunks = (value: number) =>
    makeJob(
      fill,
      Array.from({ length: 32 }, (_, i) => [out.ptr + i * 400, 100, value + i, 0]),
      { slot: 3, base, stride },
    );
  const check = (value: number) => {
    const at = out.ptr >>> 2;
    for (let i = 0; i < 3200; i++) {
      assertEquals(memory.i32[at + i], value + Math.floor(i / 100));
    }
  };
  pool.run(chunks(1000));
  check(1000);
  await workersUp(pool, 2);
  for (let round = 1; round < 200; round++) pool.run(chunks(round));
  check(199);
  // A worker that sleeps is woken again.
  await new Promise((done) => setTimeout(done, 50));
  let helped = false;
  // On a busy machine many a job is over before a worker runs.
  for (const begin = performance.now(); !helped && performance.now() - begin < 20_000;) {
    memory.i32[(base + stride) >>> 2] = memory.i32[(base + 2 * stride) >>> 2] = -1;
    pool.run(chunks(5));
    helped = memory.i32[(base + stride) >>> 2] >= 0 || memory.i32[(base + 2 * stride) >>> 2] >= 0;
  }
  check(5);
  assert(helped, "no worker ever took a chunk");
});

Deno.test("a trap in a chunk is raised once all threads have finished and the pool works on", async () => {
  const { memory, pool, fill, trap } = setup(2);
  pool.start();
  await workersUp(pool, 1);
  for (let i = 0; i < 50; i++) {
    assertThrows(() => pool.run(makeJob(trap, [[0], [0], [0], [0]])), Error, "unreachable");
  }
  const out = memory.alloc("int32", 8);
  pool.run(makeJob(fill, [[out.ptr, 4, 7, out.ptr], [out.ptr + 16, 4, 8, out.ptr + 16]]));
  assertEquals([...memory.i32.subarray(out.ptr >>> 2, (out.ptr >>> 2) + 8)], [
    7,
    7,
    7,
    7,
    8,
    8,
    8,
    8,
  ]);
});

Deno.test("one thread starts no worker", () => {
  const { memory, pool, fill } = setup(1);
  const out = memory.alloc("int32", 4);
  pool.run(makeJob(fill, [[out.ptr, 4, 3, out.ptr]]));
  assertEquals(pool.workersReady, 0);
  assertEquals(memory.i32[out.ptr >>> 2], 3);
});

Deno.test("a job with too many chunks is refused", () => {
  const { fill } = setup(1);
  const chunks = Array.from({ length: 256 }, () => [0, 0, 0, 0]);
  assertThrows(() => makeJob(fill, chunks), RangeError, "256 chunks");
});

Deno.test("the number of threads comes from PTA_THREADS and must be a whole number", () => {
  const before = Deno.env.get("PTA_THREADS");
  try {
    Deno.env.set("PTA_THREADS", "3");
    assertEquals(threadCount(), 3);
    for (const bad of ["0", "two", "1.5", "-1"]) {
      Deno.env.set("PTA_THREADS", bad);
      assertThrows(() => threadCount(), RangeError, `PTA_THREADS=${bad}`);
    }
    Deno.env.delete("PTA_THREADS");
    assert(threadCount() >= 1 && threadCount() <= 8);
  } finally {
    if (before === undefined) Deno.env.delete("PTA_THREADS");
    else Deno.env.set("PTA_THREADS", before);
  }
});

Deno.test("a process whose workers spin or sleep ends by itself, without any permission", async () => {
  const script = `
    import { WasmMemory } from "${new URL("../core/backend/wasm/memory.ts", import.meta.url)}";
    import { Pool } from "${new URL("../core/backend/wasm/pool.ts", import.meta.url)}";
    const pool = new Pool(new WasmMemory({ bytesAlive: 0, bytesPeak: 0 }, 1 << 24), 3);
    pool.start();
    const wait = setInterval(() => {
      if (pool.workersReady === 2) { console.log("ready"); clearInterval(wait); }
    }, 10);`;
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", "--no-lock", `data:application/typescript;base64,${btoa(script)}`],
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const timer = setTimeout(() => child.kill("SIGKILL"), 20_000);
  const { code: status, signal, stdout, stderr } = await child.output();
  clearTimeout(timer);
  const text = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
  assertEquals({ status, signal, text: text.trim() }, { status: 0, signal: null, text: "ready" });
});
