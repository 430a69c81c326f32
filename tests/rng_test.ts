/** Random numbers: published vectors, equal on every device, and with the moments they should have. */
import { assert, assertAlmostEquals, assertEquals, assertNotEquals } from "@std/assert";
import {
  bernoulli,
  type DType,
  Generator,
  manualSeed,
  philox4x32,
  rand,
  randint,
  randn,
  randomPermutation,
  randperm,
  type Tensor,
} from "@pta/core";
import { closeNumbers, numbers } from "./assert.ts";
import { devices, eachDevice, missing, on } from "./devices.ts";

Deno.test("Philox 4x32-10 gives the known answers of its authors", () => {
  // Known-answer vectors of the Random123 library.
  assertEquals(philox4x32([0, 0, 0, 0], [0, 0]), [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]);
  const ones = 0xffffffff;
  assertEquals(philox4x32([ones, ones, ones, ones], [ones, ones]), [
    0x408f276d,
    0x41c83b0e,
    0xa20bc7c6,
    0x6d5451fd,
  ]);
  assertEquals(
    philox4x32([0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344], [0xa4093822, 0x299f31d0]),
    [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
  );
});

const draws: Record<string, () => Tensor> = {
  rand: () => rand([3, 7]),
  randn: () => randn([3, 7]),
  "randn float64": () => randn([3, 7], { dtype: "float64" }),
  randint: () => randint(-5, 1_000_000, [20]),
  bernoulli: () => bernoulli(0.3, [50]),
  randperm: () => randperm(9),
};

Deno.test("uniform draws are the words of Philox", () =>
  on("ref", () => {
    manualSeed(2 ** 40 + 5);
    rand([2]).realize();
    const words = Array.from({ length: 4 }, (_, i) => philox4x32([i, 1, 0, 0], [5, 256])[0]);
    assertEquals(numbers(rand([2, 2])), words.map((w) => (w >>> 8) * 2 ** -24));
  }));

eachDevice("every device draws the same numbers", (device) => {
  for (const [name, draw] of Object.entries(draws)) {
    const run = (where: string) => on(where, () => (manualSeed(7), numbers(draw())));
    const expected = run("ref"), actual = run(device);
    // Bits and uniforms are equal; the logarithm and cosine of normal ones may differ in the last place.
    if (name.startsWith("randn")) closeNumbers(actual, expected, { atol: 2e-6, rtol: 2e-6 }, name);
    else assertEquals(actual, expected, name);
  }
});

eachDevice("moments", () => {
  manualSeed(3);
  const n = 20_000, u = rand([n]), x = randn([n]);
  // Five standard errors.
  assertAlmostEquals(u.mean().item(), 0.5, 5 * Math.sqrt(1 / 12 / n));
  assertAlmostEquals(u.var().item(), 1 / 12, 5 * Math.sqrt(1 / 180 / n));
  assert(u.amin().item() >= 0 && u.amax().item() < 1);
  assertAlmostEquals(x.mean().item(), 0, 5 / Math.sqrt(n));
  assertAlmostEquals(x.var().item(), 1, 5 * Math.sqrt(2 / n));
  assertAlmostEquals(x.pow(3).mean().item(), 0, 5 * Math.sqrt(15 / n));
  assertAlmostEquals(x.pow(4).mean().item(), 3, 5 * Math.sqrt(96 / n));
  for (const p of [0.1, 0.5, 0.9]) {
    assertAlmostEquals(bernoulli(p, [n]).mean().item(), p, 5 * Math.sqrt(p * (1 - p) / n));
  }
  const die = numbers(randint(1, 7, [n]));
  for (let face = 1; face <= 6; face++) {
    assertAlmostEquals(die.filter((d) => d === face).length / n, 1 / 6, 5 * Math.sqrt(5 / 36 / n));
  }
});

eachDevice("draws of one stream differ, of equal streams agree", () => {
  const a = new Generator(5), b = new Generator(5), c = new Generator(6);
  const first = numbers(rand([8], { generator: a })), second = numbers(rand([8], { generator: a }));
  assertNotEquals(first, second);
  assertEquals(numbers(rand([8], { generator: b })), first);
  assertNotEquals(numbers(rand([8], { generator: c })), first);
  const state = a.state(), third = numbers(randn([8], { generator: a }));
  a.setState(state);
  assertEquals(numbers(randn([8], { generator: a })), third);
  manualSeed(9);
  const x = numbers(rand([4]));
  manualSeed(9);
  assertEquals(numbers(rand([4])), x);
});

eachDevice("bernoulli takes a tensor of probabilities, and dtypes are kept", () => {
  const p = rand([1000]).mul(0).add(0.25);
  const hit = bernoulli(p);
  assertEquals(hit.dtype, "float32");
  assert(numbers(hit).every((x) => x === 0 || x === 1));
  for (const dtype of ["float32", "float64", "float16", "bfloat16"] satisfies DType[]) {
    assertEquals(rand([2], { dtype }).dtype, dtype);
    assertEquals(randn([2], { dtype }).dtype, dtype);
  }
  assertEquals(rand([0, 3]).shape, [0, 3]);
  assertEquals(rand([]).shape, []);
});

Deno.test("permutations hold every number once and depend on seed and stream", () => {
  for (const n of [0, 1, 2, 10, 1797]) {
    assertEquals(
      Array.from(randomPermutation(n, 4).toSorted()),
      Array.from({ length: n }, (_, i) => i),
    );
  }
  const p = Array.from(randomPermutation(100, 4, 1));
  assertEquals(Array.from(randomPermutation(100, 4, 1)), p);
  assertNotEquals(Array.from(randomPermutation(100, 4, 2)), p);
  assertNotEquals(Array.from(randomPermutation(100, 5, 1)), p);
});

Deno.test("each element is equally likely at each place", () => {
  const counts = Array.from({ length: 4 }, () => [0, 0, 0, 0]), runs = 4000;
  for (let stream = 0; stream < runs; stream++) {
    randomPermutation(4, 1, stream).forEach((x, place) => counts[place][x]++);
  }
  for (const row of counts) {
    for (const c of row) assertAlmostEquals(c / runs, 0.25, 5 * Math.sqrt(3 / 16 / runs));
  }
});

Deno.test("there is more than one device to compare", () => {
  assert(devices.filter((d) => missing(d) === undefined).length > 1);
});
