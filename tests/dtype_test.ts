/** Element types: what is stored, how it is cast, and what PyTorch's promotion says two of them give. */
import { assertEquals } from "@std/assert";
import { cat, type DType, full, ones, promote, type Tensor, tensor, where } from "@pta/core";
import { closeNumbers, numbers } from "./assert.ts";
import { eachDevice } from "./devices.ts";
import golden from "./golden/dtypes.json" with { type: "json" };

const names: readonly DType[] = [
  "float32",
  "float64",
  "float16",
  "bfloat16",
  "int32",
  "int64",
  "uint8",
  "bool",
];
type Row = Record<string, string | null>;

const wide = (dtype: DType) => ones([2], { dtype, device: "null" });
const scalar = (dtype: DType) => ones([], { dtype, device: "null" });
/** The dtype of a result, or null where the operation refuses. */
const dtypeOf = (fn: () => Tensor): string | null => {
  try {
    return fn().dtype;
  } catch (error) {
    if (error instanceof TypeError) return null;
    throw error;
  }
};
const pairs = (fn: (a: DType, b: DType) => string | null) =>
  Object.fromEntries(names.map((a) => [a, Object.fromEntries(names.map((b) => [b, fn(a, b)]))]));
const each = (fn: (a: DType) => string | null, list = names): Row =>
  Object.fromEntries(list.map((a) => [a, fn(a)]));

Deno.test("result dtypes are PyTorch's", () => {
  assertEquals(pairs((a, b) => promote(a, b)), golden.tensors);
  assertEquals(pairs((a, b) => dtypeOf(() => wide(a).add(wide(b)))), golden.tensors);
  assertEquals(pairs((a, b) => dtypeOf(() => wide(a).add(scalar(b)))), golden.withScalarTensor);
  assertEquals(each((a) => dtypeOf(() => wide(a).add(2))), golden.withWhole);
  assertEquals(each((a) => dtypeOf(() => wide(a).add(2.5))), golden.withFraction);
  assertEquals(pairs((a, b) => dtypeOf(() => wide(a).div(wide(b)))), golden.div);
  assertEquals(each((a) => dtypeOf(() => wide(a).lt(wide(a)))), golden.lt);
  assertEquals(each((a) => dtypeOf(() => wide(a).exp())), golden.exp);
  assertEquals(each((a) => dtypeOf(() => wide(a).sum())), golden.sum);
  assertEquals(each((a) => dtypeOf(() => wide(a).prod())), golden.prod);
  assertEquals(each((a) => dtypeOf(() => wide(a).amax())), golden.amax);
  assertEquals(
    each((a) => dtypeOf(() => wide(a).argmax()), names.filter((n) => n !== "bool")),
    golden.argmax,
  );
  assertEquals(pairs((a, b) => dtypeOf(() => cat([wide(a), wide(b)]))), golden.cat);
  assertEquals(pairs((a, b) => dtypeOf(() => where(wide("bool"), wide(a), wide(b)))), golden.where);
});

/** What each dtype holds of these numbers, all inside every range. */
const samples = [0, 1, 2.5, 7.75, 100];
const held: Readonly<Record<DType, readonly number[]>> = {
  float32: samples,
  float64: samples,
  float16: samples,
  bfloat16: samples,
  int32: [0, 1, 2, 7, 100],
  int64: [0, 1, 2, 7, 100],
  uint8: [0, 1, 2, 7, 100],
  bool: [0, 1, 1, 1, 1],
};

eachDevice("every dtype is stored and read back", (device) => {
  for (const dtype of names) {
    const t = tensor(samples, { dtype, device });
    assertEquals(numbers(t), [...held[dtype]], dtype);
    assertEquals(numbers(t.clone()), [...held[dtype]], dtype);
    assertEquals(numbers(full([3], 2.5, { dtype, device }).clone()), [
      held[dtype][2],
      held[dtype][2],
      held[dtype][2],
    ]);
  }
});

eachDevice("every dtype casts to every other", (device) => {
  for (const from of names) {
    for (const to of names) {
      // A value loses its fraction, or all but its truth, where either dtype cannot hold it.
      const expected = held[from].map((x, i) => Math.min(x, held[to][i]));
      const t = tensor(samples, { dtype: from, device }).to(to);
      assertEquals(t.dtype, to);
      assertEquals(numbers(t), expected, `${from} to ${to}`);
    }
  }
});

eachDevice("float16 and bfloat16 round to nearest, ties to even", (device) => {
  const half = tensor([1 + 2 ** -11, 1 + 3 * 2 ** -11, 65504, 65520, 2 ** -24, 2 ** -26, -0.1], {
    device,
  });
  assertEquals(numbers(half.to("float16")), [
    1,
    1 + 2 ** -9,
    65504,
    Infinity,
    2 ** -24,
    0,
    Math.f16round(-0.1),
  ]);
  const brain = tensor([1 + 2 ** -8, 1 + 3 * 2 ** -8, 3.4e38, -0.1, 1 / 3], { device });
  assertEquals(numbers(brain.to("bfloat16")), [
    1,
    1 + 2 ** -6,
    Infinity,
    -0.10009765625,
    0.333984375,
  ]);
  assertEquals(numbers(tensor([NaN, Infinity, -Infinity], { device }).to("bfloat16")), [
    NaN,
    Infinity,
    -Infinity,
  ]);
  assertEquals(numbers(tensor([NaN, Infinity, -Infinity], { device }).to("float16")), [
    NaN,
    Infinity,
    -Infinity,
  ]);
});

