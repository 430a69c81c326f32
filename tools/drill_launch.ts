/**
 * `deno task drill launch [--seed S] [--only TEXT] [--jobs N]`: launches that fail in every way of `drill_launch_table.ts`, in random order, on
 * random ranks, at random moments. Each must end in time, with an exit code, without leftovers, and name the rank that failed first.
 */
import { parseArgs } from "@std/cli/parse-args";
import { type Drill, DRILLS, type Setup } from "./drill_launch_table.ts";
import type { RankOrder } from "./drill_rank.ts";
import { linesOf, randomNumbers } from "./kill_support.ts";

/** Longest time from the failure to the end, in seconds. */
const LIMIT_S = 10;
/** Longest time for the start of the ranks, on a machine that has much else to do. */
const START_S = 60;
const ROOT = new URL("../", import.meta.url).pathname;

/** What came of one drill. */
export interface DrillResult {
  readonly name: string;
  /** What was drawn, for people. */
  readonly draw: string;
  /** Empty when all is as it should be. */
  readonly complaints: readonly string[];
  /** From the failure to the end. */
  readonly seconds: number;
  readonly output: string;
}

/** A running launcher and what it has said. */
class Launcher {
  readonly child: Deno.ChildProcess;
  readonly pids = new Map<number, number>();
  output = "";
  port = 0;
  faultAt: number | undefined;
  #ready = 0;
  #changed = Promise.withResolvers<void>();
  #drained: Promise<unknown>;

  constructor(order: RankOrder, { flags = [], env = {} }: Setup, world: readonly string[]) {
    const command = [...world, ...flags, "tools/drill_rank.ts", JSON.stringify(order)];
    this.child = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "launch/launch.ts", ...command],
      cwd: ROOT,
      env: { NO_COLOR: "1", PTA_DEVICE: "cpu", ...env },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#drained = Promise.all([this.#read(this.child.stdout), this.#read(this.child.stderr)]);
  }

  /** Waits until so many ranks have met; false when the launcher has ended before. */
  async ready(ranks: number): Promise<boolean> {
    let over = false;
    this.child.status.then(() => {
      over = true;
      this.#changed.resolve();
    });
    while (this.#ready < ranks && !over) await this.#changed.promise;
    return this.#ready >= ranks;
  }

  /** The exit code; kills after `seconds`, which counts from the failure once there is one. */
  async end(seconds: number): Promise<number | undefined> {
    let over = false;
    const watch = (async () => {
      const begin = performance.now();
      while (!over) {
        const now = performance.now();
        const late = this.faultAt === undefined
          ? now - begin > 1000 * (START_S + seconds)
          : now - this.faultAt > 1000 * seconds + 5000;
        if (late) {
          this.child.kill("SIGKILL");
          return true;
        }
        await new Promise((go) => setTimeout(go, 50));
      }
      return false;
    })();
    const { code } = await this.child.status;
    over = true;
    const isKilled = await watch;
    await Promise.race([this.#drained, new Promise((go) => setTimeout(go, 500))]);
    return isKilled ? undefined : code;
  }

  async #read(stream: ReadableStream<Uint8Array>): Promise<void> {
    for await (const line of linesOf(stream)) {
      this.output += `${line}\n`;
      const own = /pid=(\d+) rank=(\d+) port=(\d+)/.exec(line);
      // the block repeats the last lines of a rank
      if (own && !this.pids.has(Number(own[2]))) {
        this.pids.set(Number(own[2]), Number(own[1]));
        // before the meeting nobody can notice anything until all have started
        if (this.faultAt !== undefined) this.faultAt = performance.now();
        this.port = Number(own[3]);
      }
      if (/\bready rank=/.test(line)) this.#ready++;
      if (/(^|\] )fault$/.test(line)) this.faultAt ??= performance.now();
      this.#changed.resolve();
      this.#changed = Promise.withResolvers();
    }
  }
}

/**
 * Runs one drill.
 *
 * @param random Numbers from 0 to 1 that decide on ranks and moments
 */
export async function runDrill(name: string, random: () => number): Promise<DrillResult> {
  const drill = DRILLS[name];
  const isWide = isAlone(drill);
  const n = isWide ? 2 : 2 + Math.floor(random() * 3);
  const draw = Math.floor(random() * n), step = Math.floor(random() * 6);
  const { culprit: wanted = "any" } = drill;
  const culprit = wanted === "any" ? draw : wanted === "all" ? -1 : wanted;
  const order: RankOrder = { fault: drill.fault, culprit, step };
  const [first, second] = isWide
    ? startMachines(drill, order, random)
    : [new Launcher(order, drill.setup ?? {}, ["--num-processes", String(n)]), undefined];
  const begin = performance.now();
  const launchers = second === undefined ? [first] : [first, second];
  const reader = launchers[drill.reader ?? 0];
  if (drill.act !== undefined) {
    const all = await Promise.all(launchers.map((one) => one.ready(n / launchers.length)));
    await new Promise((go) => setTimeout(go, random() * 300));
    const pids = new Map(launchers.flatMap((one) => [...one.pids]));
    const { port } = first;
    if (all.every((x) => x)) {
      const scene = { launcher: first.child, other: second?.child, culprit, port, pids };
      for (const one of launchers) one.faultAt = performance.now();
      await drill.act(scene);
    }
  }
  const limit = LIMIT_S + (drill.waits ?? 0);
  const codes = await Promise.all(launchers.map((one) => one.end(limit)));
  const seconds = (performance.now() - (reader.faultAt ?? begin)) / 1000;
  const code = codes[launchers.indexOf(reader)];
  const complaints = [
    ...judge(drill, reader.output, code, n, culprit),
    ...codes.some((c) => c === undefined) ? [`not over ${limit} s after the failure`] : [],
    ...reader.faultAt !== undefined && seconds > limit
      ? [`took ${seconds.toFixed(1)} s, wanted ${limit}`]
      : [],
    ...await leftovers(launchers),
  ];
  return {
    name,
    draw: `rank ${culprit} of ${n}, step ${step}`,
    complaints,
    seconds,
    output: launchers.map((one) => one.output).join("\n=== the other launcher\n"),
  };
}

