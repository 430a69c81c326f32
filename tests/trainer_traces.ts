/** Small runs whose methods and events are written down in the order they happen: what docs/trainer.md shows. */
import { nn, optim } from "@pta/core";
import {
  type Callback,
  callback,
  evaluateEvery,
  type EventName,
  eventOrder,
  type SavedRun,
  StopTrainingError,
  type Trainer,
  type TrainerOptions,
  type TrainOptions,
} from "@pta/trainer";
import { copyOfState, QuietTrainer, smallDataset, smallModel, tracer } from "./trainer_support.ts";

const methods = new Set(Object.values(eventOrder).flatMap((row) => row.after));

/** A trainer that notes its methods. */
class TracedTrainer extends QuietTrainer {
  constructor(options: TrainerOptions, log: string[]) {
    super(options);
    const self = this as unknown as Record<string, (...args: unknown[]) => unknown>;
    for (const name of methods) {
      const original = self[name].bind(this);
      self[name] = (...args) => {
        log.push(`${name}()`);
        return original(...args);
      };
    }
  }
}

/** What of an event's payload a reader wants to see. */
const note = (event: EventName, _: Trainer, payload: unknown): string => {
  const p = payload as { isOptimizerStep?: boolean; isIntermediate?: boolean; after?: string };
  if (p.isOptimizerStep) return `${event} (optimizer step)`;
  if (p.isIntermediate) return `${event} (intermediate)`;
  return p.after === undefined ? event : `${event} (after ${p.after})`;
};

interface Scenario {
  readonly samples: number;
  readonly options?: Partial<TrainOptions>;
  readonly evaluates?: boolean;
  readonly showsMethods?: boolean;
  /** Before the tracer. */
  readonly callbacks?: () => Callback[];
  /** After the tracer. */
  readonly laterCallbacks?: () => Callback[];
  readonly resumesAt?: { readonly epoch: number; readonly stepInEpoch: number };
}

const throwing = (make: () => Error): Callback =>
  callback({
    name: "second",
    onTrainStepEnd: (_, { step }) => {
      if (step === 1) throw make();
    },
  });

/** Batches have two samples; one epoch unless something else is said. */
const scenarios: Readonly<Record<string, Scenario>> = {
  "plain": { samples: 4, showsMethods: true },
  "accumulation with a partial window": {
    samples: 6,
    showsMethods: true,
    options: { gradientAccumulationSteps: 2 },
  },
  "evaluation": { samples: 2, evaluates: true, showsMethods: true },
  "mid-epoch evaluation": {
    samples: 4,
    evaluates: true,
    laterCallbacks: () => [evaluateEvery({ steps: 1 })],
  },
  "stop by callback": {
    samples: 6,
    evaluates: true,
    callbacks: () => [throwing(() => new StopTrainingError("two are enough"))],
  },
  "stop by exception": {
    samples: 6,
    evaluates: true,
    callbacks: () => [throwing(() => new TypeError("x is undefined"))],
  },
  "max steps": {
    samples: 6,
    evaluates: true,
    options: { numEpochs: 9, maxNumTrainSteps: 2 },
  },
  "resume": {
    samples: 6,
    evaluates: true,
    resumesAt: { epoch: 0, stepInEpoch: 2 },
  },
};

/** Names of the scenarios, those of `evaluate()` apart. */
export const scenarioNames: readonly string[] = [...Object.keys(scenarios), "evaluate()"];

/** Methods and events of a scenario, in the order they happened. */
export async function traceOf(name: string): Promise<string[]> {
  if (name === "evaluate()") return await traceOfEvaluate();
  const scenario = scenarios[name];
  const saves: SavedRun[] = [];
  if (scenario.resumesAt !== undefined) await run(scenario, [], saves);
  const log: string[] = [];
  const { epoch, stepInEpoch } = scenario.resumesAt ?? {};
  await run(
    scenario,
    log,
    [],
    saves.find(({ position: p }) => p.epoch === epoch && p.stepInEpoch === stepInEpoch),
  );
  return scenario.showsMethods ? log : log.filter((line) => !line.endsWith("()"));
}

async function run(
  scenario: Scenario,
  log: string[],
  saves: SavedRun[],
  from?: SavedRun,
): Promise<void> {
  const model = smallModel();
  const trainer = new TracedTrainer({
    model,
    lossFunc: new nn.CrossEntropyLoss(),
    optimizer: new optim.SGD(model.parameters(), { lr: 0.1 }),
    checkpointer: { load: () => Promise.resolve(from) },
    callbacks: [
      ...scenario.callbacks?.() ?? [],
      {
        ...tracer(log, note),
        cleanup: () => void log.push("cleanup"),
        stateDict: () => ({}),
        loadStateDict: () => void log.push("loadStateDict of the callbacks"),
      },
      ...scenario.laterCallbacks?.() ?? [],
      callback({
        name: "saver",
        onSafePoint: (t) => {
          const states = [...t.trainingState()].map(([key, part]) =>
            [key, copyOfState(part.stateDict())] as const
          );
          saves.push({ position: t.position, states: new Map(states) });
        },
      }),
    ],
  }, log);
  try {
    await trainer.train({
      trainDataset: smallDataset(scenario.samples),
      evalDataset: scenario.evaluates ? smallDataset(2) : undefined,
      numEpochs: 1,
      perDeviceBatchSize: 2,
      ...(from === undefined ? {} : { resumeFrom: "latest" }),
      ...scenario.options,
    });
  } catch (error) {
    log.push(`train() throws ${(error as Error).name}: ${(error as Error).message}`);
  }
}

async function traceOfEvaluate(): Promise<string[]> {
  const log: string[] = [], model = smallModel();
  const trainer = new TracedTrainer({
    model,
    lossFunc: new nn.CrossEntropyLoss(),
    callbacks: [{ ...tracer(log, note), cleanup: () => void log.push("cleanup") }],
  }, log);
  await trainer.evaluate({ dataset: smallDataset(4), perDeviceBatchSize: 2 });
  return log;
}

/** The table of events as the page has it. */
export function eventTable(): string[] {
  const rows = Object.entries(eventOrder).map(([name, { after, when }]) => [
    `\`${name}\``,
    after.map((method) => `\`${method}\``).join(", "),
    when,
  ]);
  const head = ["event", "methods since the event before", "what is true then"];
  const widths = head.map((text, i) => Math.max(text.length, ...rows.map((row) => row[i].length)));
  const line = (cells: string[]) =>
    `| ${cells.map((cell, i) => cell.padEnd(widths[i])).join(" | ")} |`;
  return [line(head), line(widths.map((w) => "-".repeat(w))), ...rows.map(line)];
}
