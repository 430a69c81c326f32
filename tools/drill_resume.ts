/**
 * Kills training runs at random moments, resumes them, and compares them with runs that nobody disturbed:
 * `deno task drill resume --kills 20 --seed 1`. Further `--saves 50` programs are killed while they save.
 */
import { parseArgs } from "@std/cli/parse-args";
import { killSaves } from "./drill_saves.ts";
import { linesOf, randomNumbers } from "./kill_support.ts";
import { type RunKind, runKinds, type RunResult } from "./resume_run.ts";

/** What is run. */
export interface DrillCase {
  readonly kind: RunKind;
  readonly ranks: number;
}

/** Every kind of run on one rank and on two. */
export const drillCases: readonly DrillCase[] = [1, 2].flatMap((ranks) =>
  runKinds.map((kind) => ({ kind, ranks }))
);

const nameOf = ({ kind, ranks }: DrillCase) => `${kind} on ${ranks} rank${ranks > 1 ? "s" : ""}`;
const path = (name: string) => new URL(name, import.meta.url).pathname;

/** Where a kill falls. */
interface Kill {
  /** Micro-batch of rank 0 after which it falls. */
  readonly step: number;
  /** Milliseconds later. */
  readonly delay: number;
  /** The rank that dies; its launcher ends the others. */
  readonly rank: number;
}

/** Runs until the end, or until the kill; tells the micro-batches seen and whether it was killed. */
async function runOnce(
  { kind, ranks }: DrillCase,
  folder: string,
  kill?: Kill,
): Promise<{ steps: number; wasKilled: boolean; ended: boolean }> {
  const script = [path("resume_run.ts"), kind, `${folder}/states`, `${folder}/result`];
  const args = ranks === 1
    ? script
    : [path("../launch/launch.ts"), "--cpu", "--num-processes", `${ranks}`, ...script];
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", ...args],
    env: { NO_COLOR: "1" },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const errors = new Response(child.stderr).text();
  const pids: number[] = [];
  let steps = 0, wasKilled = false;
  const shoot = () => {
    try {
      Deno.kill(pids[kill!.rank] ?? child.pid, "SIGKILL");
      wasKilled = true;
    } catch (error) {
      // The run was over first.
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  };
  let timer: ReturnType<typeof setTimeout> | undefined;
  for await (const line of linesOf(child.stdout)) {
    const [, pid, rank] = /pid=(\d+) rank=(\d+)/.exec(line) ?? [];
    if (pid !== undefined) pids[Number(rank)] = Number(pid);
    // Lines of other ranks have a prefix of their own.
    if (!/^(\[rank 0\] )?step /.test(line)) continue;
    steps++;
    if (steps === kill?.step) timer = setTimeout(shoot, kill.delay);
  }
  const { success } = await child.status;
  clearTimeout(timer);
  if (!success && !wasKilled) throw new Error(`A run failed by itself: ${await errors}`);
  await errors;
  return { steps, wasKilled, ended: success };
}

async function resultOf({ ranks }: DrillCase, folder: string): Promise<RunResult[]> {
  return await Promise.all(
    Array.from(
      { length: ranks },
      async (_, r) => JSON.parse(await Deno.readTextFile(`${folder}/result.${r}`)),
    ),
  );
}

async function inFolder<T>(body: (folder: string) => Promise<T>): Promise<T> {
  const folder = await Deno.makeTempDir({ prefix: "drill_resume_" });
  try {
    return await body(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Where two values first differ, and how. */
function firstDifference(a: unknown, b: unknown): string {
  const [x, y] = [JSON.stringify(a), JSON.stringify(b)];
  let at = 0;
  while (x[at] === y[at]) at++;
  const from = Math.max(0, at - 40);
  return `${x.slice(from, at + 30)} became ${y.slice(from, at + 30)}`;
}

/** The parts in which two results differ. */
function differences(a: readonly RunResult[], b: readonly RunResult[]): string[] {
  const parts = Object.keys(a[0]) as (keyof RunResult)[];
  return a.flatMap((own, r) =>
    parts.filter((part) => JSON.stringify(own[part]) !== JSON.stringify(b[r][part]))
      .map((part) => `${part} of rank ${r} (${firstDifference(own[part], b[r][part])})`)
  );
}

/** What a drill came to. */
export interface ResumeKills {
  readonly kills: number;
  readonly identical: number;
  /** Runs that came out otherwise than undisturbed ones, and in what. */
  readonly differing: string[];
}

/**
 * Kills runs, each once or twice, and resumes them to their end.
 *
 * @param kills How many kills
 * @param seed Decides where they fall
 * @param note Told of each run
 */
export async function killRuns(
  kills: number,
  seed: number,
  cases: readonly DrillCase[] = drillCases,
  note: (line: string) => void = () => {},
): Promise<ResumeKills> {
  const random = randomNumbers(seed), differing: string[] = [];
  const undisturbed = new Map<DrillCase, { steps: number; results: RunResult[] }>();
  let done = 0, identical = 0;
  for (let run = 0; done < kills; run++) {
    const which = cases[run % cases.length];
    let reference = undisturbed.get(which);
    if (reference === undefined) {
      reference = await inFolder(async (folder) => {
        const { steps } = await runOnce(which, folder);
        return { steps, results: await resultOf(which, folder) };
      });
      undisturbed.set(which, reference);
    }
    const { steps, results } = reference;
    const [own, faults, where] = await inFolder(async (folder) => {
      let own = 0, ended = false;
      const where: string[] = [];
      const wanted = Math.min(random() < 0.25 ? 2 : 1, kills - done);
      while (own < wanted && !ended) {
        const kill = {
          step: 1 + Math.floor(random() * (own === 0 ? steps : steps / 3)),
          delay: Math.floor(random() * 25),
          rank: Math.floor(random() * which.ranks),
        };
        const outcome = await runOnce(which, folder, kill);
        ended = outcome.ended;
        if (!outcome.wasKilled || outcome.ended) continue;
        own++;
        where.push(`rank ${kill.rank}, step ${kill.step} + ${kill.delay} ms`);
      }
      if (!ended) await runOnce(which, folder);
      return [own, differences(results, await resultOf(which, folder)), where] as const;
    });
    done += own;
    if (faults.length === 0) identical += own;
    else differing.push(`${nameOf(which)}, killed at ${where.join("; ")}: ${faults.join(", ")}`);
    if (own > 0) {
      note(`${nameOf(which)}, killed at ${where.join("; ")}: ${faults.join(", ") || "identical"}`);
    }
  }
  return { kills: done, identical, differing };
}

/** The drill: the exit code is 1 when a run differs, or a kill during a save has left a state that loads wrongly. */
export async function drill(args: readonly string[]): Promise<number> {
  const { kills, seed, saves } = parseArgs([...args], {
    default: { kills: 20, seed: 1, saves: 50 },
  });
  const saved = await killSaves(Number(saves), Number(seed));
  for (const line of saved.wrong) console.log(line);
  console.log(
    `saves killed=${saved.kills} interrupted=${saved.interrupted} wrong=${saved.wrong.length}`,
  );
  const result = await killRuns(Number(kills), Number(seed), drillCases, console.log);
  const { identical, differing } = result;
  console.log(`kills=${result.kills} identical=${identical} differing=${result.kills - identical}`);
  return differing.length > 0 || saved.wrong.length > 0 ? 1 : 0;
}
