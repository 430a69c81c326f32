/** Modules of convolution, pooling and shuffles: keys, sizes, padding modes; bad calls, each with its message. */
import { nn, tensor, zeros } from "@pta/core";
import { assert, assertEquals } from "@std/assert";
import { numbers, throwsExactly } from "./assert.ts";
import { on } from "./devices.ts";

const F = nn.functional;

Deno.test("windows: keys, sizes and starting values of the convolution modules", () => {
  on("cpu", () => {
    const conv = new nn.Conv2d(4, 6, [3, 2], { groups: 2 });
    assertEquals(Object.keys(conv.stateDict()), ["weight", "bias"]);
    assertEquals(conv.weight.shape, [6, 2, 3, 2]);
    const back = new nn.ConvTranspose2d(4, 6, [3, 2], { groups: 2, bias: false });
    assertEquals(Object.keys(back.stateDict()), ["weight"]);
    assertEquals(back.weight.shape, [4, 3, 3, 2]);
    // Kaiming uniform with a = sqrt(5) is uniform within 1 / sqrt(fan in), which is 2 * 3 * 2.
    const bound = 1 / Math.sqrt(12);
    for (const p of conv.parameters()) {
      const values = numbers(p);
      assert(values.every((v) => Math.abs(v) <= bound));
      assert(values.some((v) => Math.abs(v) > bound / 2) && new Set(values).size > 1);
    }
  });
});

Deno.test("windows: padding modes of Conv1d", () => {
  on("cpu", () => {
    const x = tensor([1, 2, 3, 4]).reshape(1, 1, 4);
    const wanted = {
      zeros: [3, 6, 9, 7],
      reflect: [5, 6, 9, 10],
      replicate: [4, 6, 9, 11],
      circular: [7, 6, 9, 8],
    } as const;
    for (const [paddingMode, sums] of Object.entries(wanted)) {
      const conv = new nn.Conv1d(1, 1, 3, {
        padding: 1,
        bias: false,
        paddingMode: paddingMode as keyof typeof wanted,
      });
      conv.loadStateDict({ weight: zeros([1, 1, 3]).add(1) });
      assertEquals(numbers(conv.forward(x)), [...sums], paddingMode);
    }
  });
});

Deno.test("windows: ConvTranspose2d reaches a wanted size", () => {
  on("cpu", () => {
    const up = new nn.ConvTranspose2d(1, 1, 3, { stride: 2, padding: 1 });
    const x = zeros([1, 1, 4, 4]);
    assertEquals(up.forward(x).shape, [1, 1, 7, 7]);
    assertEquals(up.forward(x, { outputSize: [8, 7] }).shape, [1, 1, 8, 7]);
    throwsExactly(
      () => up.forward(x, { outputSize: [9, 7] }),
      RangeError,
      "Cannot apply ConvTranspose2d with outputSize [9, 7]: it must be from [7, 7] to [8, 8]",
    );
  });
});

type Bad = readonly [call: () => unknown, type: new (message: string) => Error, message: string];

const z = (...shape: number[]) => zeros(shape);

