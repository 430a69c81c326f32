/** Runs optimizers and schedulers beside PyTorch's: same start, same gradients, same numbers after 20 steps and in the state. */
import { clearPlans, optim, Parameter, stepScope, type Tensor, tensor } from "@pta/accelerated";
import { compareTensors, type Tolerance } from "./compare.ts";
import { decode, readSamples } from "./fixture.ts";
import type { SuiteResult } from "./operator_suite.ts";

type Options = Readonly<Record<string, unknown>>;

/** One run of an optimizer. */
interface OptimizerSample {
  readonly options: Options;
  readonly after: readonly (readonly [step: number, params: readonly unknown[]])[];
  /** PyTorch's own rounding errors, one number a tensor of `after`. */
  readonly noise?: readonly (readonly number[])[];
  readonly state?: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
}

/** One line of the optimizers' fixture. */
interface OptimizerLine {
  readonly name: string;
  readonly closure?: boolean;
  readonly params: readonly unknown[];
  readonly data: readonly unknown[];
  readonly samples: readonly OptimizerSample[];
  readonly left_out: readonly (readonly [string, number])[];
}

/** A scheduler: its name, arguments and keyword arguments; schedulers among the arguments have the same form. */
type Made = readonly [name: string, args: readonly unknown[], kwargs: Options];

/** One run of a scheduler. */
interface SchedulerSample {
  readonly make: Made;
  readonly optimizer: readonly [name: string, kwargs: Options];
  readonly lr: readonly number[];
  readonly metrics?: readonly number[];
  readonly lrs: readonly (readonly number[])[];
  readonly momenta: readonly (readonly number[])[];
}

/** One line of the schedulers' fixture. */
interface SchedulerLine {
  readonly name: string;
  readonly samples: readonly SchedulerSample[];
}

const tolerance: Tolerance = { rtol: 1e-5, atol: 1e-6 };

type OptimizerClass = new (params: optim.Params<never>, options: never) => optim.Optimizer;
type SchedulerClass = new (...args: unknown[]) => optim.LRScheduler;

const camel = (key: string) => key.replace(/_([a-z])/g, (_, c: string) => c.toUpperCase());
const renamed: Readonly<Record<string, string>> = { T_mult: "tMult" };
const camelKeys = (options: Options) =>
  Object.fromEntries(Object.entries(options).map(([k, v]) => [renamed[k] ?? camel(k), v]));

function makeOptimizer(name: string, params: unknown, options: Options): optim.Optimizer {
  const Class = (optim as unknown as Record<string, OptimizerClass | undefined>)[name];
  if (Class === undefined) throw new TypeError(`There is no ${name}`);
  return new Class(params as never, camelKeys(options) as never);
}

/** The loss of `optimizers.py`: a bowl that is not quite quadratic. */
function bowl(params: readonly Tensor[], data: readonly Tensor[]): Tensor {
  return params.map((p, i) => {
    const d = p.sub(data[i].select(0, 0)), curvature = data[i].select(0, 1);
    return d.square().mul(curvature).sum().add(d.square().square().sum().mul(0.1));
  }).reduce((a, b) => a.add(b));
}

/** What differs in one run of an optimizer. */
function runOptimizer(line: OptimizerLine, sample: OptimizerSample): string[] {
  const params = (decode(line.params) as Tensor[]).map((t) => new Parameter(t));
  const data = decode(line.data) as Tensor[];
  const optimizer = makeOptimizer(line.name, params, sample.options);
  const wrong: string[] = [];
  const last = sample.after.at(-1)![0];
  for (let step = 1; step <= last; step++) {
    using _scope = stepScope();
    if (line.closure) {
      optimizer.step(() => {
        optimizer.zeroGrad();
        const loss = bowl(params, data);
        loss.backward();
        return loss;
      });
    } else {
      params.forEach((p, i) => p.grad = data[i].select(0, step - 1));
      optimizer.step();
    }
    const index = sample.after.findIndex(([at]) => at === step);
    sample.after[index]?.[1].forEach((json, i) => {
      const noise = sample.noise?.[index][i];
      const same = compareTensors(params[i].detach(), decode(json) as Tensor, tolerance, noise);
      if (same !== undefined) wrong.push(`parameter ${i} after step ${step} ${same}`);
    });
  }
  const { state } = optimizer.stateDict();
  for (const [i, own] of Object.entries(sample.state ?? {})) {
    for (const [key, json] of Object.entries(own)) {
      const mine = state[Number(i)]?.[key];
      const same = mine === undefined
        ? "is missing"
        : compareTensors(mine, decode(json) as Tensor, tolerance);
      if (same !== undefined) wrong.push(`${key} of parameter ${i} ${same}`);
    }
  }
  return wrong;
}

