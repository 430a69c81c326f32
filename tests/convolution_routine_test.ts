/** Convolutions of the cpu device against the plain loops in float64. */
import { assert } from "@std/assert";
import {
  Generator,
  rand,
  routine,
  setDefaultDevice,
  stepScope,
  type Tensor,
} from "@pta/accelerated";
import type { ConvolutionParams } from "../core/device.ts";

interface Case {
  readonly batch: number;
  readonly channels: number;
  readonly outputs: number;
  readonly size: readonly number[];
  readonly kernel: readonly number[];
  readonly stride?: readonly number[];
  readonly padding?: readonly number[];
  readonly dilation?: readonly number[];
  readonly groups?: number;
}

const cases: Readonly<Record<string, Case>> = {
  "1-d": { batch: 2, channels: 3, outputs: 4, size: [17], kernel: [5], padding: [2] },
  "3x3": { batch: 5, channels: 4, outputs: 6, size: [9, 11], kernel: [3, 3], padding: [1, 1] },
  "pointwise": { batch: 3, channels: 5, outputs: 7, size: [6, 5], kernel: [1, 1] },
  "strided pointwise": {
    batch: 3,
    channels: 5,
    outputs: 7,
    size: [6, 5],
    kernel: [1, 1],
    stride: [2, 2],
  },
  "strides and dilation": {
    batch: 2,
    channels: 3,
    outputs: 2,
    size: [13, 14],
    kernel: [3, 2],
    stride: [2, 3],
    padding: [3, 1],
    dilation: [2, 3],
  },
  "groups": {
    batch: 2,
    channels: 6,
    outputs: 4,
    size: [8, 7],
    kernel: [3, 3],
    padding: [1, 0],
    groups: 2,
  },
  "depthwise": { batch: 2, channels: 4, outputs: 8, size: [8, 8], kernel: [3, 3], groups: 4 },
  "wide padding": {
    batch: 1,
    channels: 2,
    outputs: 3,
    size: [3, 3],
    kernel: [3, 3],
    padding: [4, 4],
  },
  "3-d": {
    batch: 2,
    channels: 2,
    outputs: 3,
    size: [5, 4, 6],
    kernel: [2, 3, 2],
    stride: [1, 2, 1],
    padding: [1, 1, 0],
  },
  "many images": {
    batch: 40,
    channels: 8,
    outputs: 16,
    size: [14, 14],
    kernel: [3, 3],
    padding: [1, 1],
  },
};

/** Ours on the cpu device and the reference's, for the three routines. */
function both(c: Case, device: string): Tensor[] {
  setDefaultDevice(device);
  const ones = c.size.map(() => 1), groups = c.groups ?? 1;
  const params: ConvolutionParams = {
    stride: c.stride ?? ones,
    padding: c.padding ?? c.size.map(() => 0),
    dilation: c.dilation ?? ones,
    groups,
  };
  const out = c.size.map((n, d) =>
    Math.floor(
      (n + 2 * params.padding[d] - params.dilation[d] * (c.kernel[d] - 1) - 1) / params.stride[d],
    ) + 1
  );
  const generator = new Generator(3);
  const x = rand([c.batch, c.channels, ...c.size], { generator }).sub(0.5);
  const weight = rand([c.outputs, c.channels / groups, ...c.kernel], { generator }).sub(0.5);
  const gradient = rand([c.batch, c.outputs, ...out], { generator }).sub(0.5);
  return [
    routine("convolution", params, [x, weight], gradient.shape, "float32"),
    routine("convolutionInput", params, [gradient, weight], x.shape, "float32"),
    routine("convolutionWeight", params, [x, gradient], weight.shape, "float32"),
  ];
}

for (const [name, c] of Object.entries(cases)) {
  Deno.test(`convolution ${name}: columns and products agree with plain loops`, () => {
    using _scope = stepScope();
    try {
      const got = both(c, "cpu").map((t) => Array.from(t.data() as Float32Array));
      const wanted = both(c, "ref").map((t) => Array.from(t.data() as Float32Array));
      got.forEach((values, which) => {
        const scale = Math.max(...wanted[which].map(Math.abs));
        assert(scale > 0);
        values.forEach((v, i) => {
          const error = Math.abs(v - wanted[which][i]);
          assert(
            error <= 2e-6 * scale * 4,
            `routine ${which}, element ${i}: ${v}, ${wanted[which][i]}`,
          );
        });
      });
    } finally {
      setDefaultDevice("cpu");
    }
  });
}
