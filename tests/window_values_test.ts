/** Pooling with places, its inverse and resampling modules against PyTorch's values (`golden/windows.json`, written by `golden/windows.py`). */
import { type DType, grad, nn, type Tensor, tensor } from "@pta/core";
import { assert, assertEquals } from "@std/assert";
import { closeNumbers, numbers } from "./assert.ts";
import { eachDevice } from "./devices.ts";
import { cotangent } from "./golden/fixture.ts";

const F = nn.functional;

interface Packed {
  readonly shape: readonly number[];
  readonly dtype: DType;
  readonly data: readonly number[];
}

interface Line {
  readonly name: string;
  readonly inputs: readonly (Packed | number)[];
  readonly outputs: readonly Packed[];
  readonly gradient: Packed;
}

const lines = JSON.parse(
  Deno.readTextFileSync(new URL("golden/windows.json", import.meta.url)),
) as Line[];

const unpack = ({ shape, dtype, data }: Packed): Tensor =>
  tensor([...data], { shape, dtype: "float64" }).to(dtype);
const both = ({ values, indices }: { values: Tensor; indices: Tensor }) => [values, indices];

// deno-lint-ignore no-explicit-any -- arguments as the file has them
const calls: Readonly<Record<string, (...args: any[]) => readonly Tensor[]>> = {
  adaptiveMaxPool1dWithIndices: (x, size) => both(F.adaptiveMaxPool1dWithIndices(x, size)),
  adaptiveMaxPool2dWithIndices: (x, size) => both(F.adaptiveMaxPool2dWithIndices(x, size)),
  adaptiveMaxPool3dWithIndices: (x, size) => both(F.adaptiveMaxPool3dWithIndices(x, size)),
  MaxUnpool1d: (x, indices) => [new nn.MaxUnpool1d(2).forward(x, indices)],
  MaxUnpool2d: (x, indices) => [new nn.MaxUnpool2d(2).forward(x, indices)],
  MaxUnpool3d: (x, indices) => [new nn.MaxUnpool3d(2).forward(x, indices)],
  maxPool3dWithIndices: (x, size) => both(F.maxPool3dWithIndices(x, size)),
  fractionalMaxPool3dWithIndices: (x, randomSamples) =>
    both(F.fractionalMaxPool3dWithIndices(x, 2, { outputSize: 3, randomSamples })),
  lpPool1d: (x, norm, size) => [F.lpPool1d(x, norm, size)],
  lpPool3d: (x, norm, size) => [F.lpPool3d(x, norm, size)],
  PixelUnshuffle: (x) => [new nn.PixelUnshuffle(2).forward(x)],
  UpsamplingBilinear2d: (x) => [new nn.UpsamplingBilinear2d({ scaleFactor: 2 }).forward(x)],
  UpsamplingNearest2d: (x) => [new nn.UpsamplingNearest2d({ size: [7, 9] }).forward(x)],
};

eachDevice("windows: values, places and gradients are PyTorch's", () => {
  assertEquals(new Set(lines.map((l) => l.name)), new Set(Object.keys(calls)));
  for (const { name, inputs, outputs, gradient } of lines) {
    const args = inputs.map((v) => typeof v === "number" ? v : unpack(v));
    const x = (args[0] as Tensor).requiresGrad_();
    const got = calls[name](...args);
    assertEquals(got.length, outputs.length, name);
    outputs.forEach((want, i) => {
      assertEquals([got[i].shape, got[i].dtype], [want.shape, want.dtype], name);
      closeNumbers(numbers(got[i]), [...want.data], {}, `${name}, output ${i}`);
    });
    const floats = got.filter((t) => t.requiresGrad);
    assert(floats.length > 0, name);
    const [g] = grad(floats, [x], { gradOutputs: floats.map(cotangent) });
    closeNumbers(numbers(g), [...gradient.data], {}, `${name}, gradient`);
  }
});
