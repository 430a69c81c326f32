/** Callbacks on two ranks: the same on both, and what one process with the whole batches gets. */
import { assert, assertEquals } from "@std/assert";
import { closeNumbers } from "./assert.ts";
import { type Result, run } from "./fixtures/callbacks_ranks_script.ts";
import { runLauncher } from "./launcher.ts";

Deno.test("callbacks: on two ranks as on one", async (t) => {
  const folder = await Deno.makeTempDir();
  const script = "tests/fixtures/callbacks_ranks_script.ts";
  const args = ["--cpu", "--num-processes", "2", script, `${folder}/rank`];
  const { code, out, err } = await runLauncher(args);
  assertEquals(code, 0, out + err);
  const [a, b] = [0, 1].map((r): Result =>
    JSON.parse(Deno.readTextFileSync(`${folder}/rank.${r}`))
  );
  await Deno.remove(folder, { recursive: true });
  const one = await run(1, 0);

  // Clocks and memory are each process's own; step rates are not gathered.
  const isOwn = (name: string) => /second|time|memory|utilization/.test(name);
  await t.step("both ranks have the same weights, averages and history", () => {
    assertEquals(a.weights, b.weights);
    assertEquals(a.ema, b.ema);
    assertEquals(a.swa, b.swa);
    assertEquals(Object.keys(a.history), Object.keys(b.history));
    for (const [name, values] of Object.entries(a.history)) {
      // What is gathered at the end of an epoch is the same in spite of that.
      if (!name.startsWith("step_")) assertEquals(values, b.history[name], name);
    }
  });
  for (const key of ["weights", "ema", "swa"] as const) {
    await t.step(
      `${key} are those of one process`,
      () => closeNumbers(a[key], one[key], { atol: 2e-5, rtol: 2e-4 }, key),
    );
  }
  await t.step("the history is that of one process", () => {
    assertEquals(Object.keys(a.history), Object.keys(one.history));
    for (const [name, values] of Object.entries(one.history)) {
      if (isOwn(name)) assertEquals(a.history[name].length, values.length, name);
      else closeNumbers(a.history[name], values, { atol: 1e-4, rtol: 1e-3 }, name);
    }
    assert(a.history.ema_model_eval_accuracy.length === 3);
  });
  await t.step("a time that is up on one rank stops both, at the same step", () => {
    assertEquals(a.stopped.at, b.stopped.at);
    assert(a.stopped.at >= 5 && a.stopped.at < 40, `${a.stopped.at}`);
    assertEquals(a.stopped.reason, "Another rank has stopped the run");
    assert(b.stopped.reason?.startsWith("Stopped: the 5 seconds are used up"), b.stopped.reason);
  });
});
