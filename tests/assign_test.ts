/** Changes in place that run because something computed from them is read. */
import { assertEquals, assertThrows } from "@std/assert";
import { counters, realize, settings, type Tensor, tensor } from "@pta/core";
import { eachDevice } from "./devices.ts";

const read = (x: Tensor) => [...x.data()].map(Number);

eachDevice("a pending assignment counts as done once its reader has run", (device) => {
  const fused = settings.fuse;
  try {
    for (const fuse of [true, false]) {
      settings.fuse = fuse;
      const w = tensor([1, 2, 3], { device });
      w.assign(tensor([4, 5, 6], { device }).add(1));
      const y = w.mul(2);
      assertEquals(read(y), [10, 12, 14]);
      assertEquals(read(w), [5, 6, 7]);
      assertEquals(read(w.add(y)), [15, 18, 21]);
    }
  } finally {
    settings.fuse = fused;
  }
});

eachDevice("an assignment from the old value runs once", (device) => {
  const w = tensor([1, 2], { device });
  w.assign(w.mul(10));
  assertEquals(read(w.sum()), [30]);
  const before = counters.plansRun;
  assertEquals(read(w), [10, 20]);
  assertEquals(counters.plansRun, before, "reading w computes nothing");
  assertEquals(read(w.sum()), [30]);
});

eachDevice("assignments in a row: readers of each see its value", (device) => {
  const w = tensor([1, 2], { device });
  w.assign(w.add(1));
  const first = w.mul(1.5);
  w.assign(w.mul(w));
  const second = w.sub(first);
  assertEquals(read(second), [1, 4.5]);
  assertEquals(read(w), [4, 9]);
  // Its source has been overwritten by then, and it was not asked for with the others.
  assertThrows(() => first.add(1).data(), ReferenceError, "changed in place");
  w.assign(w.neg());
  realize(w.sum());
  assertEquals(read(w), [-4, -9]);
});

eachDevice("a parameter is readable after the loss that follows its step", (device) => {
  const w = tensor([1, -2], { device, requiresGrad: true });
  w.square().sum().backward();
  w.copy_(w.detach().sub(w.grad!.mul(0.25)));
  const loss = w.square().sum();
  assertEquals(read(loss), [1.25]);
  assertEquals(read(w), [0.5, -1]);
  loss.backward();
  assertEquals(read(w.grad!), [3, -6]);
});
