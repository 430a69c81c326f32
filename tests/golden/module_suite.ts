/** Runs the samples of module_db through our modules: same options, same state, forward, gradients, buffers. */
import { clearPlans, grad, nn, stepScope, Tensor } from "@pta/accelerated";
import type { Output, Value } from "./adapter.ts";
import { camelCase, moduleAdapters, moduleReasons, optionsOf } from "./adapters/modules.ts";
import { compareOutputs, compareTensors } from "./compare.ts";
import { cotangent, decode, readSamples } from "./fixture.ts";
import type { SuiteResult } from "./operator_suite.ts";

/** A module that is an argument of another. */
interface MadeModule {
  readonly $: "module";
  readonly name: string;
  readonly options: Readonly<Record<string, unknown>>;
  readonly positional: readonly string[];
}

/** One sample as the fixture has it. */
interface ModuleSample {
  readonly options: Readonly<Record<string, unknown>>;
  readonly positional: readonly string[];
  readonly training: boolean;
  readonly state: Readonly<Record<string, unknown>>;
  readonly args: unknown;
  readonly kwargs: unknown;
  readonly out: unknown;
  readonly grads?: readonly unknown[];
  readonly noise: readonly number[];
  readonly after?: Readonly<Record<string, unknown>>;
}

/** One line of the fixture. */
interface ModuleLine {
  readonly name: string;
  readonly samples: readonly ModuleSample[];
  readonly left_out: readonly (readonly [string, number])[];
}

type Constructor = new (...args: unknown[]) => nn.Module;

/** Our class for PyTorch's name, if there is one. */
function classOf(name: string): Constructor | undefined {
  return (nn as unknown as Record<string, Constructor | undefined>)[name.replace(/^nn\./, "")];
}

/** Options that say where and how PyTorch stores things. */
const storage = new Set(["device", "dtype", "inplace"]);

function make({ name, options, positional }: Omit<MadeModule, "$">): nn.Module {
  const adapter = moduleAdapters[name] ?? {}, Class = classOf(name);
  if (Class === undefined) throw new TypeError(`There is no ${name}`);
  const first = adapter.positional ?? positional;
  const value = (json: unknown): unknown =>
    typeof json === "object" && json !== null && (json as { $?: string }).$ === "module"
      ? make(json as MadeModule)
      : decode(json);
  const rest = Object.entries(options).filter(([k, v]) =>
    !first.includes(k) && !storage.has(k) && !(adapter.dropped ?? []).includes(k) &&
    (v !== null || adapter.nullable?.includes(k))
  );
  const named = Object.fromEntries(rest.map(([k, v]) => [camelCase(k), value(v)]));
  const args = first.map((k) => value(options[k]));
  return new Class(...args, ...(rest.length > 0 ? [named] : []));
}

/** The tensors of a result, in order. */
function flat(output: Output): Tensor[] {
  if (output instanceof Tensor) return [output];
  return Array.isArray(output) ? output.flatMap(flat) : [];
}

function forward(
  name: string,
  module: nn.Module,
  args: readonly Value[],
  kwargs: Record<string, Value>,
): Output {
  const own = moduleAdapters[name]?.forward;
  if (own !== undefined) return own(module, args, kwargs);
  if ("input" in kwargs) return module.forward(kwargs.input);
  const options = optionsOf(kwargs);
  return module.forward(...args, ...(Object.keys(options).length > 0 ? [options] : []));
}

/** What differs for one sample. */
function runSample(line: ModuleLine, sample: ModuleSample): string[] {
  const module = make({ name: line.name, ...sample });
  const state = Object.fromEntries(
    Object.entries(sample.state).map(([k, v]) => [k, decode(v) as Tensor]),
  );
  module.loadStateDict(state);
  module.train(sample.training);
  const leaves: Tensor[] = [];
  const args = decode(sample.args, leaves) as Value[];
  const kwargs = decode(sample.kwargs, leaves) as Record<string, Value>;
  const output = forward(line.name, module, args, kwargs);
  const wanted = decode(sample.out), noise = [...sample.noise];
  const wrong = compareOutputs(output, wanted, { noise });
  const outputs = flat(output).filter((t) => t.requiresGrad);
  if (sample.grads !== undefined && wrong.length === 0) {
    const parameters = new Map(module.namedParameters());
    const keys = Object.keys(sample.state).filter((k) => parameters.has(k));
    const all = [...leaves, ...keys.map((k) => parameters.get(k)!)];
    if (outputs.length === 0) {
      const zero = (g: unknown) => {
        const t = decode(g);
        return !(t instanceof Tensor) || Number(t.abs().sum().item()) === 0;
      };
      return sample.grads.every(zero) ? [] : ["no output carries a gradient"];
    }
    const grads = grad(outputs, all, { gradOutputs: outputs.map(cotangent) });
    sample.grads.forEach((json, i) => {
      const g = decode(json), mine = grads[i];
      const name = i < leaves.length ? `of input ${i}` : `of ${keys[i - leaves.length]}`;
      const same = g instanceof Tensor
        ? compareTensors(mine, g, undefined, noise[i])
        : Number(mine.abs().sum().item()) === 0
        ? undefined
        : "is not zero";
      if (same !== undefined) wrong.push(`gradient ${name} ${same}`);
    });
  }
  for (const [key, json] of Object.entries(sample.after ?? {})) {
    const buffer = new Map(module.namedBuffers()).get(key);
    const same = buffer === undefined
      ? "is missing"
      : compareTensors(buffer, decode(json) as Tensor);
    if (same !== undefined) wrong.push(`buffer ${key} ${same}`);
  }
  return wrong;
}

/** Runs one in `share` samples of every module whose name matches. */
export async function runModules(
  directory: string,
  only: RegExp,
  verbose: boolean,
  share = 1,
): Promise<SuiteResult> {
  const result: SuiteResult = { operators: 0, passed: 0, failed: 0, skipped: 0, lines: [] };
  for await (const line of readSamples<ModuleLine>(`${directory}/modules.jsonl.gz`, share)) {
    if (!only.test(line.name)) continue;
    for (const [reason, count] of line.left_out) {
      result.skipped += count;
      result.lines.push(`skipped ${line.name}: ${count} not in the fixture, ${reason}`);
    }
    if (line.samples.length === 0) continue;
    if (classOf(line.name) === undefined) {
      result.skipped += line.samples.length;
      const why = moduleReasons[line.name] ?? "no such module here";
      result.lines.push(`skipped ${line.name}: ${line.samples.length}, ${why}`);
      continue;
    }
    let failed = 0, first = "";
    line.samples.forEach((sample, i) => {
      using _scope = stepScope();
      let wrong: string[];
      try {
        wrong = runSample(line, sample);
      } catch (error) {
        wrong = [error instanceof Error ? error.stack ?? error.message : String(error)];
      }
      if (wrong.length === 0) return;
      failed++;
      if (first === "") first = `sample ${i}: ${wrong[0].split("\n")[0]}`;
      if (verbose) {
        const options = JSON.stringify(sample.options).slice(0, 300);
        console.log(`${line.name} sample ${i} ${options}\n  ${wrong.join("\n  ")}`);
      }
    });
    result.failed += failed;
    result.passed += line.samples.length - failed;
    if (failed === 0) result.operators++;
    else {
      result.lines.push(`FAILED ${line.name}: ${failed} of ${line.samples.length}; ${first}`);
    }
    clearPlans();
  }
  return result;
}
