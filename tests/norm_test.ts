/** Normalisations: gradients, running statistics, several ranks. Values against PyTorch are in tests/golden. */
import { assert, assertEquals } from "@std/assert";
import { nn, type Tensor, tensor, zeros } from "@pta/core";
import { roundTo } from "../core/dtype.ts";
import { closeNumbers, numbers, throwsExactly } from "./assert.ts";
import { eachDevice, on } from "./devices.ts";
import { type Result, rows, run, scaled } from "./fixtures/sync_batch_norm_script.ts";
import { gradientTests, noise } from "./nn_cases.ts";

const F = nn.functional;

gradientTests("norm", () => {
  const x = noise([3, 4, 2], 1), w = noise([4], 2), b = noise([4], 3);
  const last = noise([2], 4), shift = noise([2], 5);
  const mean = noise([4], 6), variance = noise([4], 7).abs().add(0.5);
  return [
    [
      "batchNorm in training",
      (x, weight, bias) => F.batchNorm(x, { weight, bias, training: true }),
      [x, w, b],
      2,
    ],
    [
      "batchNorm in evaluation",
      (x, weight, bias) =>
        F.batchNorm(x, { runningMean: mean, runningVar: variance, weight, bias, training: false }),
      [x, w, b],
      2,
    ],
    ["groupNorm", (x, weight, bias) => F.groupNorm(x, 2, { weight, bias }), [x, w, b], 2],
    [
      "instanceNorm",
      (x, weight, bias) => F.instanceNorm(x.repeat(1, 1, 2).square(), { weight, bias }),
      [x, w, b],
    ],
    ["layerNorm", (x, weight, bias) => F.layerNorm(x, [2], { weight, bias }), [x, last, shift], 2],
    ["rmsNorm", (x, weight) => F.rmsNorm(x, [2], { weight, eps: 1e-5 }), [x, last], 2],
    ["localResponseNorm", (x) => F.localResponseNorm(x, 3, { alpha: 0.5 }), [x]],
  ];
});

/** Mean and variance (divided by `count - less`) of each of four channels. */
function moments(x: Tensor, less: 0 | 1): { mean: number[]; variance: number[] } {
  const [n, channels, length] = x.shape, all = numbers(x);
  const columns = Array.from(
    { length: channels },
    (_, c) => all.filter((_, i) => Math.floor(i / length) % channels === c),
  );
  const mean = columns.map((v) => v.reduce((a, b) => a + b, 0) / (n * length));
  const variance = columns.map((v, c) =>
    v.reduce((s, y) => s + (y - mean[c]) ** 2, 0) / (n * length - less)
  );
  return { mean, variance };
}

const batches = () => [1, 2, 3].map((seed) => noise([3, 4, 5], seed).mul(seed).add(seed).float());

/** Running values after the batches, in plain numbers. */
function running(share: (batch: number) => number, which: "mean" | "variance"): number[] {
  return batches().reduce((kept, x, i) => {
    const seen = moments(x, 1)[which], m = share(i + 1);
    return kept.map((k, c) => (1 - m) * k + m * seen[c]);
  }, new Array<number>(4).fill(which === "mean" ? 0 : 1));
}

const shares: Readonly<Record<string, [momentum: number | null, share: (i: number) => number]>> = {
  "momentum 0.3": [0.3, () => 0.3],
  "momentum null, the plain average": [null, (i) => 1 / i],
};

for (const [name, [momentum, share]] of Object.entries(shares)) {
  eachDevice(`norm: running statistics with ${name}`, () => {
    const norm = new nn.BatchNorm1d(4, { momentum, affine: false });
    for (const x of batches()) {
      const y = numbers(norm.forward(x)), { mean, variance } = moments(x, 0);
      const at = (i: number) => Math.floor(i / 5) % 4;
      const wanted = numbers(x).map((v, i) =>
        (v - mean[at(i)]) / Math.sqrt(variance[at(i)] + 1e-5)
      );
      closeNumbers(y, wanted, { atol: 1e-5 }, "by its own batch");
    }
    const mean = running(share, "mean"), variance = running(share, "variance");
    const check = (what: string) => {
      closeNumbers(numbers(norm.running_mean!), mean, {}, `mean ${what}`);
      closeNumbers(numbers(norm.running_var!), variance, {}, `variance ${what}`);
      assertEquals(numbers(norm.num_batches_tracked!), [3]);
    };
    check("after training");
    norm.eval();
    const x = batches()[0], y = numbers(norm.forward(x));
    const wanted = numbers(x).map((v, i) => {
      const c = Math.floor(i / 5) % 4;
      return (v - mean[c]) / Math.sqrt(variance[c] + 1e-5);
    });
    closeNumbers(y, wanted, { atol: 1e-5 }, "by the statistics");
    check("after evaluation");
    norm.resetRunningStats();
    assertEquals(numbers(norm.running_var!), [1, 1, 1, 1]);
    assertEquals(numbers(norm.num_batches_tracked!), [0]);
  });
}

eachDevice("norm: statistics follow also when nobody reads the output", () => {
  const norm = new nn.BatchNorm1d(4), read = new nn.BatchNorm1d(4);
  for (const x of batches()) {
    norm.forward(x);
    read.forward(x).realize();
  }
  closeNumbers(numbers(norm.running_mean!), numbers(read.running_mean!), {}, "mean");
  closeNumbers(numbers(norm.running_var!), numbers(read.running_var!), {}, "variance");
});

eachDevice("norm: without running statistics evaluation normalises by the batch too", () => {
  const norm = new nn.BatchNorm1d(4, { trackRunningStats: false }), [x] = batches();
  assertEquals(Object.keys(norm.stateDict()), ["weight", "bias"]);
  const y = numbers(norm.forward(x));
  norm.eval();
  assertEquals(numbers(norm.forward(x)), y);
});

