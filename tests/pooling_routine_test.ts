/** Pooling of the cpu device against the plain loops. */
import { assertEquals } from "@std/assert";
import { Generator, nn, rand, randint, routine, tensor } from "@pta/accelerated";
import { on } from "./devices.ts";

const { functional: F } = nn;

const cases: Readonly<Record<string, [number[], number | number[], object]>> = {
  "2x2": [[3, 4, 10, 18], 2, {}],
  "2x2 of odd sizes": [[3, 4, 11, 9], 2, {}],
  "3x3 stride 1": [[2, 3, 9, 15], 3, { stride: 1 }],
  "3x3 stride 2": [[2, 3, 9, 23], 3, { stride: 2 }],
  "stride 3": [[2, 3, 9, 31], [2, 3], { stride: [2, 3] }],
  "dilated": [[2, 3, 12, 21], 2, { stride: 1, dilation: 3 }],
  "padded": [[2, 3, 8, 8], 3, { stride: 2, padding: 1 }],
  "ceil": [[2, 3, 9, 9], 2, { ceilMode: true }],
  "many planes": [[40, 40, 12, 12], 2, {}],
};

for (const [name, [shape, kernel, options]] of Object.entries(cases)) {
  Deno.test(`max pooling ${name}: values, places and gradients agree with plain loops`, () => {
    const [got, wanted] = ["cpu", "ref"].map((device) =>
      on(device, () => {
        // Few different values, so that there are ties.
        const x = randint(0, 9, shape, { generator: new Generator(5), dtype: "float32" })
          .requiresGrad_();
        const { values, indices } = F.maxPool2dWithIndices(x, kernel, options);
        const g = rand(values.shape, { generator: new Generator(6) }).mul(8).floor();
        values.backward(g);
        return [values, indices, x.grad!].map((t) => t.data());
      })
    );
    assertEquals(got.map((a) => Array.from(a, Number)), wanted.map((a) => Array.from(a, Number)));
  });
}

Deno.test("max pooling: the first NaN of a window wins", () => {
  const data = [1, NaN, 2, NaN, 3, 1, NaN, 0, NaN, 5, 4, 4, 2, 2, 4, 4];
  const [got, wanted] = ["cpu", "ref"].map((device) =>
    on(device, () => {
      const x = tensor(Float32Array.from(data), { shape: [1, 1, 2, 8] });
      const params = { kernel: [2, 2], stride: [2, 2], padding: [0, 0], dilation: [1, 1] };
      return Array.from(routine("maxPool", params, [x], [1, 1, 1, 4], "int32").data(), Number);
    })
  );
  assertEquals(wanted, [1, 3, 4, 6]);
  assertEquals(got, wanted);
});
