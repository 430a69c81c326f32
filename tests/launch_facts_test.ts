/** The launcher's commands that tell something: env, estimate, report. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { estimateMemory } from "../launch/memory.ts";
import { parseHistory } from "../launch/report_command.ts";
import { finish, runLauncher, startLauncher } from "./launcher.ts";

Deno.test("env: versions, libraries and settings, without secrets", async () => {
  const { code, out } = await runLauncher(["env"], { PTA_LAUNCH_SECRET: "do not show this" });
  assertEquals(code, 0);
  assertStringIncludes(out, `Deno: ${Deno.version.deno}`);
  assertMatch(out, /^ {2}NCCL: /m);
  assertMatch(out, /^ {2}PTA_LAUNCH_SECRET=\(not shown\)$/m);
  assert(!out.includes("do not show this"));
});

Deno.test("estimate: a module's parameters, gradients, optimizer and activations", async () => {
  const estimate = async (...flags: string[]) => {
    const args = ["estimate", "tests/fixtures/launch_model.ts", "--json", ...flags];
    const { code, out, err } = await finish(startLauncher(args), 120);
    assertEquals(code, 0, err);
    return JSON.parse(out);
  };
  const count = 100 * 50 + 50 + 50 * 10 + 10;
  const small = await estimate("--batch-size", "8");
  assertEquals([small.parameters, small.trainable], [count, count]);
  assertEquals(small.largest, { name: "0", parameters: 5050, bytes: 4 * 5050 });
  const [whole] = small.stages;
  assertEquals(whole.weights, 4 * count + 4 * 8 * 100);
  assertEquals([whole.gradients, whole.optimizer], [4 * count, 8 * count]);
  // the output of the hidden layer must be kept
  assert(whole.activations >= 4 * 8 * 50, `${whole.activations}`);
  const large = await estimate("--batch-size", "512", "--optimizer", "momentum");
  assert(large.stages[0].activations > 20 * whole.activations);
  assertEquals(large.stages[0].optimizer, 4 * count);
});

Deno.test("estimate: a safetensors header, and what ZeRO shares", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const entry = (shape: number[]) => ({ dtype: "F32", shape, data_offsets: [0, 0] });
    const header = new TextEncoder().encode(
      JSON.stringify({
        "a.weight": entry([40, 10]),
        "a.bias": entry([40]),
        "b.weight": entry([5]),
      }),
    );
    const bytes = new Uint8Array(8 + header.length);
    new DataView(bytes.buffer).setBigUint64(0, BigInt(header.length), true);
    bytes.set(header, 8);
    const path = `${folder}/x.safetensors`;
    await Deno.writeFile(path, bytes);
    const { code, out } = await runLauncher(["estimate", path, "--num-processes", "4"]);
    assertEquals(code, 0);
    assertStringIncludes(out, "445 parameters");
    assertStringIncludes(out, "Largest layer: a, 440 parameters");
    assertMatch(out, /^ZeRO 1 .* unknown /m);
    const broken = `${folder}/y.safetensors`;
    await Deno.writeFile(broken, bytes.subarray(0, 20));
    const { err } = await runLauncher(["estimate", broken]);
    assertStringIncludes(err, `Cannot read the header of ${broken}: the file ends within it`);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
  const facts = { tensors: [{ name: "w", shape: [1000] }, { name: "v", shape: [1000] }] };
  const { stages } = estimateMemory(facts, { optimizer: "adam", mixed: false, ranks: 4 });
  assertEquals(stages.map((s) => [s.weights, s.gradients, s.optimizer, s.total]), [
    [8000, 8000, 16000, 32000],
    [8000, 8000, 4000, 20000],
    [8000, 2000, 4000, 14000],
    // a quarter, and the largest layer whole
    [2000 + 4000, 2000, 4000, 12000],
  ]);
});

Deno.test("report: a run's history as a table", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const lines = [
      { name: "train_loss", value: 1.5, unit: "", epoch: 1, step: 10 },
      { name: "train_loss", value: 0.123456789, unit: "", epoch: 2, step: 20 },
      { name: "accuracy", value: 97, unit: "%", epoch: 2 },
      { name: "bad", value: "NaN", unit: "", epoch: 2 },
    ].map((line) => JSON.stringify(line));
    // a crash leaves half a line
    await Deno.writeTextFile(`${folder}/run.jsonl`, `${lines.join("\n")}\n{"name": "tr`);
    const { code, out } = await runLauncher(["report", folder]);
    assertEquals(code, 0);
    assertEquals(out.trimEnd().split("\n"), [
      `${folder}/run.jsonl`,
      "epoch  train_loss  accuracy (%)  bad",
      "-----  ----------  ------------  ---",
      "    1         1.5",
      "    2     0.12346            97  NaN",
    ]);
    const steps = await runLauncher(["report", folder, "--by", "step", "--digits", "2"]);
    assertMatch(steps.out, /^ {2}20 {8}0\.12$/m);
    const { err } = await runLauncher(["report", folder, "--metrics", "acuracy"]);
    assertStringIncludes(err, "Unknown metric acuracy: did you mean accuracy?");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
  const saved = await Deno.makeTempDir();
  try {
    for (const [i, value] of [0.5, 0.25].entries()) {
      const metrics = [{ name: "loss", unit: "", values: [{ epoch: 1, value }] }];
      const path = `${saved}/training_states/state_00000${i}_step_${i}`;
      await Deno.mkdir(path, { recursive: true });
      const state = { sections: { history: { epoch: 2, metrics } } };
      await Deno.writeTextFile(`${path}/state.json`, JSON.stringify(state));
      await Deno.writeTextFile(`${path}/manifest.json`, "{}");
    }
    const { out } = await runLauncher(["report", saved]);
    assertMatch(out, /state_000001_step_1\/state\.json\n.*loss\n.*\n {4}1 {2}0\.25\n$/);
  } finally {
    await Deno.remove(saved, { recursive: true });
  }
  const state = {
    history: { epoch: 2, metrics: [{ name: "m", unit: "s", values: [{ epoch: 1, value: 3 }] }] },
  };
  assertEquals(parseHistory(JSON.stringify(state), "state.json").get("m"), {
    unit: "s",
    points: [{ epoch: 1, value: 3 }],
  });
});
