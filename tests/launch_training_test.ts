/** Launched training: the same losses on any number of ranks, after restarts, and states saved at the end. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { assertClose, launchTraining, resultOf, script, undisturbedOn } from "./launch_training.ts";
import { alive, endOf, runLauncher, startLauncher, until } from "./launcher.ts";
import { isSoak } from "./soak.ts";

// Eight ranks take long on two cores.
for (const ranks of isSoak ? [2, 4, 8] : [2, 4]) {
  Deno.test(`training: ${ranks} ranks have the losses of one`, async () => {
    const wanted = await undisturbedOn(1);
    assertEquals(wanted.losses.length, 4);
    assert(wanted.losses[1] < wanted.losses[0]);
    assertClose(await undisturbedOn(ranks), wanted, `${ranks} ranks`);
  });
}

Deno.test("restart: a rank that dies twice ends bit-equal to an undisturbed run", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const two = ["--num-processes", "2"];
    const wanted = await undisturbedOn(2);
    const args = [...two, "--max-restarts", "3", "--log-dir", `${folder}/logs`];
    const result = await launchTraining([...args, script, "2", `${folder}/states`]);
    assertEquals(resultOf(result), wanted);
    assertMatch(result.out, /start 0[^]*start 1[^]*start 2/);
    assert(!result.out.includes("start 3"));
    const lines = result.err.split("\n").filter((line) => line.startsWith("launch: "));
    assertEquals(lines.length, 2, result.err);
    assertMatch(
      lines[0],
      /^launch: start again, 1 of 3: Rank 1 of 2 failed first: ended by SIGKILL/,
    );
    assertMatch(
      lines[1],
      /^launch: start again, 2 of 3: Rank 1 of 2 failed first: ended by SIGKILL/,
    );
    assertEquals(alive(result.out), []);
    // logs of all starts are kept
    const log = await Deno.readTextFile(`${folder}/logs/rank_0.log`);
    assertEquals(log.match(/^start \d$/gm), ["start 0", "start 1", "start 2"]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("restart: when there are no more, the block tells of all failures", async () => {
  const args = ["--num-processes", "2", "--max-restarts", "2"];
  const { code, out, err } = await runLauncher([
    ...args,
    "tests/fixtures/launch_rank.ts",
    "exit",
    "1",
    "9",
  ]);
  assertEquals(code, 9);
  assertStringIncludes(err, "Started again 2 of 2 times; before:");
  const failures = err.match(/Rank 1 of 2 failed first: ended with exit code 9/g);
  // a line for each new start, and the block with the earlier ones
  assertEquals(failures?.length, 2 + 3);
  assertEquals(alive(out), []);
});

Deno.test("SIGTERM to the launcher: the ranks save their state, and a later run goes on", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const args = ["--cpu", "--num-processes", "2", script, "1000", folder, "calm"];
    const launcher = startLauncher(args);
    const { rest } = await until(launcher, /step 33/);
    launcher.kill("SIGTERM");
    const { code, err } = await endOf(launcher);
    const out = await rest();
    assertEquals([code, err], [0, ""]);
    assertEquals(alive(out), []);
    const states = [...Deno.readDirSync(folder)].map(({ name }) => name);
    const last = Math.max(...states.map((name) => Number(/step_(\d+)$/.exec(name)?.[1] ?? 0)));
    // the signal is heeded at the next step that all ranks agree on
    assert(last >= 30, `${states}`);
    const resumed = await launchTraining(args.slice(1).with(3, "1"), { PTA_RESUME: "latest" });
    assertEquals(resumed.code, 0, resumed.err);
    assertStringIncludes(resumed.out, `Going on from "${folder}/state_`);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
