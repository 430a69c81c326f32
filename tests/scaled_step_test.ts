/** What a loss scaler adds to a step: one look at each gradient. Unscaling, clipping and skipping are part of the kernels that there are anyway. */
import { assertEquals } from "@std/assert";
import { amp, backendOf, capture, nn, ones, optim, stepScope, type Tensor } from "@pta/core";
import type { NullBackend } from "@pta/core/backend";
import { on } from "./devices.ts";

type Clip = "none" | "norm" | "value";

const optimizers: Readonly<Record<string, (p: nn.Parameter[]) => optim.Optimizer>> = {
  SGD: (p) => new optim.SGD(p, { lr: 0.1 }),
  "SGD with momentum": (p) => new optim.SGD(p, { lr: 0.1, momentum: 0.9, nesterov: true }),
  RMSprop: (p) => new optim.RMSprop(p, { momentum: 0.9, centered: true }),
  Adam: (p) => new optim.Adam(p, { weightDecay: 0.1, amsgrad: true }),
  AdamW: (p) => new optim.AdamW(p),
  NAdam: (p) => new optim.NAdam(p),
  Lion: (p) => new optim.Lion(p),
};

/** Names of what a replay of a captured step of a network launches: of so many layers, or of layers of these widths. */
function launches(
  layers: number | readonly number[],
  make: (p: nn.Parameter[]) => optim.Optimizer,
  clip: Clip,
  enabled: boolean,
  accumulation = 1,
): string[] {
  return on("null", () => {
    const widths = typeof layers === "number" ? Array(layers).fill(256) as number[] : layers;
    const model = new nn.Sequential(
      ...widths.map((width, i) => new nn.Linear(widths[i - 1] ?? 256, width, { bias: false })),
    );
    const parameters = model.parameters(), optimizer = make(parameters);
    const scaler = new amp.GradScaler({ enabled });
    const step = capture((x: Tensor) => {
      for (let micro = 0; micro < accumulation; micro++) {
        const out = amp.autocast({ dtype: "float16" }, () => model.forward(x));
        scaler.scale(out.float().square().mean()).backward();
      }
      scaler.unscale_(optimizer);
      if (clip === "norm") optim.clipGradNorm_(parameters, 1);
      if (clip === "value") optim.clipGradValue_(parameters, 1);
      scaler.step(optimizer);
      scaler.update();
      optimizer.zeroGrad();
    });
    const { trace } = backendOf("null") as NullBackend;
    for (let i = 0; i < 3; i++) {
      using _scope = stepScope();
      trace.length = 0;
      step(ones([32, 256]));
    }
    assertEquals(step.replays, 1);
    return [...trace];
  });
}

/** The scale, the count and the flag of the next step: what `update` runs. */
const UPDATE = 3;

for (const [name, make] of Object.entries(optimizers)) {
  Deno.test(`a loss scaler adds one pass over the gradients to a step: ${name}`, () => {
    for (const clip of ["none", "value"] as const) {
      for (const layers of [4, 8]) {
        const plain = launches(layers, make, clip, false);
        const scaled = launches(layers, make, clip, true);
        // All gradients are of one size, so one kernel unscales them and looks whether they are finite, and each update stays one kernel.
        assertEquals(scaled.length - plain.length, 1 + UPDATE, scaled.join(" "));
        assertEquals(scaled.filter((k) => /abs_max_lt/.test(k)).length, 1);
        assertEquals(
          scaled.filter((k) => /where/.test(k) && !/pow|^add_where$/.test(k)).length,
          layers,
        );
      }
    }
  });
}

Deno.test("a loss scaler adds no more when gradients are accumulated, clipped by their norm, or not of one size", () => {
  const make = optimizers.AdamW;
  for (const accumulation of [1, 4]) {
    const plain = launches(4, make, "norm", false, accumulation);
    const scaled = launches(4, make, "norm", true, accumulation);
    assertEquals(scaled.length - plain.length, 1 + UPDATE);
  }
  // A kernel for each size; the last one joins what they found.
  const sizes = [256, 320, 384, 448];
  const plain = launches(sizes, make, "none", false), scaled = launches(sizes, make, "none", true);
  assertEquals(scaled.length - plain.length, sizes.length + UPDATE, scaled.join(" "));
});
