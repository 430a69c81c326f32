/** What the tests of mixed precision share: PyTorch's fixture, its numbers, and its runs with a loss scaler. */
import {
  amp,
  autocast,
  capture,
  nn,
  noGrad,
  optim,
  philox4x32,
  stepScope,
  tensor,
} from "@pta/core";
import type { Parameter, Tensor } from "@pta/core";

/** A described value: tensors by shape and type. */
export type Described =
  | number
  | string
  | boolean
  | null
  | readonly Described[]
  | { readonly shape: readonly number[]; readonly dtype: string; readonly data?: readonly number[] }
  | { readonly [key: string]: Described };

/** A run of `scaled_run`. */
export interface ScaledRun {
  readonly optimizer: "SGD" | "AdamW";
  readonly ranks: number;
  readonly accumulation: number;
  readonly planted: Readonly<Record<string, string>>;
  readonly scales: readonly number[];
  readonly skipped: readonly number[];
  readonly weights: readonly (readonly (readonly number[])[])[];
}

/** `fixtures/precision.json.gz`. */
export interface PrecisionFixture {
  readonly operators: readonly {
    readonly list: amp.PolicyList;
    readonly operator: string;
    readonly arguments: readonly Described[] | null;
    readonly keywords: Readonly<Record<string, Described>>;
    readonly wanted: string | null;
  }[];
  readonly losses: Readonly<
    Record<string, {
      readonly seed: number;
      readonly parameters: readonly (readonly [string, number, number])[];
      readonly bfloat16: readonly number[];
      readonly float32: readonly number[];
    }>
  >;
  readonly scaling: readonly ScaledRun[];
  readonly float8: Readonly<
    Record<amp.Float8Format, { readonly x: readonly number[]; readonly rounded: readonly number[] }>
  >;
}

/** Reads the fixture. */
export async function precisionFixture(): Promise<PrecisionFixture> {
  const file = await Deno.open(new URL("golden/fixtures/precision.json.gz", import.meta.url));
  return await new Response(file.readable.pipeThrough(new DecompressionStream("gzip"))).json();
}

const word = (seed: number, number: number, i: number) =>
  philox4x32([i, 0, 0, 0], [seed, number])[0];

/** Real numbers as `tests/golden/README.md` defines them. */
export function reals(
  seed: number,
  number: number,
  shape: readonly number[],
  center: number,
  k: number,
): Tensor {
  const length = shape.reduce((a, b) => a * b, 1);
  const values = Float32Array.from(
    { length },
    (_, i) => center + k * (2 * ((word(seed, number, i) >>> 8) * 2 ** -24) - 1),
  );
  return tensor(values, { shape });
}

/** Integers below `n`, as `tests/golden/README.md` defines them. */
export function integers(
  seed: number,
  number: number,
  shape: readonly number[],
  n: number,
): Tensor {
  const length = shape.reduce((a, b) => a * b, 1);
  return tensor(Int32Array.from({ length }, (_, i) => word(seed, number, i) % n), { shape });
}

/** Replaces the weights of a model by those of `fill` in precision.py. */
export function fillWeights(
  model: nn.Module,
  seed: number,
  rows: readonly (readonly [string, number, number])[],
): void {
  const parameters = new Map(model.namedParameters());
  rows.forEach(([name, center, k], number) => {
    const p = parameters.get(name)!;
    p.copy_(reals(seed, number, p.shape, center, k));
  });
  if (parameters.size !== rows.length) throw new RangeError("the model has other parameters");
}

/** What a run with a scaler leaves behind. */
export interface ScaledResult {
  readonly scales: number[];
  readonly skipped: number[];
  readonly weights: number[][][];
  readonly replays: number;
}

/** The network of `scaled_run`, with its first weights. */
export function scaledModel(): nn.Sequential {
  const model = new nn.Sequential(
    new nn.Linear(8, 16, { bias: false }),
    new nn.ReLU(),
    new nn.Linear(16, 4, { bias: false }),
  );
  const [a, b] = [1 / Math.sqrt(8), 1 / Math.sqrt(16)];
  fillWeights(model, 6, [["0.weight", 0, a], ["2.weight", 0, b]]);
  return model;
}

