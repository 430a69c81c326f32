/** Jacobians, Hessians and products with them: closed forms. */
import { assertEquals, assertThrows } from "@std/assert";
import { grad, hessian, jacobian, jvp, ones, type Tensor, tensor, vjp, zeros } from "@pta/core";
import { closeNumbers, numbers } from "./assert.ts";
import { eachDevice } from "./devices.ts";

const cube = (x: Tensor) => x.pow(3);

eachDevice("jacobian: of elementwise and linear functions", () => {
  const x = tensor([1, -2, 0.5]);
  const [j] = jacobian(cube, [x]);
  assertEquals(j.shape, [3, 3]);
  closeNumbers(numbers(j), [3, 0, 0, 0, 12, 0, 0, 0, 0.75], {}, "cube");
  const w = tensor([1, 2, 3, 4, 5, 6], { shape: [2, 3] });
  const [jx, jw] = jacobian((x, w) => w.matmul(x), [x, w]);
  assertEquals([jx.shape, jw.shape], [[2, 3], [2, 2, 3]]);
  closeNumbers(numbers(jx), [1, 2, 3, 4, 5, 6], {}, "by x");
  closeNumbers(numbers(jw), [1, -2, 0.5, 0, 0, 0, 0, 0, 0, 1, -2, 0.5], {}, "by w");
  const [none] = jacobian(() => ones([2]), [x]);
  assertEquals([none.shape, numbers(none)], [[2, 3], [0, 0, 0, 0, 0, 0]]);
  assertEquals(jacobian(cube, [zeros([0])])[0].shape, [0, 0]);
});

eachDevice("jacobian: can be differentiated again", () => {
  const x = tensor([1, 2]).requiresGrad_();
  const [j] = jacobian(cube, [x], { createGraph: true });
  closeNumbers(numbers(grad(j.sum(), [x])[0]), [6, 12], {}, "second derivative");
  assertEquals(x.grad, undefined);
  assertEquals(jacobian(cube, [x])[0].requiresGrad, false);
});

eachDevice("hessian: blocks of several inputs", () => {
  const x = tensor([1, 2]), y = tensor([3, -1]);
  const blocks = hessian((x, y) => x.square().mul(y).sum(), [x, y]);
  const wanted = [[[6, 0, 0, -2], [2, 0, 0, 4]], [[2, 0, 0, 4], [0, 0, 0, 0]]];
  blocks.forEach((row, i) =>
    row.forEach((h, k) => {
      assertEquals(h.shape, [2, 2]);
      closeNumbers(numbers(h), wanted[i][k], {}, `block ${i}, ${k}`);
    })
  );
  closeNumbers(numbers(hessian((x) => x.sum(), [x])[0][0]), [0, 0, 0, 0], {}, "linear");
  assertThrows(() => hessian(cube, [x]), TypeError, "it must have one element");
});

eachDevice("vjp and jvp: the two sides of one Jacobian", () => {
  const x = tensor([1, 2, 3]), w = tensor([1, 0, -1, 2, 1, 0], { shape: [2, 3] });
  const fn = (x: Tensor, w: Tensor) => w.matmul(x.square());
  const u = tensor([1, -1]), v = tensor([0.5, 1, -2]);
  const back = vjp(fn, [x, w], u);
  closeNumbers(numbers(back.output), [-8, 6], {}, "value");
  closeNumbers(numbers(back.product[0]), [-2, -4, -6], {}, "vjp by x");
  closeNumbers(numbers(back.product[1]), [1, 4, 9, -1, -4, -9], {}, "vjp by w");
  const forth = jvp(fn, [x, w], [v, w.mul(0)]);
  // W diag(2 x) v
  closeNumbers(numbers(forth.product), [13, 6], {}, "jvp");
  const both = numbers(u.mul(forth.product).sum())[0];
  closeNumbers([both], numbers(back.product[0].mul(v).sum()), {}, "u J v");
  assertEquals(numbers(jvp(() => ones([2]), [x], [v]).product), [0, 0]);
  assertThrows(() => vjp(fn, [x, w], v), TypeError, "Cannot take the vjp with [3]");
  assertThrows(() => jvp(fn, [x, w], [v]), TypeError, "there are 2 inputs");
  assertThrows(() => jvp(fn, [x, w], [u, w]), TypeError, "Cannot take the jvp with [2]");
});
