/** What the trainer's tests share: a tiny model whose numbers can be checked by hand, quiet trainers, a tracing callback. */
import "@pta/core/backend";
import { data, keep, manualSeed, nn, optim, Tensor, tensor } from "@pta/core";
import {
  type Callback,
  type EventName,
  eventNames,
  Trainer,
  type TrainerOptions,
} from "@pta/trainer";

/** A trainer that collects what it would print. */
export class QuietTrainer extends Trainer {
  readonly lines: string[] = [];
  override print(line: string): void {
    this.lines?.push(line);
  }
}

/** `y = w x` with one weight, starting at `w`. */
export function scalarModel(w: number): nn.Linear {
  const model = new nn.Linear(1, 1, { bias: false });
  model.weight.copy_([w]);
  return model;
}

/** Inputs and targets of one number each. */
export function scalarDataset(xs: readonly number[], ys: readonly number[]): data.TensorDataset {
  return new data.TensorDataset(
    tensor(Float32Array.from(xs), { shape: [xs.length, 1] }),
    tensor(Float32Array.from(ys), { shape: [ys.length, 1] }),
  );
}

/** A seeded two-layer network. */
export function smallModel(seed = 0): nn.Sequential {
  manualSeed(seed);
  return new nn.Sequential(new nn.Linear(4, 8), new nn.Tanh(), new nn.Linear(8, 3));
}

/** `n` seeded samples of four numbers in three classes. */
export function smallDataset(n: number): data.TensorDataset {
  const x = Float32Array.from({ length: 4 * n }, (_, i) => Math.sin(1 + 1.7 * i + 0.01 * i * i));
  const y = BigInt64Array.from({ length: n }, (_, i) => {
    const row = x.subarray(4 * i, 4 * i + 4);
    return BigInt(row[0] > 0.3 ? 2 : row[1] + row[2] > 0 ? 1 : 0);
  });
  return new data.TensorDataset(tensor(x, { shape: [n, 4] }), tensor(y));
}

/** A quiet classifier over {@linkcode smallModel} with SGD. */
export function smallTrainer(
  options: Partial<TrainerOptions> & { lr?: number; momentum?: number } = {},
): QuietTrainer {
  const { lr = 0.1, momentum = 0, ...rest } = options;
  const model = rest.model ?? smallModel();
  return new QuietTrainer({
    model,
    lossFunc: new nn.CrossEntropyLoss(),
    optimizer: rest.optimizer ?? new optim.SGD(model.parameters(), { lr, momentum }),
    callbacks: [],
    seed: 0,
    ...rest,
  });
}

/** A callback that hears every event, and what `note` says of each. */
export function tracer(
  log: string[],
  note: (event: EventName, trainer: Trainer, payload: unknown) => string = (event) => event,
  name = "tracer",
): Callback {
  const hooks = eventNames.map((event) => [
    event,
    (trainer: Trainer, payload: unknown) => void log.push(note(event, trainer, payload)),
  ]);
  return { name, ...Object.fromEntries(hooks) };
}

/** All parameters of a model as one list of numbers. */
export function weightsOf(model: nn.Module): number[] {
  return model.parameters().flatMap((p: Tensor) => Array.from(p.data() as Float32Array));
}

/** Folds repeats: `a b b b c` becomes `a`, `b x3`, `c`. Groups of up to four repeat too. */
export function fold(log: readonly string[]): string[] {
  const out: string[] = [];
  for (let i = 0; i < log.length;) {
    let width = 1, times = 1;
    for (let w = 1; w <= 4; w++) {
      let n = 1;
      const same = (k: number) => log[i + k] === log[i + n * w + k];
      while (i + (n + 1) * w <= log.length && Array.from({ length: w }, (_, k) => k).every(same)) {
        n++;
      }
      if (n > 1 && n * w > times * width) [width, times] = [w, n];
    }
    const group = log.slice(i, i + width).join(" ");
    out.push(times > 1 ? `${group} x${times}` : group);
    i += width * times;
  }
  return out;
}

/** A copy of a nested state that later steps do not change; what a checkpointer does by way of files. */
export function copyOfState(state: unknown): unknown {
  if (state instanceof Tensor) {
    const { dtype, shape } = state;
    return keep(tensor(state.data().slice(), { dtype, shape }).realize());
  }
  if (Array.isArray(state)) return state.map(copyOfState);
  if (typeof state !== "object" || state === null) return state;
  return Object.fromEntries(Object.entries(state).map(([key, x]) => [key, copyOfState(x)]));
}