/** The optimizers of `scaled_run`. */
export const scaledOptimizers = {
  SGD: (p: Parameter[]): optim.Optimizer =>
    new optim.SGD(p, { lr: 0.05, momentum: 0.9, dampening: 0.1 }),
  AdamW: (p: Parameter[]): optim.Optimizer => new optim.AdamW(p, { lr: 0.01 }),
};

/**
 * The same 100 steps, of this process's share of the ranks.
 *
 * @param ranks The ranks whose micro-batches this process computes
 * @param reduce Makes each gradient the mean over all ranks, given the sum over those of this process
 */
export function followScaledRun(
  run: ScaledRun,
  ranks: readonly number[],
  captured: boolean,
  reduce: (parameters: Parameter[]) => void,
): ScaledResult {
  const model = scaledModel(), parameters = model.parameters();
  const optimizer = scaledOptimizers[run.optimizer](parameters);
  const scaler = new amp.GradScaler({ growthInterval: 7 });
  const { accumulation } = run;
  const body = (...inputs: Tensor[]): Tensor[] => {
    const losses: Tensor[] = [];
    for (let i = 0; i < inputs.length; i += 3) {
      const [x, y, boost] = inputs.slice(i, i + 3);
      const out = autocast({ dtype: "float16" }, () => model.forward(x));
      const loss = nn.functional.mseLoss(out.float(), y).div(accumulation).mul(boost);
      scaler.scale(loss).backward();
      losses.push(loss);
    }
    reduce(parameters);
    scaler.step(optimizer);
    scaler.update();
    optimizer.zeroGrad();
    return losses;
  };
  const step = captured ? capture(body) : body;
  const result: ScaledResult = { scales: [], skipped: [], weights: [], replays: 0 };
  for (let s = 0; s < 100; s++) {
    using _scope = stepScope();
    const inputs = ranks.flatMap((rank) =>
      Array.from({ length: accumulation }, (_, micro) => {
        const number = (s * run.ranks + rank) * accumulation + micro;
        const isPlanted = rank === run.ranks - 1 && micro === Math.floor(accumulation / 2);
        const boost = isPlanted ? run.planted[s] : undefined;
        return [
          reals(6, 1000 + number, [4, 8], 0, 1),
          reals(6, 9000 + number, [4, 4], 0, 1),
          tensor(boost === undefined ? 1 : Number(boost.replace("inf", "Infinity"))),
        ];
      }).flat()
    );
    step(...inputs);
    result.scales.push(scaler.getScale());
    result.skipped.push(Number(scaler.wasSkipped()));
    if (s % 20 === 19) {
      noGrad(() =>
        result.weights.push(parameters.map((p) => Array.from(p.data() as Float32Array)))
      );
    }
  }
  const { replays = 0 } = step as { replays?: number };
  return { ...result, replays };
}

/** Differences from PyTorch's run; scales and skipped steps must be equal, weights within the rounding of float16. */
export function differences(run: ScaledRun, found: ScaledResult): string[] {
  const out: string[] = [];
  run.scales.forEach((scale, s) => {
    if (found.scales[s] !== scale) out.push(`scale ${s} is ${found.scales[s]}, PyTorch's ${scale}`);
    if (found.skipped[s] !== run.skipped[s]) out.push(`step ${s} skipped: ${found.skipped[s]}`);
  });
  run.weights.forEach((parameters, at) =>
    parameters.forEach((values, i) =>
      values.forEach((value, k) => {
        const got = found.weights[at][i][k];
        if (!(Math.abs(got - value) <= 2e-5)) {
          out.push(
            `weight ${k} of parameter ${i} after ${
              20 * at + 20
            } steps is ${got}, PyTorch's ${value}`,
          );
        }
      })
    )
  );
  return out;
}
