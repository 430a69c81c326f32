/** Runs the samples of op_db through our operators. */
import { clearPlans, grad, stepScope, Tensor } from "@pta/accelerated";
import type { Output, Value } from "./adapter.ts";
import { adapters, reasons } from "./adapters/mod.ts";
import { compareOutputs, compareTensors, type Tolerance } from "./compare.ts";
import { cotangent, decode, readSamples } from "./fixture.ts";
import { tolerances } from "./tolerances.ts";

/** What a suite found. */
export interface SuiteResult {
  /** Operators with at least one sample that ran, none of which failed. */
  operators: number;
  /** Samples that agree. */
  passed: number;
  /** Samples that differ or threw. */
  failed: number;
  /** Samples not run. */
  skipped: number;
  /** One line for each operator that was skipped or failed. */
  lines: string[];
}

/** One sample as the fixture has it. */
interface SampleLine {
  readonly input: unknown;
  readonly args: unknown;
  readonly kwargs: unknown;
  readonly out: unknown;
  readonly grads?: readonly unknown[];
  readonly noise?: readonly number[];
  readonly random?: boolean;
}

/** One line of the fixture. */
interface OperatorLine {
  readonly name: string;
  readonly variant: string;
  readonly samples: readonly SampleLine[];
  readonly left_out: readonly (readonly [string, number])[];
}

/** The tensors of a result, in order. */
function flat(output: Output): Tensor[] {
  if (output instanceof Tensor) return [output];
  return Array.isArray(output) ? output.flatMap(flat) : [];
}

/** What differs for one sample. */
function runSample(line: OperatorLine, sample: SampleLine, tolerance?: Tolerance): string[] {
  const leaves: Tensor[] = [];
  const input = decode(sample.input, leaves);
  const args = decode(sample.args, leaves) as Value[];
  const kwargs = decode(sample.kwargs, leaves) as Record<string, Value>;
  const wanted = decode(sample.out);
  const expected = Array.isArray(wanted) ? wanted : [wanted];
  const output = adapters[line.name]({ input, args, kwargs, expected, variant: line.variant });
  const noise = [...sample.noise ?? []];
  const wrong = compareOutputs(output, wanted, { tolerance, shapesOnly: sample.random, noise });
  if (sample.grads === undefined || wrong.length > 0) return wrong;
  const outputs = flat(output).filter((t) => t.requiresGrad);
  const wantedGrads = sample.grads.map((g) => decode(g));
  if (outputs.length === 0) {
    const zero = wantedGrads.every((g) =>
      !(g instanceof Tensor) || Number(g.abs().sum().item()) === 0
    );
    return zero ? [] : ["no output carries a gradient"];
  }
  const grads = grad(outputs, leaves, { gradOutputs: outputs.map(cotangent) });
  wantedGrads.forEach((g, i) => {
    const mine = grads[i];
    const same = g instanceof Tensor
      ? compareTensors(mine, g, tolerance, noise[i])
      : Number(mine.abs().sum().item()) === 0
      ? undefined
      : "is not zero";
    if (same !== undefined) wrong.push(`gradient ${i} ${same}`);
  });
  return wrong;
}

/** Runs one in `share` samples of every operator whose name matches. */
export async function runOperators(
  directory: string,
  only: RegExp,
  verbose: boolean,
  share = 1,
): Promise<SuiteResult> {
  const result: SuiteResult = { operators: 0, passed: 0, failed: 0, skipped: 0, lines: [] };
  const names = new Map<string, { passed: number; failed: number }>();
  for await (const line of readSamples<OperatorLine>(`${directory}/operators.jsonl.gz`, share)) {
    if (!only.test(line.name)) continue;
    const title = line.variant === "" ? line.name : `${line.name} (${line.variant})`;
    for (const [reason, count] of line.left_out) {
      result.skipped += count;
      result.lines.push(`skipped ${title}: ${count} not in the fixture, ${reason}`);
    }
    if (line.samples.length === 0) continue;
    if (!(line.name in adapters)) {
      result.skipped += line.samples.length;
      result.lines.push(
        `skipped ${title}: ${line.samples.length}, ${reasons[line.name] ?? "no adapter"}`,
      );
      continue;
    }
    const tally = names.get(line.name) ?? { passed: 0, failed: 0 };
    names.set(line.name, tally);
    let failed = 0, first = "";
    const foreign = new Map<string, number>();
    line.samples.forEach((sample, i) => {
      using _scope = stepScope();
      let wrong: string[];
      try {
        wrong = runSample(line, sample, tolerances[line.name]);
      } catch (error) {
        const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
        if (text.startsWith("RangeError: holds ")) {
          const reason = text.replace("RangeError: ", "");
          foreign.set(reason, (foreign.get(reason) ?? 0) + 1);
          return;
        }
        wrong = [verbose && error instanceof Error ? error.stack ?? text : text];
      }
      if (wrong.length === 0) {
        tally.passed++;
        return;
      }
      failed++;
      if (first === "") first = `sample ${i}: ${wrong[0].split("\n")[0]}`;
      if (verbose) console.log(`${title} sample ${i} ${describe(sample)}\n  ${wrong.join("\n  ")}`);
    });
    for (const [reason, count] of foreign) {
      result.skipped += count;
      result.lines.push(`skipped ${title}: ${count}, ${reason}`);
    }
    tally.failed += failed;
    if (failed > 0) {
      result.lines.push(`FAILED ${title}: ${failed} of ${line.samples.length}; ${first}`);
    }
    // Plans of one operator never serve the next.
    clearPlans();
  }
  for (const { passed, failed } of names.values()) {
    result.passed += passed;
    result.failed += failed;
    if (failed === 0 && passed > 0) result.operators++;
  }
  return result;
}

/** The arguments of a sample, tensors as shapes. */
function describe(sample: SampleLine): string {
  const short = (_: string, v: unknown) =>
    v !== null && typeof v === "object" && "$" in v && "s" in v
      ? `<${(v as { s: number[] }).s.join("x")}>`
      : v;
  return JSON.stringify([sample.input, sample.args, sample.kwargs], short);
}
