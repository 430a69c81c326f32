import { assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { communicator, initComm, setCommunicator } from "../core/dist/comm.ts";
import { FakeComm } from "../core/dist/fake.ts";
import { LocalComm } from "../core/dist/local.ts";

Deno.test("fake communicator behaves as if all ranks held the data of one", () => {
  const comm = new FakeComm(64, 3);
  assertEquals([comm.rank, comm.worldSize], [3, 64]);
  const data = new Float32Array([1, -2]);
  comm.allReduce(data).wait();
  assertEquals([...data], [64, -128]);
  comm.allReduce(data, "mean").wait();
  comm.allReduce(data, "max").wait();
  assertEquals([...data], [64, -128]);

  const input = Float64Array.from({ length: 128 }, (_, i) => i);
  const part = new Float64Array(2);
  comm.reduceScatter(input, part).wait();
  assertEquals([...part], [6 * 64, 7 * 64]);
  const all = new BigInt64Array(128);
  comm.allGather(new BigInt64Array([5n, 6n]), all).wait();
  assertEquals([...all.slice(0, 4), ...all.slice(-1)], [5n, 6n, 5n, 6n, 6n]);
  comm.broadcast(new Uint8Array(10), 63).wait();
  comm.barrier();

  assertEquals(comm.log, [
    "allReduce(sum) float32[2]",
    "allReduce(mean) float32[2]",
    "allReduce(max) float32[2]",
    "reduceScatter(sum) float64[128]",
    "allGather int64[2]",
    "broadcast(root 63) uint8[10]",
    "barrier()",
  ]);
  assertEquals(comm.counts.allReduce, { calls: 3, bytes: 24, sent: 24 * 2 * 63 / 64 });
  assertEquals(comm.counts.reduceScatter, { calls: 1, bytes: 1024, sent: 1024 * 63 / 64 });
  assertEquals(comm.counts.allGather, { calls: 1, bytes: 16, sent: 16 * 63 });
  assertEquals(comm.counts.barrier, { calls: 1, bytes: 0, sent: 0 });
});

Deno.test("arguments of collectives are checked at the call", () => {
  const comm = new FakeComm(4);
  const f = (n: number) => new Float32Array(n);
  const fails = (call: () => unknown, type: ErrorConstructor, text: string) => {
    assertThrows(call, type, text);
  };
  fails(() => comm.reduceScatter(f(8), f(3)), RangeError, "reduceScatter 8 values into 3");
  fails(() => comm.allGather(f(2), f(4)), RangeError, "wanted 4 times 2");
  fails(() => comm.allGather(f(2), new Int32Array(8)), TypeError, "float32 into int32");
  fails(() => comm.broadcast(f(2), 4), RangeError, "from rank 4: wanted 0 to 3");
  fails(() => comm.allReduce(new Uint8Array(2)), TypeError, "allReduce uint8");
  fails(() => comm.allReduce(new Int32Array(2), "mean"), TypeError, "mean of int32");
  // deno-lint-ignore no-explicit-any -- what the types forbid must fail at run time as well
  fails(() => comm.allReduce([1, 2] as any), TypeError, "allReduce a Array");
  // deno-lint-ignore no-explicit-any
  fails(() => comm.allReduce(f(1), "product" as any), RangeError, '"product"');
  fails(() => new FakeComm(0), RangeError, "world of 0");
  fails(() => new FakeComm(2, 2), RangeError, "rank 2");
  assertEquals(comm.log, []);
  comm.close();
  fails(() => comm.barrier(), Error, "Cannot barrier: the communicator is closed");
});

Deno.test("communicators are found by the name of their group", () => {
  const before = setCommunicator(undefined);
  try {
    // this process is no rank, so it is alone
    const world = communicator();
    assertEquals([world.rank, world.worldSize, world instanceof LocalComm], [0, 1, true]);
    assertStrictEquals(initComm(), world);
    const fake = new FakeComm(8);
    setCommunicator(fake, "data");
    assertStrictEquals(communicator("data"), fake);
    assertStrictEquals(setCommunicator(undefined, "data"), fake);
    assertThrows(() => communicator("data"), RangeError, 'communicator "data": known are world');
  } finally {
    setCommunicator(before);
  }
});
