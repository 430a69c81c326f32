/** Movement shares memory where strides can say it, and copies only where they cannot. */
import { assert, assertEquals } from "@std/assert";
import { backendOf, counters, noGrad, randn, realize, type Tensor, tensor } from "@pta/core";
import { viewParts } from "../core/node.ts";
import { close, numbers } from "./assert.ts";
import { eachDevice, on } from "./devices.ts";
import * as plain from "./plain.ts";

/** Kernels and plans that realizing `fn()` runs on the null device. */
function kernelsOf(fn: (x: Tensor) => Tensor): number {
  return on("null", () => {
    const x = randn([4, 6, 5]).realize();
    const y = fn(x), before = counters.kernels;
    y.realize();
    return counters.kernels - before;
  });
}

Deno.test("views of data share its memory and need no kernel", () => {
  on("null", () => {
    const x = randn([4, 6, 5]).realize();
    const views: Record<string, Tensor> = {
      reshape: x.reshape(24, 5),
      permute: x.permute(2, 0, 1),
      transpose: x.mT,
      slice: x.slice(1, 1, 6, 2),
      narrow: x.narrow(0, 1, 2),
      select: x.select(1, 3),
      expand: x.unsqueeze(0).expand(3, 4, 6, 5),
      flip: x.flip(0, 2),
      chained: x.mT.slice(1, 1).flip(0).unsqueeze(2),
      split: x.split(2, 1)[1],
    };
    for (const [name, view] of Object.entries(views)) {
      assert(view.node.kind === "view", name);
      assert(viewParts(view.node).base === x.node, `${name} does not stand on the data itself`);
    }
  });
});

Deno.test("reshape copies only what strides cannot express", () => {
  assertEquals(kernelsOf((x) => x.reshape(24, 5)), 0);
  assertEquals(kernelsOf((x) => x.reshape(4, 30).unsqueeze(0)), 0);
  const shares = (fn: (x: Tensor) => Tensor) =>
    on("null", () => {
      const x = randn([4, 6, 5]).realize();
      return viewParts(fn(x).node).base === x.node;
    });
  assertEquals(shares((x) => x.mT.reshape(4, 5, 2, 3)), true);
  assertEquals(shares((x) => x.slice(1, 0, 6, 2).reshape(12, 5)), true);
  assertEquals(shares((x) => x.mT.reshape(-1)), false);
  assertEquals(kernelsOf((x) => x.mT.reshape(-1)), 1);
  assertEquals(kernelsOf((x) => x.contiguous()), 0);
  assertEquals(kernelsOf((x) => x.mT.contiguous()), 1);
});

Deno.test("a pointwise kernel reads through any chain of views", () => {
  assertEquals(
    kernelsOf((x) => x.mT.slice(1, 1, 6, 2).flip(0).unsqueeze(0).expand(2, 4, 2, 6).mul(2)),
    1,
  );
  assertEquals(kernelsOf((x) => x.mT.reshape(-1).mul(2)), 1);
  assertEquals(kernelsOf((x) => x.permute(2, 1, 0).reshape(5, 24).add(1).reshape(30, 4).tanh()), 1);
});

eachDevice("views of views see the right elements", () => {
  const p = plain.build([4, 6, 5], ([a, b, c]) => 100 * a + 10 * b + c);
  const x = tensor(Float64Array.from(p.data), { dtype: "float32", shape: p.shape });
  close(
    x.permute(2, 0, 1).slice(1, 1, 4, 2).flip(0),
    plain.flip(plain.slice(plain.permute(p, [2, 0, 1]), 1, 1, 4, 2), [0]),
  );
  close(
    x.mT.reshape(20, 6).select(0, -1),
    plain.reshape(plain.slice(plain.reshape(plain.permute(p, [0, 2, 1]), [20, 6]), 0, 19, 20), [6]),
  );
  close(
    x.flip(1).narrow(1, 2, 3).reshape(-1),
    plain.reshape(plain.slice(plain.flip(p, [1]), 1, 2, 5), [60]),
  );
  assertEquals(x.slice(0, 1, 3).isContiguous(), true);
  assertEquals(x.slice(1, 1, 3).isContiguous(), false);
  assertEquals(numbers(x.slice(0, -1).slice(1, -1).flatten()), [350, 351, 352, 353, 354]);
});

eachDevice("views of a computed value do not change it", () => {
  const x = tensor([[1, 2], [3, 4]]).add(1);
  const t = x.t(), f = x.flip(0);
  realize(x, t, f);
  assertEquals([numbers(x), numbers(t), numbers(f)], [[2, 3, 4, 5], [2, 4, 3, 5], [4, 5, 2, 3]]);
});

eachDevice("a change in place moves elements of the target itself", () => {
  const x = tensor([[1, 2], [3, 4]]);
  x.assign(x.t());
  assertEquals(numbers(x), [1, 3, 2, 4]);
  x.assign(x.flip(0).add(x));
  assertEquals(numbers(x), [3, 7, 3, 7]);
  x.assign(x.sum(0, true).expand(2, 2).contiguous());
  assertEquals(numbers(x), [6, 14, 6, 14]);
  noGrad(() => x.copy_(x.select(0, 1).unsqueeze(0)));
  assertEquals(numbers(x), [6, 14, 6, 14]);
});

Deno.test("tensors without elements run nothing", () => {
  const { stats } = backendOf("null");
  on("null", () => {
    const before = stats.kernels, x = randn([0, 3]);
    realize(x.add(1).exp(), x.mT.reshape(-1), x.softmax(1), x.matmul(randn([3, 0])));
    assertEquals(stats.kernels, before);
  });
});
