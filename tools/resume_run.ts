/**
 * A small training run that tells everything about itself, to be killed and resumed: `resume_run.ts KIND FOLDER RESULT`. Prints `pid`, and `step N`
 * after each micro-batch.
 */
import {
  type Callback,
  callback,
  data,
  defaultGenerator,
  type InMemoryRunHistory,
  manualSeed,
  modelEma,
  nn,
  optim,
  randn,
  readRank,
  saveState,
  type Tensor,
  Trainer,
  wsdSchedule,
} from "../mod.ts";

/** What is trained. */
export const runKinds = ["plain", "accumulation", "ema", "wsd"] as const;
/** Name of a kind of run. */
export type RunKind = (typeof runKinds)[number];

/** Everything that two runs are compared by; numbers as the hexadecimal of their bytes. */
export interface RunResult {
  readonly weights: Record<string, string>;
  readonly optimizer: Record<string, string>;
  readonly rates: number[];
  readonly averages: Record<string, string>;
  readonly history: unknown;
  readonly order: number[];
  readonly generator: unknown;
  readonly numUpdates: number;
}

const hex = (t: Tensor): string => {
  const { buffer, byteOffset, byteLength } = t.data();
  return new Uint8Array(buffer, byteOffset, byteLength).toHex();
};

const allHex = (tensors: Readonly<Record<string, Tensor>>): Record<string, string> =>
  Object.fromEntries(Object.entries(tensors).map(([name, t]) => [name, hex(t)]));

/** The numbers of the samples trained on, in order, as part of the training state. */
function sampleLog(): Callback & { readonly seen: number[] } {
  const seen: number[] = [];
  return {
    ...callback({
      name: "sampleLog",
      onTrainingRunStart: ({ runConfig }) => console.log(`pid=${Deno.pid} rank=${runConfig.rank}`),
      onTrainStepEnd: (trainer, { batch, isFiller }) => {
        if (!isFiller) seen.push(...(batch as Tensor[])[2].data() as Float32Array);
        console.log(`step ${trainer.numUpdates}`);
      },
      stateDict: () => ({ seen: [...seen] }),
      loadStateDict: (state: { seen: number[] }) => {
        seen.splice(0, seen.length, ...state.seen);
      },
    }),
    seen,
  };
}

async function main(kind: RunKind, folder: string, resultPath: string): Promise<void> {
  manualSeed(11);
  const model = new nn.Sequential(
    new nn.Linear(6, 16),
    new nn.BatchNorm1d(16),
    new nn.ReLU(),
    new nn.Dropout(0.3),
    new nn.Linear(16, 3),
  );
  const samples = 63, x = randn([samples, 6]);
  const ids = Float32Array.from({ length: samples }, (_, i) => i);
  const dataset = new data.TensorDataset(x, x.sum(1).abs().floor().minimum(2).to("int64"), ids);
  const log = sampleLog(), ema = modelEma({ decay: 0.9 });
  const optimizer = new optim.AdamW(model.parameters(), { lr: 0.01 });
  const trainer = new Trainer({
    model,
    lossFunc: new nn.CrossEntropyLoss(),
    optimizer,
    seed: 5,
    callbacks: [
      // Before the others, to show that their order does not matter.
      saveState({ directory: folder, everySteps: 2, everyEpochs: 1, keepLast: 2 }),
      log,
      ...(kind === "ema" ? [ema] : []),
    ],
  });
  await trainer.train({
    trainDataset: dataset,
    evalDataset: new data.Subset(dataset, [0, 1, 2, 3, 4, 5, 6]),
    numEpochs: 3,
    perDeviceBatchSize: 4,
    gradientAccumulationSteps: kind === "accumulation" ? 3 : 1,
    gradientClipNorm: 1,
    createScheduler: kind === "wsd"
      ? wsdSchedule({ numCheckpoints: 2, warmUp: 3, decayRatio: 0.4 })
      : undefined,
    resumeFrom: "latest",
  });
  const { state } = optimizer.stateDict();
  const moments = Object.entries(state).flatMap(([i, own]) =>
    Object.entries(own).map(([key, t]) => [`${i}.${key}`, t] as const)
  );
  const result: RunResult = {
    weights: allHex(model.stateDict()),
    optimizer: allHex(Object.fromEntries(moments)),
    rates: optimizer.paramGroups.map((g) => g.lr),
    averages: kind === "ema" ? allHex(ema.weights()!) : {},
    history: (trainer.runHistory as InMemoryRunHistory).stateDict(),
    order: log.seen,
    generator: defaultGenerator.state(),
    numUpdates: trainer.numUpdates,
  };
  await Deno.writeTextFile(`${resultPath}.${readRank().rank}`, JSON.stringify(result));
}

if (import.meta.main) await main(...Deno.args as [RunKind, string, string]);
