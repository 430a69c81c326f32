/** Images: grids, resizing, padding. Values against PyTorch are in tests/golden. */
import { assertEquals } from "@std/assert";
import { arange, grad, nn, type Tensor, tensor, zeros } from "@pta/core";
import { closeNumbers, numbers, throwsExactly } from "./assert.ts";
import { eachDevice, on } from "./devices.ts";
import { type GradientCase, gradientTests, leaves, noise } from "./nn_cases.ts";

const F = nn.functional;
const modes = ["bilinear", "nearest", "bicubic"] as const;
const paddings = ["zeros", "border", "reflection"] as const;

gradientTests("vision", () => {
  const x = noise([1, 1, 4, 3], 1), volume = noise([1, 1, 3, 2, 2], 2);
  // Some positions lie outside.
  const grid = noise([1, 3, 2, 2], 3).mul(1.6), grid3 = noise([1, 1, 2, 2, 3], 4).mul(1.6);
  const samples = [true, false].flatMap((alignCorners) =>
    paddings.flatMap((paddingMode) => [
      ...modes.map((mode): GradientCase => [
        `gridSample ${mode} ${paddingMode}, alignCorners ${alignCorners}`,
        (x, g) => F.gridSample(x, g, { mode, paddingMode, alignCorners }),
        [x, grid],
        mode === "bilinear" && alignCorners ? 2 : 1,
      ]),
      [
        `gridSample of a volume ${paddingMode}, alignCorners ${alignCorners}`,
        (x, g) => F.gridSample(x, g, { paddingMode, alignCorners }),
        [volume, grid3],
      ] as GradientCase,
    ])
  );
  return [
    ...samples,
    ["affineGrid", (t) => F.affineGrid(t, [2, 1, 3, 4]), [noise([2, 2, 3], 5)]],
    ["affineGrid of a volume", (t) => F.affineGrid(t, [1, 1, 2, 3, 4]), [noise([1, 3, 4], 5)]],
    ["bicubic", (x) => F.interpolate(x, { size: [5, 7], mode: "bicubic" }), [x], 2],
    [
      "antialias",
      (x) => F.interpolate(x, { size: [2, 2], mode: "bilinear", antialias: true }),
      [x],
    ],
    ["reflect", (x) => F.pad(x, [2, 1, 1, 2], { mode: "reflect" }), [x], 2],
    ["circular", (x) => F.pad(x, [2, 1, 1, 2], { mode: "circular" }), [x]],
  ];
});

const identity = (n: number, spatial: 2 | 3, dtype: "float32" | "float64") => {
  const rows = Array.from(
    { length: spatial },
    (_, i) => Array.from({ length: spatial + 1 }, (_, j) => i === j ? 1 : 0),
  );
  return tensor(Float64Array.from(Array.from({ length: n }, () => rows).flat(2)), {
    shape: [n, spatial, spatial + 1],
  }).to(dtype);
};

eachDevice("gridSample: the identity gives the input back, a flip flips", () => {
  for (const alignCorners of [true, false]) {
    for (const mode of modes) {
      const x = noise([2, 3, 5, 4], 1).float();
      const theta = identity(2, 2, "float32");
      const grid = F.affineGrid(theta, [2, 3, 5, 4], { alignCorners });
      const options = { mode, alignCorners };
      closeNumbers(numbers(F.gridSample(x, grid, options)), numbers(x), { atol: 1e-5 }, mode);
      const flipped = F.affineGrid(
        tensor([-1, 0, 0, 0, 1, 0], { shape: [1, 2, 3] }).float().expand(2, 2, 3),
        [2, 3, 5, 4],
        { alignCorners },
      );
      closeNumbers(
        numbers(F.gridSample(x, flipped, options)),
        numbers(x.flip(3)),
        { atol: 1e-5 },
        `${mode} flipped`,
      );
    }
    const v = noise([1, 2, 3, 4, 2], 2).float();
    const grid = F.affineGrid(identity(1, 3, "float32"), [1, 2, 3, 4, 2], { alignCorners });
    closeNumbers(numbers(F.gridSample(v, grid, { alignCorners })), numbers(v), { atol: 1e-5 });
    assertEquals(numbers(F.gridSample(v, grid, { mode: "nearest", alignCorners })), numbers(v));
  }
});

