/** Runs fixtures/launch_training.ts under the launcher and reads what it has found. */
import { assert, assertEquals } from "@std/assert";
import { finish, type LaunchResult, startLauncher } from "./launcher.ts";

/** Trains the digits; words: epochs, folder of states, mood. */
export const script = "tests/fixtures/launch_training.ts";

/** Losses of the epochs, to train and to evaluate, and a hash of the weights. */
export interface Result {
  readonly losses: number[];
  readonly hash: string;
}

/** What rank 0 has printed. */
export function resultOf({ code, out, err }: LaunchResult): Result {
  assertEquals(code, 0, `${out}\n${err}`);
  return JSON.parse(/result=(\{.*\})$/m.exec(out)![1]);
}

/** Starts it on CPU ranks and waits; the machine may be busy. */
export const launchTraining = (
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<LaunchResult> => finish(startLauncher(["--cpu", ...args], env), 240);

const undisturbed = new Map<number, Promise<Result>>();
/** Two epochs on so many ranks of one machine without an accident; run once for a file. */
export function undisturbedOn(ranks: number): Promise<Result> {
  let result = undisturbed.get(ranks);
  if (result === undefined) {
    const words = ranks === 1 ? [] : ["--num-processes", String(ranks)];
    result = launchTraining([...words, script, "2"]).then(resultOf);
    undisturbed.set(ranks, result);
  }
  return result;
}

/** Losses differ by 1e-4 at most, relative. */
export function assertClose(actual: Result, wanted: Result, what: string): void {
  assertEquals(actual.losses.length, wanted.losses.length);
  actual.losses.forEach((loss, i) => {
    const error = Math.abs(loss - wanted.losses[i]) / wanted.losses[i];
    assert(error < 1e-4, `${what}: loss ${i} is ${loss}, ${wanted.losses[i]} on one rank`);
  });
}
