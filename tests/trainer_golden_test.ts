/**
 * Losses of every epoch against pytorch-accelerated's own Trainer, run by tests/golden/trainer.py; where that is wrong, against what it says with the
 * mistake mended. The derivations are in the script.
 */
import { assert, assertEquals } from "@std/assert";
import { data, nn, optim, tensor } from "@pta/core";
import { cosineSchedule, modelEma, type TrainOptions } from "@pta/trainer";
import fixture from "./golden/trainer.json" with { type: "json" };
import { QuietTrainer } from "./trainer_support.ts";

type Losses = { readonly train: number[]; readonly eval: number[]; readonly ema?: number[] };
const cases: Record<string, { losses: Losses; original?: Losses }> = fixture.cases;

const features = 8, classes = 4;

function dataset([x, y]: number[][]): data.TensorDataset {
  return new data.TensorDataset(
    tensor(Float32Array.from(x), { shape: [y.length, features] }),
    tensor(BigInt64Array.from(y, BigInt)),
  );
}

function model(batchNorm: boolean): nn.Sequential {
  // A bias before a norm has no effect and a gradient of rounding noise, which Adam would make steps of.
  const first = new nn.Linear(features, 16, { bias: !batchNorm });
  const last = new nn.Linear(16, classes);
  const { weights } = fixture;
  first.weight.copy_(weights["0.weight"]);
  first.bias?.copy_(weights["0.bias"]);
  last.weight.copy_(weights["2.weight"]);
  last.bias!.copy_(weights["2.bias"]);
  const norm = batchNorm ? [new nn.BatchNorm1d(16)] : [];
  return new nn.Sequential(first, ...norm, new nn.Tanh(), last);
}

/** The orders of the fixture, one an epoch. */
class Orders implements data.Sampler {
  readonly length = fixture.orders[0].length;
  #epoch = 0;
  setEpoch(epoch: number): void {
    this.#epoch = epoch;
  }
  [Symbol.iterator](): Iterator<number> {
    return fixture.orders[this.#epoch][Symbol.iterator]();
  }
}

interface Run extends Partial<TrainOptions> {
  readonly optimizer?: "sgd" | "adamw";
  readonly batchNorm?: boolean;
  readonly ema?: boolean;
  readonly capture: boolean;
}

async function run(options: Run): Promise<Losses> {
  const { optimizer = "sgd", batchNorm = true, ema = false, capture, ...rest } = options;
  const made = model(batchNorm);
  const trainer = new QuietTrainer({
    model: made,
    capture,
    lossFunc: new nn.CrossEntropyLoss(),
    optimizer: optimizer === "sgd"
      ? new optim.SGD(made.parameters(), { lr: 0.1, momentum: 0.9 })
      : new optim.AdamW(made.parameters(), { lr: 0.02 }),
    callbacks: ema ? [modelEma({ decay: 0.9 })] : [],
  });
  await trainer.train({
    trainDataset: dataset(fixture.train),
    evalDataset: dataset(fixture.eval),
    numEpochs: fixture.epochs,
    perDeviceBatchSize: fixture.batch,
    ...rest,
    trainDataLoaderOptions: { sampler: new Orders(), shuffle: undefined },
  });
  const { runHistory } = trainer;
  return {
    train: runHistory.values("train_loss_epoch"),
    eval: runHistory.values("eval_loss_epoch"),
    ...(ema ? { ema: runHistory.values("ema_model_eval_loss_epoch") } : {}),
  };
}

/** The largest relative difference. */
function distance(actual: Losses, expected: Losses): number {
  assertEquals(Object.keys(actual).sort(), Object.keys(expected).sort());
  const keys = Object.keys(expected) as (keyof Losses)[];
  return Math.max(
    ...keys.flatMap((key) =>
      expected[key]!.map((x, epoch) => Math.abs(actual[key]![epoch] - x) / Math.abs(x))
    ),
  );
}

const ours: Record<string, Omit<Run, "capture">> = {
  plain: {},
  clipValue: { gradientClipValue: 0.02 },
  clipNorm: { gradientClipNorm: 0.1 },
  cosine: { optimizer: "adamw", createScheduler: cosineSchedule({ warmUp: { epochs: 1 } }) },
  accumulation: { batchNorm: false, perDeviceBatchSize: 2, gradientAccumulationSteps: 4 },
  ema: { optimizer: "adamw", ema: true },
};

Deno.test("golden trainer: every case of the fixture is run", () => {
  assertEquals(Object.keys(cases).sort(), Object.keys(ours).sort());
});

for (const [name, options] of Object.entries(ours)) {
  for (const capture of [true, false]) {
    Deno.test(`golden trainer: ${name}, ${capture ? "captured" : "plain"}`, async () => {
      const { losses, original } = cases[name];
      const actual = await run({ ...options, capture });
      const off = distance(actual, losses);
      assert(off < 1e-4, `${off} relative off: ${JSON.stringify(actual)}`);
      assertEquals(actual.train.length, 5);
      // A mended case must be one that the mistake shows in.
      if (original !== undefined) assert(distance(actual, original) > 1e-2);
    });
  }
}
