/**
 * Runs a command with the emulated CUDA device as the default one: `deno run -A tests/emulator/run.ts COMMAND ARGUMENTS...`. Ends with 1 when the command passes but the
 * emulator has found faults. Variables that are set already stay as they are.
 */
import { buildEmulator, whyNotEmulated } from "./build.ts";

/** What a command sees: the emulated libraries, the device, and what the caller has set. */
export function emulatedEnvironment(): Record<string, string> {
  return {
    ...buildEmulator(),
    PTA_DEVICE: "cuda",
    PTA_TEST_DEVICES: "ref,cuda",
    ...Deno.env.toObject(),
  };
}

async function run([command, ...args]: readonly string[]): Promise<number> {
  const reason = whyNotEmulated();
  if (command === undefined || reason !== undefined) {
    console.error(reason ?? "Usage: deno run -A tests/emulator/run.ts COMMAND ARGUMENTS...");
    return 2;
  }
  const report = await Deno.makeTempFile({ prefix: "emulator" });
  const { code } = await new Deno.Command(command === "deno" ? Deno.execPath() : command, {
    args,
    env: { ...emulatedEnvironment(), PTA_EMULATOR_REPORT: report },
    stdin: "inherit",
    stdout: "inherit",
    stderr: "inherit",
  }).output();
  const text = await Deno.readTextFile(report);
  await Deno.remove(report);
  const found = text.split("\n").filter((line) => line.startsWith("emulator: ")).length;
  if (found > 0) console.error(`emulator: ${found} faults found`);
  return code !== 0 ? code : found > 0 ? 1 : 0;
}

if (import.meta.main) Deno.exit(await run(Deno.args));