eachDevice("arithmetic in float16 and bfloat16 rounds its results", (device) => {
  for (const dtype of ["float16", "bfloat16"] as const) {
    const a = tensor([0.1, 1.7, -3.3, 100], { dtype, device }),
      b = tensor([0.3, 2.2, 1.1, 7], { dtype, device });
    const [x, y] = [numbers(a), numbers(b)];
    const step = dtype === "float16" ? 2 ** -10 : 2 ** -7;
    closeNumbers(numbers(a.mul(b)), x.map((v, i) => v * y[i]), { atol: 0, rtol: step }, dtype);
    closeNumbers(numbers(a.add(b)), x.map((v, i) => v + y[i]), { atol: 0, rtol: step }, dtype);
    closeNumbers([a.sum().item()], [x.reduce((p, q) => p + q, 0)], { atol: 0, rtol: step }, dtype);
    assertEquals(a.mul(b).dtype, dtype);
  }
});

eachDevice("int64 counts beyond 2^31", (device) => {
  const big = 2 ** 40 + 3;
  const t = tensor(BigInt64Array.of(BigInt(big), -7n, 5n), { device });
  assertEquals(numbers(t), [big, -7, 5]);
  assertEquals(numbers(t.add(1)), [big + 1, -6, 6]);
  assertEquals(numbers(t.mul(3)), [3 * big, -21, 15]);
  assertEquals(t.sum().item(), big - 2);
  assertEquals(t.amax().item(), big);
  assertEquals(t.amin().item(), -7);
  assertEquals(numbers(t.gt(2 ** 33)), [1, 0, 0]);
  assertEquals(numbers(t.floorDivide(2)), [2 ** 39 + 1, -4, 2]);
  assertEquals(numbers(t.remainder(4)), [3, 1, 1]);
  assertEquals(numbers(t.bitwiseAnd(255)), [3, 249, 5]);
  assertEquals(numbers(t.bitwiseRightShift(1)), [2 ** 39 + 1, -4, 2]);
  assertEquals(numbers(t.double().mul(0.5)), [big / 2, -3.5, 2.5]);
  assertEquals(numbers(t.sub(2 ** 40).to("int32")), [3, -7 - 2 ** 40 | 0, 5 - 2 ** 40 | 0]);
});

eachDevice("integers wrap", (device) => {
  const bytes = tensor(Uint8Array.of(250, 10, 0), { device });
  assertEquals(numbers(bytes.add(bytes)), [244, 20, 0]);
  assertEquals(numbers(bytes.add(10)), [4, 20, 10]);
  assertEquals(numbers(bytes.neg()), [6, 246, 0]);
  assertEquals(numbers(bytes.mul(bytes)), [250 * 250 & 255, 100, 0]);
  assertEquals(numbers(bytes.sub(11)), [239, 255, 245]);
  assertEquals(bytes.sum().item(), 260);
  const words = tensor(Int32Array.of(2 ** 31 - 1, -(2 ** 31), 65537), { device });
  assertEquals(numbers(words.add(1)), [-(2 ** 31), -(2 ** 31) + 1, 65538]);
  assertEquals(numbers(words.mul(words)), [1, 0, Math.imul(65537, 65537)]);
  assertEquals(words.sum().item(), 65536);
  assertEquals(numbers(tensor(Int32Array.of(300, -1, 256), { device }).to("uint8")), [44, 255, 0]);
});

eachDevice("bool is 0 or 1", (device) => {
  const b = tensor([true, false, true], { device });
  assertEquals(b.dtype, "bool");
  assertEquals(b.sum().item(), 2);
  assertEquals(b.add(1).dtype, "int64");
  assertEquals(numbers(b.bitwiseNot()), [0, 1, 0]);
  assertEquals(numbers(tensor([0.5, 0, NaN, -3], { device }).to("bool")), [1, 0, 1, 1]);
  assertEquals(numbers(tensor(Uint8Array.of(2, 0), { dtype: "bool", device })), [1, 0]);
  assertEquals(numbers(b.maximum(tensor([false, false, true], { device }))), [1, 0, 1]);
});

eachDevice("integer division and powers by zero do not trap", (device) => {
  const a = tensor(Int32Array.of(7, -7, 0), { device }),
    zero = tensor(Int32Array.of(0, 0, 0), { device });
  assertEquals(numbers(a.div(2)), [3.5, -3.5, 0]);
  assertEquals(numbers(a.div(zero)), [Infinity, -Infinity, NaN]);
  a.floorDivide(zero).realize();
  a.remainder(zero).realize();
});

Deno.test("the floats are floating point, the others are not", () => {
  const floats = names.filter((dtype) => wide(dtype).isFloatingPoint());
  assertEquals(floats, ["float32", "float64", "float16", "bfloat16"]);
});
