/** Mixup and cutmix against what their draws say; SyncBatchNorm; the model's summary. */
import { assert, assertAlmostEquals, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { data, nn, type Tensor, tensor } from "@pta/core";
import {
  type Callback,
  CallbackError,
  cutmix,
  mixup,
  mixupOrCutmix,
  modelSummary,
  syncBatchNorm,
} from "@pta/trainer";
import { hostRandom, permutation, symmetricBeta } from "../trainer/callbacks/host_random.ts";
import { smallDataset, smallModel, smallTrainer, weightsOf } from "./trainer_support.ts";

type Rows = number[][];

/** Trains with a callback that mixes and returns the batches the model was given, with the originals. */
async function mixed(
  callback: Callback,
  options: {
    dataset?: data.Dataset;
    numEpochs?: number;
    capture?: boolean;
    model?: nn.Module;
    seed?: number;
  } = {},
) {
  const batches: { x: number[]; y: Rows; originalX: number[]; originalY: number[] }[] = [];
  const flat = (t: Tensor) => Array.from(t.data() as ArrayLike<number | bigint>, Number);
  let original: Tensor[] = [];
  const trainer = smallTrainer({
    model: options.model ?? smallModel(),
    capture: options.capture,
    seed: options.seed ?? 3,
    callbacks: [
      { name: "before", onTrainStepStart: (_, { batch }) => void (original = batch as Tensor[]) },
      callback,
      {
        name: "after",
        onTrainStepEnd: (_, { batch }) => {
          const [x, y] = batch as Tensor[];
          batches.push({
            x: flat(x),
            y: y.ndim === 2 ? y.toArray() as Rows : flat(y).map((c) => [c]),
            originalX: flat(original[0]),
            originalY: flat(original[1]),
          });
        },
      },
    ],
  });
  await trainer.train({
    trainDataset: options.dataset ?? smallDataset(22),
    numEpochs: options.numEpochs ?? 2,
    perDeviceBatchSize: 8,
  });
  return { batches, trainer };
}

const rowsOf = (x: readonly number[], n: number) => {
  const width = x.length / n;
  return Array.from({ length: n }, (_, i) => x.slice(i * width, (i + 1) * width));
};

for (const capture of [true, false]) {
  Deno.test(`mixup: inputs and targets have the same share of the same partner, ${capture ? "captured" : "plain"}`, async () => {
    const { batches, trainer } = await mixed(mixup({ alpha: 1, numClasses: 3 }), { capture });
    assertEquals(batches.length, 6);
    const shares = new Set<string>();
    for (const { x, y, originalX, originalY } of batches) {
      const n = originalY.length, own = rowsOf(originalX, n), got = rowsOf(x, n);
      let found: number | undefined;
      for (let i = 0; i < n; i++) {
        // A sample may be its own partner.
        if (got[i].every((v, d) => Math.abs(v - own[i][d]) < 1e-5)) continue;
        // The partner is the one whose mixture gives all four numbers with one share.
        const fits = own.flatMap((other, j) => {
          const k = other.findIndex((v, d) => v !== own[i][d]);
          if (k < 0) return [];
          const share = (got[i][k] - other[k]) / (own[i][k] - other[k]);
          const isMix = got[i].every((v, d) =>
            Math.abs(v - share * own[i][d] - (1 - share) * other[d]) < 1e-4
          );
          return isMix ? [{ j, share }] : [];
        });
        assert(fits.length > 0, `sample ${i} is no mixture`);
        const expected = [0, 1, 2].map((c) => {
          const { j, share } = fits[0];
          return (originalY[i] === c ? share : 0) + (originalY[j] === c ? 1 - share : 0);
        });
        y[i].forEach((v, c) => assertAlmostEquals(v, expected[c], 1e-3));
        found ??= fits[0].share;
        assertAlmostEquals(fits[0].share, found, 1e-2, "one share a batch");
      }
      if (found !== undefined) shares.add(found.toFixed(3));
      y.forEach((row) => assertAlmostEquals(row.reduce((a, b) => a + b), 1, 1e-5));
    }
    assert(shares.size > 2, [...shares].join());
    assert(Number.isFinite(trainer.runHistory.latest("train_loss_epoch")));
  });
}

Deno.test("mixup: what is drawn depends on seed, epoch and step alone", async () => {
  const make = () => mixup({ numClasses: 3 });
  const [a, b] = [await mixed(make()), await mixed(make(), { capture: false })];
  a.batches.forEach((batch, i) =>
    batch.y.flat().forEach((v, k) => assertAlmostEquals(v, b.batches[i].y.flat()[k], 1e-6))
  );
  const other = await mixed(make(), { seed: 4 });
  assert(other.batches.some((batch, i) => `${batch.y}` !== `${a.batches[i].y}`));
});

Deno.test("mixup: not in all batches, not in all epochs, with smoothed labels", async () => {
  const never = await mixed(mixup({ numClasses: 3, probability: 0, labelSmoothing: 0.3 }));
  for (const { x, y, originalX, originalY } of never.batches) {
    x.forEach((v, i) => assertAlmostEquals(v, originalX[i], 1e-6));
    y.forEach((row, i) =>
      row.forEach((v, c) => assertAlmostEquals(v, originalY[i] === c ? 0.8 : 0.1, 1e-6))
    );
  }
  const { batches } = await mixed(mixup({ numClasses: 3, untilEpoch: 1 }), { numEpochs: 2 });
  assert(batches.slice(0, 3).every((b) => b.y[0].length === 3));
  assert(batches.slice(3).every((b) => b.y[0].length === 1));
});

/** Images whose pixels say which sample they belong to. */
function images(n: number): data.TensorDataset {
  const x = Float32Array.from({ length: n * 2 * 6 * 5 }, (_, i) => Math.floor(i / 60) + 1);
  return new data.TensorDataset(
    tensor(x, { shape: [n, 2, 6, 5] }),
    tensor(BigInt64Array.from({ length: n }, (_, i) => BigInt(i % 3))),
  );
}

const imageModel = () => new nn.Sequential(new nn.Flatten(), new nn.Linear(60, 3));

Deno.test("cutmix: a rectangle from one partner, targets by its area", async () => {
  const options = { dataset: images(16), model: imageModel(), numEpochs: 3 };
  const { batches } = await mixed(cutmix({ numClasses: 3 }), options);
  let pasted = 0;
  for (const { x, y, originalX, originalY } of batches) {
    const n = originalY.length, own = rowsOf(originalX, n), got = rowsOf(x, n);
    for (let i = 0; i < n; i++) {
      const mine = own[i][0],
        foreign = got[i].map((v, k) => v === mine ? -1 : k).filter((k) => k >= 0);
      if (foreign.length === 0) continue;
      pasted++;
      const other = own.findIndex((row) => row[0] === got[i][foreign[0]]);
      assert(foreign.every((k) => got[i][k] === own[other][0]), "one partner");
      const places = foreign.map((k) => k % 30), height = places.map((p) => Math.floor(p / 5));
      const width = places.map((p) => p % 5);
      const span = (v: number[]) => Math.max(...v) - Math.min(...v) + 1;
      // The same rectangle in both channels, without a hole.
      assertEquals(foreign.length, 2 * span(height) * span(width));
      const share = 1 - foreign.length / 60;
      [0, 1, 2].forEach((c) =>
        assertAlmostEquals(
          y[i][c],
          (originalY[i] === c ? share : 0) + (originalY[other] === c ? 1 - share : 0),
          1e-5,
        )
      );
    }
  }
  assert(pasted > 10, `${pasted}`);
});

Deno.test("mixupOrCutmix: both occur", async () => {
  const options = { dataset: images(16), model: imageModel(), numEpochs: 6 };
  const { batches } = await mixed(mixupOrCutmix({ numClasses: 3, mixupAlpha: 1 }), options);
  const isWhole = (x: readonly number[]) => x.every((v) => Math.abs(v - Math.round(v)) < 1e-6);
  const cut = batches.filter((b) => isWhole(b.x)).length;
  assert(cut > 0 && cut < batches.length, `${cut} of ${batches.length}`);
});

Deno.test("mixing: what is wrong is said, with the callback and the event", async () => {
  const error = await assertRejects(() => mixed(mixup()), CallbackError);
  assertEquals(
    error.message,
    'Callback "mixup" failed in onTrainStepStart: RangeError: Cannot mix targets that are classes without numClasses',
  );
  const flat = await assertRejects(() => mixed(cutmix({ numClasses: 3 })), CallbackError);
  assert(flat.message.includes("inputs of shape [8, 4]"), flat.message);
  assertThrows(() => mixup({ alpha: 0 }), RangeError, "Cannot mix with alpha 0");
  assertThrows(() => cutmix({ probability: 2 }), RangeError, "probability 2");
});

Deno.test("host random numbers: uniform, beta, permutations, a function of their words", () => {
  const uniform = hostRandom(1, 2, 3), values = Array.from({ length: 20_000 }, uniform);
  const mean = (v: readonly number[]) => v.reduce((a, b) => a + b) / v.length;
  const variance = (v: readonly number[]) => mean(v.map((x) => x * x)) - mean(v) ** 2;
  assert(values.every((v) => v > 0 && v < 1));
  assertAlmostEquals(mean(values), 0.5, 0.01);
  assertAlmostEquals(variance(values), 1 / 12, 0.003);
  assertEquals(hostRandom(1, 2, 3)(), values[0]);
  // Neighbours differ in every word, also in the upper half of large ones.
  const words = [[1, 2, 3], [2, 2, 3], [1, 3, 3], [1, 2, 4], [1 + 2 ** 40, 2, 3], [1, 2]];
  assertEquals(new Set(words.map((w) => hostRandom(...w)())).size, 6);
  for (const alpha of [0.2, 1, 4]) {
    const draw = hostRandom(7, alpha * 10),
      beta = Array.from(
        { length: 20_000 },
        () => symmetricBeta(alpha, draw),
      );
    assert(beta.every((v) => v >= 0 && v <= 1));
    assertAlmostEquals(mean(beta), 0.5, 0.015);
    assertAlmostEquals(variance(beta), 1 / (4 * (2 * alpha + 1)), 0.006);
  }
  const draw = hostRandom(5), first = [0, 0, 0];
  for (let i = 0; i < 3000; i++) {
    const p = permutation(3, draw);
    assertEquals([...p].sort(), [0n, 1n, 2n]);
    first[Number(p[0])]++;
  }
  for (const n of first) assert(Math.abs(n - 1000) < 120, `${first}`);
});

Deno.test("syncBatchNorm: alone nothing changes; conversion keeps the tensors and so the optimizer", async () => {
  const make = () => {
    const model = smallModel();
    return new nn.Sequential(model.children()[0], new nn.BatchNorm1d(8), model.children()[2]);
  };
  const model = make();
  const before = model.stateDict(), norm = model.children()[1] as nn.BatchNorm1d;
  const trainer = smallTrainer({ model, callbacks: [syncBatchNorm()] });
  const run = () =>
    trainer.train({ trainDataset: smallDataset(12), numEpochs: 1, perDeviceBatchSize: 4 });
  await run();
  assert(model.children()[1] === norm);
  nn.SyncBatchNorm.convertSyncBatchNorm(model);
  assert(model.children()[1] instanceof nn.SyncBatchNorm);
  const after = model.stateDict();
  assertEquals(Object.keys(after), Object.keys(before));
  for (const name of Object.keys(before)) assert(after[name] === before[name], name);
  // The optimizer made before goes on training the converted model.
  const weights = weightsOf(norm);
  await run();
  assert(weightsOf(norm).some((w, i) => w !== weights[i]));
});

Deno.test("modelSummary: printed once a run, before the first step", async () => {
  const trainer = smallTrainer({ callbacks: [modelSummary()] });
  const options = { trainDataset: smallDataset(12), numEpochs: 2, perDeviceBatchSize: 4 };
  await trainer.train(options);
  assertEquals(trainer.lines, [`${nn.summary(trainer.model, [4, 4])}`]);
  await trainer.train(options);
  assertEquals(trainer.lines.length, 2);
  const shown = smallTrainer({ callbacks: [modelSummary({ inputs: [1, 4], depth: 0 })] });
  await shown.train(options);
  assertEquals(shown.lines, [`${nn.summary(shown.model, [1, 4], { depth: 0 })}`]);
});
