/** Two ranks train like one process at the same global batch. */
import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import type { Result } from "./fixtures/data_parallel_script.ts";

const root = new URL("..", import.meta.url);
const script = "tests/fixtures/data_parallel_script.ts";

async function runScript(args: string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", ...args],
    cwd: root,
    stdin: "null",
  }).output();
  const text = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
  assert(success, text);
  return text;
}

Deno.test("data parallel: two ranks train like one process at the same global batch", async (t) => {
  const folder = await Deno.makeTempDir();
  const read = (name: string): Record<string, Result> =>
    JSON.parse(Deno.readTextFileSync(`${folder}/${name}`));
  await runScript([script, `${folder}/one`]);
  await runScript(["launch/launch.ts", "--cpu", "--num-processes", "2", script, `${folder}/two`]);
  const one = read("one.0"), two = read("two.0"), other = read("two.1");

  for (
    const name of [
      "even",
      "buckets",
      "compressed",
      "uneven",
      "filler",
      "accumulation",
      "clipping",
      "maxSteps",
    ]
  ) {
    await t.step(name, () => {
      const [a, b] = [one[name], two[name]];
      // bfloat16 has 8 bits
      const tolerance = name === "compressed" ? 0.05 : 1e-4;
      assertEquals(b.updates, a.updates);
      assertEquals(b.losses.length, 3 - (name === "maxSteps" ? 1 : 0));
      for (const key of ["losses", "evaluation", "accuracy", "weights"] as const) {
        assertEquals(b[key].length, a[key].length);
        a[key].forEach((x, i) =>
          assertAlmostEquals(b[key][i], x, tolerance * Math.max(Math.abs(x), 1e-2), `${key} ${i}`)
        );
      }
    });
  }

  await t.step("compression is there, and rounds", () => {
    assert(two.compressed.weights.some((x, i) => x !== two.even.weights[i]));
    assertEquals(one.compressed.weights, one.even.weights);
  });

  await t.step("ranks end with the same weights and history", () => {
    for (const [name, result] of Object.entries(two)) {
      assertEquals(other[name].weights, result.weights, name);
      assertEquals(other[name].losses, result.losses, name);
      assertEquals(other[name].steps, result.steps, name);
    }
  });

  await t.step("a dropped last batch is dropped on every rank", () => {
    assertEquals(one.dropLast.updates, 9);
    assertEquals(two.dropLast.updates, 9);
  });

  await t.step("a stop on one rank stops both at the same step", () => {
    assertEquals(one.loneStop.steps, 3);
    assertEquals(two.loneStop.steps, 10);
    assertEquals(other.loneStop.stopReason, "the last rank has had enough");
    assertEquals(two.loneStop.stopReason, "Another rank has stopped the run");
  });

  await t.step("a NaN on one rank stops both at the next check", () => {
    for (const results of [one, two, other]) {
      assertEquals(results.loneNaN.steps, 4);
      assert(results.loneNaN.stopReason?.includes("NaN or infinite"));
    }
  });

  await t.step("gather joins tensors of different lengths in rank order", () => {
    assertEquals(one.even.gathered, [0]);
    assertEquals(two.even.gathered, [0, 1, 1]);
    assertEquals(other.even.gathered, [0, 1, 1]);
  });
  await Deno.remove(folder, { recursive: true });
});
