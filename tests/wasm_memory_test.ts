import { assert, assertEquals, assertThrows } from "@std/assert";
import { bucketSize, WasmMemory } from "../core/backend/wasm/memory.ts";

const MIB = 1 << 20;
const make = (bytes = 64 * MIB) => {
  const stats = { bytesAlive: 0, bytesPeak: 0 };
  return { stats, memory: new WasmMemory(stats, bytes) };
};

Deno.test("a bucket is a multiple of 64 that wastes at most an eighth", () => {
  for (let bytes = 0; bytes < 5000; bytes++) {
    const size = bucketSize(bytes);
    assert(size >= bytes && size % 64 === 0 && size >= 64, `bucket of ${bytes} is ${size}`);
    assert(size - bytes <= 64 + bytes / 8, `bucket of ${bytes} is ${size}`);
  }
  for (const bytes of [1e6, 3 * MIB + 1, 2 ** 31 + 5]) {
    const size = bucketSize(bytes);
    assert(size >= bytes && size % 64 === 0 && size <= bytes * 1.126);
    assertEquals(bucketSize(size), size);
  }
});

Deno.test("live buffers never overlap and are aligned to 64 bytes above the reserved kibibyte", () => {
  const { memory } = make();
  let seed = 1;
  const random = () => (seed = (Math.imul(seed, 1103515245) + 12345) >>> 0) / 2 ** 32;
  const live = new Set<ReturnType<WasmMemory["alloc"]>>();
  for (let i = 0; i < 4000; i++) {
    if (live.size > 40 || (live.size > 0 && random() < 0.45)) {
      const victim = [...live][Math.floor(random() * live.size)];
      memory.free(victim);
      live.delete(victim);
    } else {
      live.add(memory.alloc("float32", Math.floor(random() ** 4 * 300_000)));
    }
  }
  const spans = [...live].map((b) => [b.ptr, b.ptr + b.length * 4]).sort((a, b) => a[0] - b[0]);
  for (const [begin] of spans) assert(begin >= 1024 && begin % 64 === 0);
  for (let i = 1; i < spans.length; i++) assert(spans[i][0] >= spans[i - 1][1], `overlap at ${i}`);
});

Deno.test("a freed block is used again for the same size and bytes alive count what was asked for", () => {
  const { memory, stats } = make();
  const a = memory.alloc("float64", 1000);
  assertEquals(stats, { bytesAlive: 8000, bytesPeak: 8000 });
  memory.free(a);
  assertEquals(stats, { bytesAlive: 0, bytesPeak: 8000 });
  const b = memory.alloc("float32", 2000);
  assertEquals(b.ptr, a.ptr);
  const held = memory.bytesHeld;
  for (let i = 0; i < 100; i++) memory.free(memory.alloc("float32", 777));
  assertEquals(memory.bytesHeld - held, bucketSize(777 * 4));
});

Deno.test("freeing a buffer twice, using it afterwards and foreign buffers are errors", () => {
  const { memory } = make();
  const a = memory.alloc("int32", 10);
  memory.free(a);
  assertThrows(() => memory.free(a), RangeError, "it was freed");
  assertThrows(() => memory.address(a), RangeError, "it was freed");
  assertThrows(() => memory.free({ dtype: "int32", length: 1 }), TypeError, "another backend");
  assertThrows(() => memory.alloc("int32", 1.5), RangeError, "not a whole number");
});

Deno.test("when memory runs out the error says what was asked and what is alive", () => {
  const { memory } = make();
  const a = memory.alloc("float32", 10 * MIB);
  const error = assertThrows(() => memory.alloc("float32", 10 * MIB), RangeError);
  assert(error.message.includes("10485760 elements of float32 (40.0 MiB)"), error.message);
  assert(error.message.includes("40.0 MiB of"), error.message);
  memory.free(a);
  memory.alloc("float32", 12 * MIB);
});

Deno.test("free neighbours are merged before memory is given up", () => {
  const { memory } = make();
  const small = Array.from({ length: 60 }, () => memory.alloc("uint8", MIB));
  for (const b of small) memory.free(b);
  const big = memory.alloc("uint8", 56 * MIB);
  assertThrows(() => memory.alloc("uint8", 10 * MIB), RangeError);
  memory.free(big);
});

Deno.test("memory held stays bounded when every step needs another size", () => {
  const { memory } = make(1024 * MIB);
  for (let i = 0; i < 400; i++) memory.free(memory.alloc("uint8", 2 * MIB + i * 40_000));
  assert(memory.bytesHeld < 160 * MIB, `held ${memory.bytesHeld / MIB} MiB`);
});

Deno.test("four gibibytes are addressable where the system grants them", () => {
  const { memory } = make(2 ** 32);
  if (memory.u8.length < 2 ** 32) return;
  const far = memory.alloc("uint8", 3.5 * 2 ** 30);
  memory.u8[far.ptr + far.length - 1] = 7;
  assertEquals(memory.view("uint8")[far.ptr + far.length - 1], 7);
  memory.free(far);
});