eachDevice("gridSample: positions outside, NaN and infinity", () => {
  const x = tensor([1, 2, 3, 4], { shape: [1, 1, 1, 4] }).float();
  const at = [-5, 5, NaN, Infinity, -Infinity];
  const grid = tensor(Float32Array.from(at.flatMap((p) => [p, 0])), { shape: [1, 1, 5, 2] });
  const read = (paddingMode: typeof paddings[number], mode: typeof modes[number]) =>
    numbers(F.gridSample(x, grid, { paddingMode, mode }));
  for (const mode of modes) assertEquals(read("zeros", mode), [0, 0, 0, 0, 0], mode);
  for (const mode of ["bilinear", "nearest"] as const) {
    assertEquals(read("border", mode), [1, 4, 1, 4, 1], mode);
  }
  // An infinite element outside of a window does not spoil it.
  const wild = tensor([Infinity, 2, 3, 4], { shape: [1, 1, 1, 4] }).float();
  assertEquals(numbers(F.gridSample(wild, grid)), [0, 0, 0, 0, 0]);
});

eachDevice("gridSample: where positions are cut off no gradient flows to them", () => {
  const [x, grid] = leaves([
    noise([1, 1, 3, 3], 1),
    tensor([2, 0.1, -0.2, 0.1], {
      shape: [1, 1, 2, 2],
    }),
  ]);
  const [, g] = grad(F.gridSample(x, grid, { paddingMode: "border" }).sum(), [x, grid]);
  const [outside, , inside] = numbers(g);
  assertEquals([outside, inside !== 0], [0, true]);
  const [, none] = grad(F.gridSample(x, grid, { mode: "nearest" }).sum(), [x, grid]);
  assertEquals(numbers(none), [0, 0, 0, 0]);
});

eachDevice("interpolate: linear modes keep a ramp, alignCorners its ends", () => {
  const ramp = arange(5).float().reshape(1, 1, 5);
  const fine = F.interpolate(ramp, { size: 9, mode: "linear", alignCorners: true });
  closeNumbers(numbers(fine), Array.from({ length: 9 }, (_, i) => i / 2), {}, "fine");
  const nearest = F.interpolate(ramp, { scaleFactor: 2 });
  assertEquals(numbers(nearest), [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]);
});

Deno.test("vision: bad arguments are refused", () =>
  on("ref", () => {
    const x = zeros([2, 3, 4, 5]), grid = zeros([2, 6, 7, 2]);
    const shapes =
      "they must be [N, C, H, W] and [N, h, w, 2], or [N, C, D, H, W] and [N, d, h, w, 3]";
    const wrong = (x: Tensor, grid: Tensor): [() => unknown, typeof TypeError, string] => [
      () => F.gridSample(x, grid),
      TypeError,
      `Cannot sample [${x.shape.join(", ")}] at grid [${grid.shape.join(", ")}]: ${shapes}`,
    ];
    const table: [() => unknown, new (m: string) => Error, string][] = [
      wrong(x, zeros([1, 6, 7, 2])),
      wrong(x, zeros([2, 6, 7, 3])),
      wrong(x, zeros([2, 6, 2])),
      [
        () => F.gridSample(x, grid.to("float64")),
        TypeError,
        "Cannot sample [2, 3, 4, 5] at grid [2, 6, 7, 2]: dtypes float32 and float64 must be equal",
      ],
      [
        () => F.gridSample(zeros([1, 1, 2, 2, 2]), zeros([1, 1, 1, 1, 3]), { mode: "bicubic" }),
        RangeError,
        "Cannot sample [1, 1, 2, 2, 2] at grid [1, 1, 1, 1, 3] with mode bicubic: volumes take bilinear or nearest",
      ],
      [
        () => F.gridSample(x, grid, { mode: "linear" as "bilinear" }),
        RangeError,
        "Cannot sample with mode linear: it must be nearest, bilinear, bicubic",
      ],
      [
        () => F.gridSample(x, grid, { paddingMode: "reflect" as "zeros" }),
        RangeError,
        "Cannot sample with paddingMode reflect: it must be zeros, border, reflection",
      ],
      [
        () => F.affineGrid(zeros([2, 2, 3]), [2, 3, 4]),
        TypeError,
        "Cannot make an affine grid of size [2, 3, 4] from theta [2, 2, 3]: they must be [N, C, H, W] and [N, 2, 3], or [N, C, D, H, W] and [N, 3, 4]",
      ],
      [
        () => F.affineGrid(zeros([2, 2, 3]), [2, 3, 0, 4]),
        RangeError,
        "Cannot make an affine grid of size [2, 3, 0, 4]: sizes must be whole numbers of at least 1",
      ],
    ];
    for (const [fn, type, message] of table) throwsExactly(fn, type, message);
  }));
