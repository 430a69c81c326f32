/** Eight-bit floats: PyTorch's rounding, scaling, and layers that train with them. */
import "@pta/core/backend";
import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import {
  amp,
  autocast,
  capture,
  manualSeed,
  nn,
  optim,
  randn,
  type Tensor,
  tensor,
} from "@pta/core";
import { precisionFixture } from "./precision_support.ts";

const { float8 } = await precisionFixture();

for (const format of ["e4m3", "e5m2"] as const) {
  Deno.test(`float8: ${format} rounds as PyTorch does, and saturates`, () => {
    const { x, rounded } = float8[format], { max } = amp.float8Formats[format];
    const found = amp.roundToFloat8(tensor(Float32Array.from(x)), format).toArray() as number[];
    const wrong = x.flatMap((v, i) =>
      Math.abs(v) <= max && found[i] !== Math.fround(rounded[i])
        ? [`${v}: ${found[i]}, not ${rounded[i]}`]
        : []
    );
    assertEquals(wrong, []);
    assertEquals(
      amp.roundToFloat8(tensor([1e9, -1e9, Infinity, NaN]), format).toArray(),
      [max, -max, max, NaN],
    );
  });
}

Deno.test("float8: the scale brings the largest value to the end of the format", () => {
  assertEquals(amp.float8Scale(tensor(0.5), "e4m3").item(), 896);
  assertEquals(amp.float8Scale(tensor(0), "e5m2").item(), 1);
  assertEquals(amp.float8Scale(tensor(NaN), "e5m2").item(), 1);
});

/** Largest error of `a` relative to the largest value of `b`. */
function error(a: Tensor, b: Tensor): number {
  return a.sub(b).abs().amax().div(b.abs().amax()).item();
}

for (const scaling of ["current", "delayed"] as const) {
  Deno.test(`float8: output and gradients of a layer are near the exact ones, ${scaling} scaling`, () => {
    manualSeed(1);
    const exact = new nn.Linear(64, 32), x = randn([16, 64]).mul(1e-3).requiresGrad_();
    const model = new nn.Sequential(exact);
    const run = () => {
      for (const t of [x, ...exact.parameters()]) t.grad = undefined;
      const y = model.forward(x);
      y.square().sum().backward();
      return [y, x.grad!, exact.weight.grad!, exact.bias!.grad!].map((t) => t.clone().realize());
    };
    const wanted = run();
    assertEquals(nn.convertToFloat8(model, { scaling }), ["0"]);
    for (let i = 0; i < 3; i++) {
      run().forEach((t, k) => {
        const e = error(t, wanted[k]);
        // Gradients have two bits of mantissa: up to an eighth for each element of a sum.
        assert(e < (k === 0 ? 0.05 : 0.125), `${k}: ${e}`);
        if (k < 3) assert(e > 1e-4, `${k} was not rounded: ${e}`);
      });
    }
  });
}

Deno.test("float8: delayed scaling uses the steps before, saturates and recovers", () => {
  const layer = new nn.Float8Linear(16, 16, { bias: false, scaling: "delayed", historyLength: 2 });
  layer.weight.copy_(Float32Array.from({ length: 256 }, (_, i) => i % 17 === 0 ? 1 : 0));
  const through = (value: number) =>
    layer.forward(tensor(new Float32Array(16).fill(value), { shape: [1, 16] })).select(0, 0).select(
      0,
      0,
    ).item();
  // Hardware applies both scales at once and rounds once more; what is emulated is exact.
  const same = amp.multipliesFloat8(layer.weight.device)
    ? (got: number, wanted: number) => assertAlmostEquals(got, wanted, 3e-7)
    : (got: number, wanted: number) => assertEquals(got, wanted);
  same(through(1), 1);
  // The scale is that of the step before: 100 is beyond its end.
  same(through(100), 1);
  assertAlmostEquals(through(100), 100, 1e-4);
  layer.eval();
  through(7);
  assertEquals(layer.amaxHistory!.input.toArray(), [100, 100]);
});

Deno.test("float8: models train nearly as in float32, also under autocast and captured", () => {
  const train = (scaling?: "current" | "delayed", low = false): number => {
    manualSeed(3);
    const model = new nn.Sequential(new nn.Linear(16, 64), new nn.GELU(), new nn.Linear(64, 16));
    const optimizer = new optim.AdamW(model.parameters(), { lr: 3e-3 });
    if (scaling !== undefined) {
      assertEquals(nn.convertToFloat8(model, { scaling }), ["0", "2"]);
    }
    const x = randn([64, 16]), y = x.sin().realize();
    const step = capture((x: Tensor, y: Tensor) => {
      const out = low ? autocast({}, () => model.forward(x)) : model.forward(x);
      assertEquals(out.dtype, low ? "bfloat16" : "float32");
      const loss = nn.functional.mseLoss(out.float(), y);
      loss.backward();
      optimizer.step();
      optimizer.zeroGrad();
      return loss;
    });
    let loss = NaN;
    for (let i = 0; i < 120; i++) loss = step(x, y).item();
    assertEquals(step.replays, 118);
    return loss;
  };
  const exact = train();
  for (const loss of [train("current"), train("delayed"), train("current", true)]) {
    assert(loss < 2 * exact + 0.01, `${loss} against ${exact}`);
  }
});

Deno.test("float8: layers that do not fit the hardware stay, bad options are refused", () => {
  const model = new nn.Sequential(new nn.Linear(10, 16), new nn.Linear(16, 32, { bias: false }));
  assertEquals(nn.convertToFloat8(model), ["1"]);
  const again = nn.convertToFloat8(model, { filter: (_, name) => name === "0" });
  assertEquals(again, ["0"]);
  assertThrows(
    () => new nn.Float8Linear(4, 4, { scaling: "none" as never }),
    RangeError,
    "current or delayed",
  );
  assertThrows(() => new nn.Float8Linear(4, 4, { historyLength: 0 }), RangeError, "at least 1");
  assertThrows(() => model.forward(randn([2, 3])), TypeError, "the last size must be 10");
});