/** The functions that `optimizers.py` knows by the same names. */
const lambdas: Readonly<Record<string, (x: number) => number>> = {
  decay: (epoch) => 0.95 ** epoch,
  warm: (epoch) => Math.min(1, (epoch + 1) / 7),
  shrink: (epoch) => 0.9 + 0.001 * epoch,
  half: (x) => 1 / (1 + x),
};

function makeScheduler(optimizer: optim.Optimizer, [name, args, kwargs]: Made): optim.LRScheduler {
  const value = (v: unknown): unknown => {
    if (Array.isArray(v)) {
      return typeof v[0] === "string"
        ? makeScheduler(optimizer, v as unknown as Made)
        : v.map(value);
    }
    return typeof v === "object" && v !== null ? lambdas[(v as { lambda: string }).lambda] : v;
  };
  const Class = (optim as unknown as Record<string, SchedulerClass | undefined>)[name];
  if (Class === undefined) throw new TypeError(`There is no ${name}`);
  const named = camelKeys(
    Object.fromEntries(Object.entries(kwargs).map(([k, v]) => [k, value(v)])),
  );
  const first = name === "ChainedScheduler" ? [] : [optimizer];
  const rest = Object.keys(named).length > 0 ? [named] : [];
  return new Class(...first, ...args.map(value), ...rest);
}

/** What differs in one run of a scheduler. Half way its state goes into a new one. */
function runScheduler(sample: SchedulerSample): string[] {
  const [name, kwargs] = sample.optimizer;
  const make = () => {
    const groups = sample.lr.map((lr) => ({ params: [new Parameter(tensor([1]))], lr }));
    const optimizer = makeOptimizer(name, groups, kwargs);
    return { optimizer, scheduler: makeScheduler(optimizer, sample.make) };
  };
  let { optimizer, scheduler } = make();
  const wrong: string[] = [];
  const compare = (what: string, mine: readonly unknown[], wanted: readonly number[]) =>
    wanted.forEach((w, i) => {
      const error = Math.abs(Number(mine[i]) - w);
      if (!(error <= 1e-12 + 1e-10 * Math.abs(w))) {
        wrong.push(`${what} of group ${i} is ${mine[i]}, not ${w}`);
      }
    });
  sample.lrs.forEach((wanted, step) => {
    if (step > 0) scheduler.step(sample.metrics?.[step - 1]);
    compare(`lr at ${step}`, optimizer.paramGroups.map((g) => g.lr), wanted);
    compare(`getLastLr at ${step}`, scheduler.getLastLr(), wanted);
    const momenta = optimizer.paramGroups.map((g) =>
      [g.get("betas") ?? g.get("momentum") ?? 0].flat()[0]
    );
    compare(`momentum at ${step}`, momenta, sample.momenta[step]);
    if (step !== 13) return;
    const other = make(), state = JSON.parse(JSON.stringify(scheduler.stateDict()));
    other.optimizer.loadStateDict(optimizer.stateDict());
    other.scheduler.loadStateDict(state);
    ({ optimizer, scheduler } = other);
  });
  return wrong;
}

/** Runs one in `share` samples of every optimizer and scheduler whose name matches. */
export async function runOptimizers(
  directory: string,
  only: RegExp,
  verbose: boolean,
  share = 1,
): Promise<SuiteResult> {
  const result: SuiteResult = { operators: 0, passed: 0, failed: 0, skipped: 0, lines: [] };
  const runAll = <T>(name: string, samples: readonly T[], run: (sample: T) => string[]) => {
    let failed = 0, first = "";
    samples.forEach((sample, i) => {
      using _scope = stepScope();
      let wrong: string[];
      try {
        wrong = run(sample);
      } catch (error) {
        wrong = [error instanceof Error ? error.stack ?? error.message : String(error)];
      }
      if (wrong.length === 0) return;
      failed++;
      if (first === "") first = `sample ${i}: ${wrong[0].split("\n")[0]}`;
      if (verbose) {
        const { options, make } = sample as { options?: Options; make?: Made };
        const what = JSON.stringify(options ?? make).slice(0, 300);
        console.log(`${name} sample ${i} ${what}\n  ${wrong.join("\n  ")}`);
      }
    });
    result.failed += failed;
    result.passed += samples.length - failed;
    if (failed === 0) result.operators++;
    else result.lines.push(`FAILED ${name}: ${failed} of ${samples.length}; ${first}`);
    clearPlans();
  };
  for await (const line of readSamples<OptimizerLine>(`${directory}/optimizers.jsonl.gz`, share)) {
    if (!only.test(line.name)) continue;
    for (const [reason, count] of line.left_out) {
      result.skipped += count;
      result.lines.push(`skipped ${line.name}: ${count} not in the fixture, ${reason}`);
    }
    if (line.samples.length > 0) runAll(line.name, line.samples, (s) => runOptimizer(line, s));
  }
  for await (const line of readSamples<SchedulerLine>(`${directory}/schedulers.jsonl.gz`, share)) {
    if (only.test(line.name)) runAll(line.name, line.samples, runScheduler);
  }
  return result;
}