eachDevice("norm: a wide offset does not spoil the variance", () => {
  const x = noise([64, 4], 1).float(), far = x.add(1000);
  const norm = new nn.BatchNorm1d(4, { affine: false });
  // The offset itself costs digits of the input.
  closeNumbers(numbers(norm.forward(far)), numbers(norm.forward(x)), { atol: 1e-3 }, "batch");
  const layer = new nn.LayerNorm(4);
  closeNumbers(numbers(layer.forward(far)), numbers(layer.forward(x)), { atol: 2e-2 }, "layer");
});

const root = new URL("..", import.meta.url);

Deno.test("norm: SyncBatchNorm on two ranks is BatchNorm on all rows", async (t) => {
  const folder = await Deno.makeTempDir();
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "-A",
      "launch/launch.ts",
      "--cpu",
      "--num-processes",
      "2",
      "tests/fixtures/sync_batch_norm_script.ts",
      `${folder}/rank`,
    ],
    cwd: root,
    stdin: "null",
  }).output();
  assert(success, new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr));
  const ranks = [0, 1].map((r): Result => JSON.parse(Deno.readTextFileSync(`${folder}/rank.${r}`)));
  await Deno.remove(folder, { recursive: true });
  const whole = on("cpu", () => run(scaled(new nn.BatchNorm1d(4)), 0, rows[0] + rows[1]));
  const tolerance = { atol: 2e-6, rtol: 1e-4 };
  for (const key of ["output", "gradX", "evaluation"] as const) {
    await t.step(
      `${key} of the ranks joined`,
      () => closeNumbers(ranks.flatMap((r) => r[key]), whole[key], tolerance, key),
    );
  }
  for (const key of ["gradWeight", "gradBias"] as const) {
    await t.step(
      `${key} summed over the ranks`,
      () =>
        closeNumbers(ranks[0][key].map((g, c) => g + ranks[1][key][c]), whole[key], tolerance, key),
    );
  }
  for (const key of ["mean", "variance"] as const) {
    await t.step(`running ${key} on both ranks`, () => {
      for (const r of ranks) closeNumbers(r[key], whole[key], tolerance, key);
    });
  }
  assertEquals(ranks.map((r) => r.tracked), [2, 2]);
});

eachDevice("norm: convertSyncBatchNorm replaces them in the whole model", () => {
  const model = new nn.Sequential(
    new nn.Linear(3, 4),
    new nn.Sequential(new nn.BatchNorm1d(4, { momentum: null, eps: 0.1 }), new nn.ReLU()),
  );
  const x = noise([5, 3], 1).float();
  model.forward(x).realize();
  model.eval();
  const y = numbers(model.forward(x)), keys = Object.keys(model.stateDict());
  const made = nn.SyncBatchNorm.convertSyncBatchNorm(model);
  const names = [...made.namedModules()].map(([, m]) => m.constructor.name);
  assert(names.includes("SyncBatchNorm") && !names.includes("BatchNorm1d"));
  assertEquals(Object.keys(made.stateDict()), keys);
  assertEquals(numbers(made.forward(x) as Tensor), y);
});

Deno.test("norm: bad arguments are refused", () =>
  on("ref", () => {
    const table: [() => unknown, new (m: string) => Error, string][] = [
      [
        () => new nn.BatchNorm2d(4).forward(zeros([2, 4, 5])),
        TypeError,
        "Cannot apply BatchNorm2d to [2, 4, 5]: 4 dimensions are needed",
      ],
      [
        () => new nn.BatchNorm1d(4).forward(zeros([2, 3, 5])),
        TypeError,
        "Cannot apply BatchNorm1d to [2, 3, 5]: it has 3 channels, not numFeatures 4",
      ],
    ];
    for (const [fn, type, message] of table) throwsExactly(fn, type, message);
  }));

eachDevice(
  "batchNorm: statistics of 16 bits in one pass, far from 0 and with a first value far from the others",
  (device) => {
    const count = 4 * 50,
      values = Float32Array.from({ length: 2 * count }, (_, i) => {
        const channel = Math.floor(i / 50) % 2, wave = Math.sin(i * 1.7 + channel);
        // The first value of the second channel is 20 deviations from the mean.
        return roundTo("bfloat16", i === 50 ? 20 : channel === 0 ? 100 + 8 * wave : wave);
      });
    const x = tensor(values, { shape: [4, 2, 50], device });
    const runningMean = zeros([2], { device }), runningVar = zeros([2], { device });
    const y = F.batchNorm(x.to("bfloat16").to("float32"), {
      runningMean,
      runningVar,
      training: true,
      momentum: 1,
    });
    const got = numbers(y), means = numbers(runningMean), variances = numbers(runningVar);
    for (const channel of [0, 1]) {
      const own = Array.from(values).filter((_, i) => Math.floor(i / 50) % 2 === channel);
      const mean = own.reduce((a, b) => a + b) / count;
      const variance = own.reduce((a, b) => a + (b - mean) ** 2, 0) / count;
      closeNumbers([means[channel]], [mean], { rtol: 1e-5, atol: 1e-5 }, "mean");
      closeNumbers(
        [variances[channel]],
        [variance * count / (count - 1)],
        { rtol: 1e-4 },
        "variance",
      );
      const want = own.map((v) => (v - mean) / Math.sqrt(variance + 1e-5));
      const mine = got.filter((_, i) => Math.floor(i / 50) % 2 === channel);
      closeNumbers(mine, want, { atol: 1e-4, rtol: 1e-4 }, "result");
    }
  },
);
