/** Fractional max pooling: where windows lie, samples, refusals. Values against PyTorch are in tests/golden. */
import { assert, assertEquals } from "@std/assert";
import { arange, manualSeed, nn, rand, type Tensor, zeros } from "@pta/core";
import { numbers, throwsExactly } from "./assert.ts";
import { eachDevice, on } from "./devices.ts";

const F = nn.functional;

eachDevice("fractional max pooling: windows overlap or touch, the last is at the end", () => {
  const x = arange(2 * 3 * 11 * 9).reshape(2, 3, 11, 9).float();
  manualSeed(5);
  const { values, indices } = F.fractionalMaxPool2dWithIndices(x, [3, 2], { outputSize: [4, 5] });
  assertEquals([values.shape, indices.shape], [[2, 3, 4, 5], [2, 3, 4, 5]]);
  assertEquals(indices.dtype, "int64");
  const at = numbers(indices), v = numbers(values);
  const seen = new Set<string>();
  // In a ramp the maximum of a window is its last corner.
  for (let plane = 0; plane < 6; plane++) {
    const own = at.slice(plane * 20, plane * 20 + 20);
    assertEquals(own, v.slice(plane * 20, plane * 20 + 20).map((x) => x - 99 * plane));
    assertEquals(own[19], 98);
    const rows = [0, 1, 2, 3].map((i) => Math.floor(own[5 * i] / 9));
    const columns = [0, 1, 2, 3, 4].map((j) => own[j] % 9);
    assertEquals([rows[0], columns[0]], [2, 1], "the first window is at the near end");
    for (const [list, low, high] of [[rows, 2, 3], [columns, 1, 2]] as const) {
      list.slice(1).forEach((p, i) => assert(p - list[i] >= low && p - list[i] <= high));
    }
    seen.add(`${rows} ${columns}`);
  }
  assert(seen.size > 1, "planes draw their own windows");
});

eachDevice("fractional max pooling: modules", () => {
  const x = rand([2, 3, 11, 9]);
  const module = new nn.FractionalMaxPool2d(2, { outputRatio: 0.5, returnIndices: true });
  assertEquals((module.forward(x) as Tensor[]).map((t) => t.shape), [[2, 3, 5, 4], [2, 3, 5, 4]]);
  assertEquals(`${module}`, "FractionalMaxPool2d(kernelSize=2, outputRatio=0.5)");
  const volume = new nn.FractionalMaxPool3d(2, { outputSize: 2 });
  assertEquals((volume.forward(zeros([3, 4, 5, 6])) as Tensor).shape, [3, 2, 2, 2]);
  const given = { outputSize: 3, randomSamples: rand([2, 3, 2]) };
  const fixed = new nn.FractionalMaxPool2d(2, given);
  assertEquals(Object.keys(fixed.stateDict()), ["_random_samples"]);
  const pooled = numbers(fixed.forward(x) as Tensor);
  assertEquals(pooled, numbers(fixed.forward(x) as Tensor));
  assertEquals(pooled, numbers(F.fractionalMaxPool2d(x, 2, given)));
});

Deno.test("fractional max pooling: bad arguments are refused", () =>
  on("ref", () => {
    const x = zeros([1, 2, 5, 6]), who = "Cannot apply fractionalMaxPool2d";
    const table: [() => unknown, new (m: string) => Error, string][] = [
      [
        () => new nn.FractionalMaxPool2d(2, { outputSize: 2, outputRatio: 0.5 }),
        TypeError,
        "Cannot make FractionalMaxPool2d: give either outputSize or outputRatio",
      ],
      [
        () => F.fractionalMaxPool2d(x, 2, { outputRatio: [0.5, 1] }),
        RangeError,
        `${who} with outputRatio [0.5, 1]: it must lie between 0 and 1`,
      ],
      [
        () => F.fractionalMaxPool2d(x, 2, { outputSize: 5 }),
        RangeError,
        `${who} to [1, 2, 5, 6] with kernelSize [2, 2] and output [5, 5]: output + kernelSize - 1 must be at most the input, and the output at least 1`,
      ],
      [
        () => F.fractionalMaxPool2d(x, 2, { outputSize: 2, randomSamples: zeros([1, 3, 2]) }),
        TypeError,
        `${who} to [1, 2, 5, 6] with randomSamples [1, 3, 2]: it must be [1, 2, 2]`,
      ],
    ];
    for (const [fn, type, message] of table) throwsExactly(fn, type, message);
  }));