function startMachines(drill: Drill, order: RankOrder, random: () => number) {
  const port = 20_000 + Math.floor(random() * 10_000);
  const world = ["--num-processes", "2", "--num-machines", "2"];
  const where = ["--main-process-ip", "127.0.0.1", "--main-process-port", String(port)];
  const withoutRank = drill.setup?.flags?.includes("--machine-rank");
  const given = drill.setup?.flags?.includes("--main-process-ip") ? where.slice(2) : where;
  const machine = withoutRank ? [] : ["--machine-rank", "0"];
  const first = new Launcher(order, drill.setup ?? {}, [...world, ...given, ...machine]);
  if (drill.second === undefined) return [first, undefined] as const;
  const other = [...world, ...where, "--machine-rank", "1"];
  return [first, new Launcher(order, drill.second, other)] as const;
}

function judge(
  drill: Drill,
  output: string,
  code: number | undefined,
  n: number,
  culprit: number,
): string[] {
  const complaints: string[] = [];
  if (code === 0) complaints.push("ended with exit code 0");
  if (drill.code !== undefined && code !== drill.code) {
    complaints.push(`ended with exit code ${code}, wanted ${drill.code}`);
  }
  const blocks = output.split(/^-{60,}$/m);
  const isBlock = drill.block ?? true;
  if (isBlock && blocks.length !== 3) {
    complaints.push(`printed ${(blocks.length - 1) / 2} blocks`);
    return complaints;
  }
  const text = isBlock ? blocks[1].trim() : output;
  const named = /^Rank (\d+) of (\d+) (?:failed first|stopped answering)/.exec(text);
  if (isBlock) {
    if (named === null) complaints.push(`named no rank: ${text.slice(0, 80)}`);
    else if (Number(named[2]) !== n) complaints.push(`spoke of ${named[2]} ranks`);
    else if (culprit >= 0 && Number(named[1]) !== culprit && !(drill.orAny && n === 2)) {
      complaints.push(`named rank ${named[1]}, wanted ${culprit}`);
    }
  }
  // a rank that is alone on its machine keeps the terminal: its words are not repeated in the block
  if (
    drill.text !== undefined && !drill.text.test(culprit >= 0 && isAlone(drill) ? output : text)
  ) {
    complaints.push(`the text does not match ${drill.text}`);
  }
  return complaints;
}

function isAlone({ second, setup }: Drill): boolean {
  return second !== undefined || setup?.flags !== undefined;
}

/** Processes of ranks that still live, a second after the end; they are killed. */
async function leftovers(launchers: readonly Launcher[]): Promise<string[]> {
  const pids = launchers.flatMap((one) => [...one.pids.values()]);
  for (let tries = 0;; tries++) {
    const alive = pids.filter(isAlive);
    if (alive.length === 0) return [];
    if (tries < 40) {
      await new Promise((go) => setTimeout(go, 100));
      continue;
    }
    for (const pid of alive) Deno.kill(pid, "SIGKILL");
    return [`${alive.length} processes are left`];
  }
}

function isAlive(pid: number): boolean {
  try {
    // a zombie is none
    return !/^\d+ \(.*\) Z/.test(Deno.readTextFileSync(`/proc/${pid}/stat`));
  } catch {
    return false;
  }
}

/** Entry of `deno task drill launch`. */
export async function drill(args: readonly string[]): Promise<number> {
  const flags = parseArgs([...args], { string: ["seed", "only", "jobs"] });
  const seed = Number(flags.seed ?? Date.now() % 1e6), jobs = Number(flags.jobs ?? 2);
  if (!Number.isInteger(seed) || !(jobs >= 1)) {
    console.error("Cannot run: --seed and --jobs must be whole numbers");
    return 2;
  }
  const random = randomNumbers(seed);
  const names = Object.keys(DRILLS).filter((name) => name.includes(flags.only ?? ""));
  const order = names.map((name) => ({ name, at: random(), seed: Math.floor(random() * 2 ** 32) }))
    .sort((a, b) => a.at - b.at);
  console.log(`seed=${seed}`);
  let passed = 0, done = 0;
  const next = async () => {
    for (let drill; (drill = order.shift()) !== undefined;) {
      const result = await runDrill(drill.name, randomNumbers(drill.seed));
      const isGood = result.complaints.length === 0;
      done++;
      if (isGood) passed++;
      console.log(
        `${isGood ? "ok    " : "FAILED"} ${
          result.seconds.toFixed(1).padStart(5)
        } s  ${result.name} (${result.draw})`,
      );
      if (!isGood) {
        console.log(result.complaints.map((text) => `         ${text}`).join("\n"));
        console.log(result.output.replace(/^/gm, "         | ").slice(-6000));
      }
    }
  };
  await Promise.all(Array.from({ length: jobs }, next));
  console.log(`drills=${done} passed=${passed} failed=${done - passed}`);
  return passed === done && done > 0 ? 0 : 1;
}
