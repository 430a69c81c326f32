/** The launcher's `estimate` against what the trainer takes: peaks of bytes alive, with float32 and bfloat16, checkpointed and not. */
import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { whyNotEmulated } from "./emulator/build.ts";
import { isSoak, unlessSoak } from "./soak.ts";

const at = (file: string) => new URL(file, import.meta.url).href;
const path = (file: string) => new URL(file, import.meta.url).pathname;

async function jsonOf(args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", ...args],
    cwd: path(".."),
    stdin: "null",
  }).output();
  const text = new TextDecoder();
  assertEquals(code, 0, text.decode(stdout) + text.decode(stderr));
  return text.decode(stdout).trim().split("\n").at(-1)!;
}

interface Peaks {
  readonly estimated: number;
  readonly measured: number;
}

/** Both peaks of a model, in bytes; they must be within 10 % of each other. */
async function peaks(
  model: string,
  batchSize: number,
  precision: string,
  launcher: readonly string[] = [],
): Promise<Peaks> {
  const url = at(`fixtures/memory_model.ts?model=${model}`), size = String(batchSize);
  const flags = ["--json", "--batch-size", size, "--mixed-precision", precision];
  const [told, trained] = await Promise.all([
    jsonOf(["launch/launch.ts", "estimate", url, ...flags]),
    jsonOf([...launcher, path("fixtures/measured_training.ts"), url, size, precision]),
  ]);
  const estimated = JSON.parse(told).stages[0].total, measured = JSON.parse(trained).peak;
  assert(
    Math.abs(measured / estimated - 1) < 0.1,
    `${model} in ${precision}: estimated ${estimated}, measured ${measured}`,
  );
  return { estimated, measured };
}

for (const [model, size] of [["mlp", 256], ["cnn", 32], ["gpt", 16]] as const) {
  Deno.test(`estimate: peak of the ${model}, and what bfloat16 and checkpoints save, within a tenth`, async () => {
    const plain = await peaks(model, size, "no");
    const both = [`${model}&checkpoint`, "bf16"];
    const each = [[model, "bf16"], [`${model}&checkpoint`, "no"]];
    // Each alone takes two more pairs of processes for each model.
    for (const [name, precision] of isSoak ? [...each, both] : [both]) {
      const found = await peaks(name, size, precision);
      const share = (key: keyof Peaks) => found[key] / plain[key];
      assertAlmostEquals(share("measured"), share("estimated"), 0.1, `${name} in ${precision}`);
    }
  });
}

const reason = unlessSoak(whyNotEmulated());
Deno.test({
  name: `estimate: peak of the mlp on the emulated GPU${reason === undefined ? "" : `: ${reason}`}`,
  ignore: reason !== undefined,
  fn: async () => {
    const emulated = [path("emulator/run.ts"), "deno", "run", "-A", "--no-check"];
    await peaks("mlp", 256, "bf16", emulated);
    await peaks("mlp&checkpoint", 256, "bf16", emulated);
  },
});