const bad: readonly Bad[] = [
  [
    () => F.conv2d(z(2, 3, 8, 8), z(4, 5, 3, 3)),
    TypeError,
    "Cannot apply conv2d to [2, 3, 8, 8]: it has 3 channels, weight [4, 5, 3, 3] with groups 1 wants 5",
  ],
  [
    () => F.conv2d(z(8, 8), z(4, 5, 3, 3)),
    TypeError,
    "Cannot apply conv2d to [8, 8]: 3 or 4 dimensions are needed",
  ],
  [
    () => F.conv1d(z(1, 2, 8), z(2, 2, 3, 3)),
    TypeError,
    "Cannot apply conv1d with weight [2, 2, 3, 3]: 3 dimensions are needed",
  ],
  [
    () => F.conv2d(z(2, 4, 8, 8), z(4, 2, 3, 3), { groups: 3 }),
    RangeError,
    "Cannot apply conv2d with groups 3: it must divide the 4 channels of weight [4, 2, 3, 3]",
  ],
  [
    () => F.conv2d(z(1, 1, 2, 8), z(1, 1, 3, 3)),
    RangeError,
    "Cannot apply conv2d to [1, 1, 2, 8]: the padded size 2 at dim 2 is smaller than the kernel 3",
  ],
  [
    () => F.conv2d(z(1, 1, 4, 4), z(2, 1, 3, 3), { bias: z(3) }),
    TypeError,
    "Cannot apply conv2d with bias [3]: it must be [2]",
  ],
  [
    () => F.conv2d(z(1, 1, 4, 4), z(2, 1, 3, 3), { stride: [1, 2, 3] }),
    TypeError,
    "Cannot apply conv2d with stride [1, 2, 3]: it must be a number or 2 numbers",
  ],
  [
    () => F.conv2d(z(1, 1, 4, 4), z(2, 1, 3, 3), { stride: 0 }),
    RangeError,
    "Cannot apply conv2d with stride [0, 0]: it must be whole, at least 1",
  ],
  [
    () => F.conv2d(z(1, 1, 4, 4), z(2, 1, 3, 3), { padding: "same", stride: 2 }),
    RangeError,
    'Cannot apply conv2d with padding "same" and stride [2, 2]: the stride must be 1',
  ],
  [
    () => F.conv2d(z(1, 1, 4, 4), z(2, 1, 3, 3).double()),
    TypeError,
    "Cannot apply conv2d to float32 with a weight of float64: dtypes must be equal",
  ],
  [
    () => F.conv2d(z(1, 1, 4, 4), z(2, 1, 3, 3), { bias: z(2).double() }),
    TypeError,
    "Cannot apply conv2d to float32 with a bias of float64: dtypes must be equal",
  ],
  [
    () => F.convTranspose2d(z(1, 3, 4, 4), z(2, 1, 3, 3)),
    TypeError,
    "Cannot apply convTranspose2d to [1, 3, 4, 4]: it has 3 channels, weight [2, 1, 3, 3] wants 2",
  ],
  [
    () => F.convTranspose1d(z(1, 2, 4), z(2, 1, 3), { stride: 2, outputPadding: 2 }),
    RangeError,
    "Cannot apply convTranspose1d with outputPadding [2]: it must be below stride [2] or dilation [1]",
  ],
  [
    () => F.maxPool2d(z(1, 1, 4, 4), 2, { padding: 2 }),
    RangeError,
    "Cannot apply maxPool2d with padding [2, 2]: it must be at most half of kernelSize [2, 2]",
  ],
  [
    () => F.maxPool2d(z(1, 1, 4, 4), 5),
    RangeError,
    "Cannot apply maxPool2d to [1, 1, 4, 4] with kernelSize [5, 5]: it is larger than the padded input",
  ],
  [
    () => F.avgPool2d(z(4, 4), 2),
    TypeError,
    "Cannot apply avgPool2d to [4, 4]: 3 or 4 dimensions are needed",
  ],
  [
    () => F.avgPool2d(z(1, 1, 4, 4), 2, { divisorOverride: 0 }),
    RangeError,
    "Cannot apply avgPool2d with divisorOverride 0: it must not be 0",
  ],
  [
    () => F.fractionalMaxPool2d(z(1, 1, 4, 4), 2, {}),
    TypeError,
    "Cannot apply fractionalMaxPool2d: give either outputSize or outputRatio",
  ],
  [
    () => F.unfold(z(1, 1, 2, 2), 3),
    RangeError,
    "Cannot unfold [1, 1, 2, 2]: the padded size 2 is smaller than the kernel 3",
  ],
  [
    () => F.fold(z(1, 4, 3), 3, 2),
    TypeError,
    "Cannot fold [1, 4, 3] to [3, 3]: it must be [N, C * 4, 4]",
  ],
  [
    () => F.fold(z(1, 9, 1), 2, 3),
    RangeError,
    "Cannot apply fold with outputSize [2, 2]: the padded size 2 is smaller than the kernel 3",
  ],
  [
    () => F.lpPool2d(z(1, 1, 4, 4), 0, 2),
    RangeError,
    "Cannot apply lpPool2d with normType 0: it must be a finite number other than 0",
  ],
  [
    () => F.adaptiveMaxPool2d(z(1, 1, 4, 4), [2, 1.5]),
    RangeError,
    "Cannot apply adaptiveMaxPool2d with outputSize [2, 1.5]: it must be whole, at least 0",
  ],
  [
    () => F.pixelShuffle(z(1, 6, 2, 2), 2),
    TypeError,
    "Cannot apply pixelShuffle to [1, 6, 2, 2] with upscaleFactor 2: the channels must be a multiple of 4",
  ],
  [
    () => F.channelShuffle(z(1, 6, 2, 2), 4),
    TypeError,
    "Cannot apply channelShuffle to [1, 6, 2, 2] with groups 4: they must divide the channels",
  ],
  [
    () => new nn.Conv2d(4, 6, 3, { groups: 4 }),
    RangeError,
    "Cannot make Conv2d with outChannels 6: it must be a multiple of groups 4",
  ],
  [
    () => new nn.Conv2d(0, 6, 3),
    RangeError,
    "Cannot make Conv2d with inChannels 0: it must be a whole number of at least 1",
  ],
  [
    () => new nn.Conv2d(1, 6, 0),
    RangeError,
    "Cannot make Conv2d with kernelSize [0, 0]: it must be whole, at least 1",
  ],
  [
    () => new nn.ConvTranspose1d(1, 6, 3, { outputPadding: [1, 2] }),
    TypeError,
    "Cannot make ConvTranspose1d with outputPadding [1, 2]: it must be one number",
  ],
  [
    () => new nn.MaxPool3d([2, 0, 2]),
    RangeError,
    "Cannot make MaxPool3d with kernelSize [2, 0, 2]: it must be whole, at least 1",
  ],
  [
    () => new nn.FractionalMaxPool2d(2, { outputRatio: 2 }),
    RangeError,
    "Cannot make FractionalMaxPool2d with outputRatio [2, 2]: it must lie between 0 and 1",
  ],
  [
    () => new nn.MaxPool2d(2, { padding: 5 }),
    RangeError,
    "Cannot make MaxPool2d with padding [5, 5]: it must be at most half of kernelSize [2, 2]",
  ],
  [
    () => new nn.MaxPool2d(2, { stride: 0 }),
    RangeError,
    "Cannot make MaxPool2d with stride [0, 0]: it must be whole, at least 1",
  ],
  [
    () => new nn.AvgPool3d(2, { divisorOverride: 0 }),
    RangeError,
    "Cannot make AvgPool3d with divisorOverride 0: it must not be 0",
  ],
  [
    () => new nn.LPPool2d(0, 2),
    RangeError,
    "Cannot make LPPool2d with normType 0: it must be a finite number other than 0",
  ],
  [
    () => new nn.AdaptiveAvgPool2d(0),
    RangeError,
    "Cannot make AdaptiveAvgPool2d with outputSize [0, 0]: it must be whole, at least 1",
  ],
  [
    () => new nn.AdaptiveMaxPool3d([2, null]),
    TypeError,
    "Cannot make AdaptiveMaxPool3d with outputSize [2, null]: it must be a number or 3 numbers",
  ],
  [
    () => new nn.Unfold(0),
    RangeError,
    "Cannot make Unfold with kernelSize [0, 0]: it must be whole, at least 1",
  ],
  [
    () => new nn.Fold(2, 3),
    RangeError,
    "Cannot make Fold with outputSize [2, 2]: the padded size 2 is smaller than the kernel 3",
  ],
  [
    () => new nn.PixelShuffle(0),
    RangeError,
    "Cannot make PixelShuffle with upscaleFactor 0: it must be a whole number of at least 1",
  ],
  [
    () => new nn.ConvTranspose2d(1, 6, 3, { stride: 2, outputPadding: 2 }),
    RangeError,
    "Cannot make ConvTranspose2d with outputPadding [2, 2]: it must be below stride [2, 2] or dilation [1, 1]",
  ],
  [
    () => new nn.Conv2d(1, 6, 3, { padding: "same", stride: 2 }),
    RangeError,
    'Cannot make Conv2d with padding "same" and stride [2, 2]: the stride must be 1',
  ],
  [
    () => new nn.Conv2d(3, 6, 3).forward(z(2, 4, 8, 8)),
    TypeError,
    "Cannot apply Conv2d to [2, 4, 8, 8]: it must be [N, 3, H, W] or [3, H, W], the channels inChannels",
  ],
];

bad.forEach(([call, type, message]) => {
  Deno.test(`windows: ${message}`, () => on("ref", () => throwsExactly(call, type, message)));
});
