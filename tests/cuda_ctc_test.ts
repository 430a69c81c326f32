/** ctcLoss where the device has no routine for its alignments: gradients, steps and captured steps of the emulated device are those of the CPU. */
import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import type { CtcOutcome } from "./cuda_ctc_run.ts";
import { buildEmulator, whyNotEmulated } from "./emulator/build.ts";

const reason = whyNotEmulated();
const script = new URL("cuda_ctc_run.ts", import.meta.url).pathname;

async function run(env: Readonly<Record<string, string>>): Promise<CtcOutcome> {
  const { stdout, stderr, code } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", script],
    env,
  }).output();
  const errors = new TextDecoder().decode(stderr);
  assertEquals(code, 0, errors);
  assertEquals(errors.split("\n").filter((line) => line.startsWith("emulator: ")), []);
  return JSON.parse(new TextDecoder().decode(stdout));
}

function close(got: readonly number[], want: readonly number[]): void {
  assertEquals(got.length, want.length);
  want.forEach((value, i) => assertAlmostEquals(got[i], value, 1e-5));
}

Deno.test({
  name: `ctcLoss on the emulated device: gradients, plain and captured steps${
    reason === undefined ? "" : ` (skipped: ${reason})`
  }`,
  ignore: reason !== undefined,
  fn: async () => {
    const cpu = await run({ PTA_DEVICE: "cpu" });
    assert(cpu.gradient.some((v) => v !== 0) && cpu.plain.every((v) => v > 0));
    for (const delay of ["0", "1"]) {
      const env = { ...buildEmulator(), PTA_DEVICE: "cuda", PTA_EMULATOR_DELAY: delay };
      const cuda = await run(env);
      close(cuda.gradient, cpu.gradient);
      close(cuda.plain, cpu.plain);
      assertEquals(cuda.captured, cuda.plain);
      assertEquals([cuda.replays, cuda.reason, cuda.reads], [4, undefined, 4]);
    }
  },
});
