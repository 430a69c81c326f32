/** Training states of two ranks: many saves, failures of one rank, another number of ranks. */
import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { listStates } from "@pta/trainer";
import type { RankResult } from "./fixtures/checkpoint_ranks.ts";
import { isSoak } from "./soak.ts";

const root = new URL("..", import.meta.url);
const script = "tests/fixtures/checkpoint_ranks.ts";

async function inFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "checkpoint_ranks_" });
  try {
    await body(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Runs a mode of the script and gives what its ranks have left. */
async function runRanks(
  mode: string,
  ranks: number,
  folder: string,
  env: Record<string, string> = {},
): Promise<RankResult[]> {
  const own = [script, mode, `${folder}/states`, `${folder}/result`];
  const launcher = ["launch/launch.ts", "--cpu", "--num-processes", `${ranks}`];
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", ...(ranks > 1 ? launcher : []), ...own],
    env: { NO_COLOR: "1", ...env },
    cwd: root,
    stdin: "null",
  }).output();
  const decoder = new TextDecoder();
  assert(success, decoder.decode(stdout) + decoder.decode(stderr));
  return Array.from(
    { length: ranks },
    (_, r) => JSON.parse(Deno.readTextFileSync(`${folder}/result.${r}`)),
  );
}

Deno.test("more than a hundred saves with retention on two ranks", () =>
  inFolder(async (folder) => {
    const [a, b] = await runRanks("saves", 2, folder);
    assertEquals([a.error, b.error], ["", ""]);
    assertEquals(a.weights, b.weights);
    const states = await listStates(`${folder}/states`);
    // 100 steps and 20 epochs; the last two stay, and the best.
    assertEquals(states.slice(-2).map((s) => s.number), [119, 120]);
    assertEquals(states.length <= 3, true);
    assertEquals([...Deno.readDirSync(`${folder}/states`)].length, states.length);
    const files = [...Deno.readDirSync(states.at(-1)!.path)].map((e) => e.name).sort();
    assertEquals(files, [
      "manifest.json",
      "model.safetensors",
      "objects.safetensors",
      "optimizer.safetensors",
      "rank_001.json",
      "state.json",
    ]);
    // Rank 1 has its own random numbers, its own share of the losses and its own callback state; the rest is as on rank 0.
    const own = JSON.parse(Deno.readTextFileSync(`${states.at(-1)!.path}/rank_001.json`));
    assertEquals(Object.keys(own).sort(), ["callbacks.watch", "lossTracker", "random"]);
    const [again, other] = await runRanks("saves", 2, folder);
    assertEquals([again.weights, again.random], [a.weights, a.random]);
    assertEquals([other.weights, other.random], [b.weights, b.random]);
    assertEquals([...again.lines, ...other.lines].filter((l) => l.startsWith("state")), [
      "state of rank 0",
      "state of rank 1",
    ]);
  }));

Deno.test("a disk that fails ends both ranks, and the state before is there", () =>
  inFolder(async (folder) => {
    const [a, b] = await runRanks("disk", 2, folder);
    const path = `${folder}/states/state_000002_step_4`;
    const reason = `Cannot save the training state "${path}": No space left on device`;
    const where = 'Callback "saveState" failed in onSafePoint';
    assertEquals(a.error, `${where}: Error: ${reason}`);
    assertEquals(b.error.endsWith(`Rank 0 failed: ${reason}`), true, b.error);
    assertEquals([...Deno.readDirSync(`${folder}/states`)].map((e) => e.name), [
      "state_000001_step_2",
    ]);
  }));

Deno.test("a state that fails on one rank ends both, and nothing is left half saved", () =>
  inFolder(async (folder) => {
    const [a, b] = await runRanks("odd", 2, folder);
    assertEquals(a.error.endsWith("Rank 1 failed: no state today"), true, a.error);
    assertEquals(b.error.endsWith("RangeError: no state today"), true, b.error);
    const left = await Array.fromAsync(Deno.readDir(`${folder}/states`)).catch(() => []);
    assertEquals(left, []);
  }));

Deno.test("ranks whose weights and optimizers differ get their own back", () =>
  inFolder(async (folder) => {
    for (const name of ["whole", "crashed"]) await Deno.mkdir(`${folder}/${name}`);
    const whole = await runRanks("apart", 2, `${folder}/whole`);
    await runRanks("apart", 2, `${folder}/crashed`, { CRASH: "1" });
    const again = await runRanks("apart", 2, `${folder}/crashed`);
    assertEquals(again.map((r) => r.weights), whole.map((r) => r.weights));
    assertEquals(again.map((r) => r.losses), whole.map((r) => r.losses));
    assert(`${whole[0].weights}` !== `${whole[1].weights}`);
  }));

Deno.test(
  "a signal to one rank is saved and stops both",
  { ignore: Deno.build.os === "windows" },
  () =>
    inFolder(async (folder) => {
      const [a, b] = await runRanks("signal", 2, folder);
      // Asked at the end of the epoch of five steps; it is saved besides after steps 2 and 4.
      const where =
        `after 5 steps; the training state is in "${folder}/states/state_000003_step_5"`;
      assertEquals(a.lines.at(-1), `Stopped by a signal to another rank ${where}`);
      assertEquals(b.lines.at(-1), `Stopped by SIGTERM ${where}`);
      assertEquals(a.position, b.position);
      assertEquals((await listStates(`${folder}/states`)).length, 3);
    }),
);

for (const [before, after] of isSoak ? [[2, 1], [1, 2]] : [[2, 1]]) {
  Deno.test(`a run of ${before} ranks goes on with ${after}: the same samples, close to the same numbers`, () =>
    inFolder(async (folder) => {
      const env = { RESUME_RANKS: `${after}` };
      await Deno.mkdir(`${folder}/a`);
      await Deno.mkdir(`${folder}/b`);
      const reference = await runRanks("world", after, `${folder}/a`, env);
      const crashed = await runRanks("world", before, `${folder}/b`, env);
      assertEquals(crashed.every((r) => r.error !== ""), true);
      const again = await runRanks("world", after, `${folder}/b`, env);
      again.forEach((r, i) => {
        assertEquals(r.error, "");
        r.losses.forEach((x, k) => assertAlmostEquals(x, reference[i].losses[k], 1e-5));
        r.weights.forEach((x, k) => assertAlmostEquals(x, reference[i].weights[k], 1e-5));
        // From the ninth step of all on, in the middle of the second epoch.
        assertEquals(r.seen, reference[i].seen.slice(-r.seen.length));
        assertEquals(r.seen.length, reference[i].seen.length - 8);
        assertEquals(r.random.seed, reference[i].random.seed);
      });
    }));
}
