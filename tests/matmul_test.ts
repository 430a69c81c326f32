/** Matrix products: ranks, batches, layouts, dtypes and gradients. */
import { assertEquals } from "@std/assert";
import { type DType, grad, gradcheck, randn, type Tensor, tensor, zeros } from "@pta/core";
import { close, closeNumbers, numbers } from "./assert.ts";
import { eachDevice, on } from "./devices.ts";
import { Dice } from "./graph_fuzz.ts";
import * as plain from "./plain.ts";
import type { Plain } from "./plain.ts";

const dice = new Dice(11);
const draw = (shape: readonly number[]) =>
  plain.build(shape, () => Math.fround(dice.next() * 2 - 1));
const put = (p: Plain, dtype: DType = "float32") =>
  tensor(Float64Array.from(p.data), { dtype, shape: p.shape });

const shapes: readonly (readonly [number[], number[]])[] = [
  [[5], [5]],
  [[5], [5, 3]],
  [[4, 5], [5]],
  [[4, 5], [5, 3]],
  [[1, 1], [1, 1]],
  [[1, 7], [7, 1]],
  [[2, 4, 5], [5, 3]],
  [[2, 4, 5], [5]],
  [[5], [2, 5, 3]],
  [[2, 4, 5], [2, 5, 3]],
  [[1, 4, 5], [6, 5, 3]],
  [[2, 1, 4, 5], [3, 5, 2]],
  [[2, 3, 4, 5], [2, 3, 5, 1]],
  [[17, 33], [33, 19]],
  [[65, 70], [70, 66]],
  [[3, 200], [200, 130]],
];

eachDevice("every rank and batch", (device) => {
  for (const [left, right] of shapes) {
    const a = draw(left),
      b = draw(right),
      expected = plain.matmul(a, b),
      name = `[${left}] by [${right}]`;
    close(put(a).matmul(put(b)), expected, { atol: 1e-5, rtol: 1e-5 }, `${name} on ${device}`);
    close(
      put(a, "float64").matmul(put(b, "float64")),
      expected,
      { atol: 1e-12, rtol: 1e-12 },
      name,
    );
  }
});

eachDevice("operands in any layout", () => {
  const layouts:
    readonly (readonly [string, (x: Tensor) => Tensor, (x: Plain) => Plain, number[]])[] = [
      ["transposed", (x) => x.mT, (x) => plain.permute(x, [1, 0]), [9, 8]],
      ["sliced rows", (x) => x.slice(0, 1, 17, 2), (x) => plain.slice(x, 0, 1, 17, 2), [17, 9]],
      ["sliced columns", (x) => x.slice(1, 2, 11), (x) => plain.slice(x, 1, 2, 11), [8, 12]],
      ["every other column", (x) => x.slice(1, 0, 18, 2), (x) => plain.slice(x, 1, 0, 18, 2), [
        8,
        18,
      ]],
      ["flipped", (x) => x.flip(0, 1), (x) => plain.flip(x, [0, 1]), [8, 9]],
      ["expanded rows", (x) => x.expand(8, 9), (x) => plain.expand(x, [8, 9]), [1, 9]],
      ["expanded columns", (x) => x.expand(8, 9), (x) => plain.expand(x, [8, 9]), [8, 1]],
      ["computed", (x) => x.mul(2).mT, (x) => plain.permute(plain.zip((v) => 2 * v, x), [1, 0]), [
        9,
        8,
      ]],
    ];
  for (const [name, view, same, memory] of layouts) {
    const x = draw(memory), y = draw([9, 6]), z = draw([6, 8]);
    close(view(put(x)).matmul(put(y)), plain.matmul(same(x), y), { atol: 1e-5 }, `${name} left`);
    close(put(z).matmul(view(put(x))), plain.matmul(z, same(x)), { atol: 1e-5 }, `${name} right`);
  }
});

eachDevice("heads of attention: batches that are no leading dimensions", () => {
  const q = draw([2, 5, 3, 4]), k = draw([2, 5, 3, 4]);
  const heads = (x: Plain) => plain.permute(x, [0, 2, 1, 3]);
  const scores = put(q).permute(0, 2, 1, 3).matmul(put(k).permute(0, 2, 3, 1));
  close(scores, plain.matmul(heads(q), plain.permute(k, [0, 2, 3, 1])), { atol: 1e-5 });
});

eachDevice("every dtype that has a product", () => {
  const a = plain.build([4, 6], ([i, j]) => (i * 3 + j * 5) % 7 - 3),
    b = plain.build([6, 5], ([i, j]) => (i + 2 * j) % 5);
  const expected = plain.matmul(a, b);
  for (const dtype of ["float32", "float64", "float16", "bfloat16", "int32", "int64"] as const) {
    const c = put(a, dtype).matmul(put(b, dtype));
    assertEquals(c.dtype, dtype);
    assertEquals(numbers(c), [...expected.data], dtype);
  }
  const bytes = put(plain.zip(Math.abs, a), "uint8").matmul(put(b, "uint8"));
  assertEquals(numbers(bytes), [...plain.matmul(plain.zip(Math.abs, a), b).data]);
  assertEquals(put(a, "float32").matmul(put(b, "float64")).dtype, "float64");
});

eachDevice("products without elements, and over none", () => {
  assertEquals(zeros([0, 3]).matmul(zeros([3, 4])).shape, [0, 4]);
  assertEquals(zeros([2, 0]).matmul(zeros([0, 3])).toArray(), [[0, 0, 0], [0, 0, 0]]);
});

Deno.test("gradients of products agree with finite differences [ref]", () =>
  on("ref", () => {
    for (const [left, right] of shapes.slice(0, 13)) {
      const leaf = (s: number[]) => put(draw(s), "float64").requiresGrad_();
      gradcheck((a, b) => a.matmul(b).tanh(), [leaf(left), leaf(right)], {
        atol: 1e-7,
        rtol: 1e-6,
      });
    }
    const x = put(draw([5, 3]), "float64").requiresGrad_(),
      y = put(draw([4, 5]), "float64").requiresGrad_();
    gradcheck((x, y) => x.mT.matmul(y.mT), [x, y]);
    gradcheck((x) => x.matmul(x.mT), [x]);
  }));

eachDevice("gradients of products agree with ref", (device) => {
  const run = (where: string) =>
    on(where, () => {
      const d = new Dice(5);
      const leaf = (s: number[]) =>
        put(plain.build(s, () => Math.fround(d.next() - 0.5))).requiresGrad_();
      return shapes.flatMap(([l, r]) => {
        const a = leaf(l), b = leaf(r), out = a.matmul(b);
        return grad(out.mul(out).sum(), [a, b]).map(numbers);
      });
    });
  const expected = run("ref");
  run(device).forEach((g, i) =>
    closeNumbers(g, expected[i], { atol: 2e-4, rtol: 1e-4 }, `gradient ${i}`)
  );
});

eachDevice("a long inner dimension keeps its precision", () => {
  const a = randn([3, 4096]), b = randn([4096, 2]);
  const exact = plain.matmul({ shape: a.shape, data: numbers(a) }, {
    shape: b.shape,
    data: numbers(b),
  });
  close(a.matmul(b), exact, { atol: 1e-3, rtol: 1e-4 });
});
