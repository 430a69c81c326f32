/**
 * Compiles the kernels of a run before it: `deno run -A tests/emulator/warm.ts deno test ARGUMENTS...` (or `deno run`) runs the command on the reference, has every kernel printed
 * for the CUDA device too (collect.ts), and compiles them many together. A few at a time, as a plain run does, costs ten starts of the compiler for one.
 */
import { whyNotEmulated } from "./build.ts";
import { emulatedEnvironment } from "./run.ts";

/** Compiles what a file lists, in an own process; the number of kernels that do not compile. */
export function compileCollected(file: string): number {
  for (const [name, value] of Object.entries(emulatedEnvironment())) Deno.env.set(name, value);
  const library = Deno.dlopen(Deno.env.get("PTA_CUDA_LIB")!, {
    emulatorCompileCollected: { parameters: ["buffer", "u32"], result: "i32" },
  });
  const path = new TextEncoder().encode(`${file}\0`), jobs = navigator.hardwareConcurrency;
  const failures = library.symbols.emulatorCompileCollected(path, jobs);
  if (failures < 0) throw new Error(`Cannot read ${file}`);
  return failures;
}

async function warm([command, ...args]: readonly string[]): Promise<number> {
  const reason = whyNotEmulated();
  if (command === undefined || reason !== undefined) {
    console.error(reason ?? "Usage: deno run -A tests/emulator/warm.ts COMMAND ARGUMENTS...");
    return 2;
  }
  const file = await Deno.makeTempFile({ prefix: "kernels" }), start = performance.now();
  const seconds = () => ((performance.now() - start) / 1000).toFixed(1);
  const preload = new URL("collect.ts", import.meta.url).pathname, [kind, ...rest] = args;
  const { success } = await new Deno.Command(command === "deno" ? Deno.execPath() : command, {
    args: kind === "test" || kind === "run" ? [kind, "--preload", preload, ...rest] : args,
    env: {
      ...emulatedEnvironment(),
      PTA_EMULATOR_COLLECT: file,
      PTA_DEVICE: "ref",
      PTA_TEST_DEVICES: "ref",
    },
    stdout: "null",
    stderr: "null",
  }).output();
  if (!success) console.log("the run on the reference fails; its kernels so far are compiled");
  console.log(`collected in ${seconds()} s`);
  const failures = compileCollected(file);
  console.log(`compiled in ${seconds()} s`);
  await Deno.remove(file);
  return failures === 0 ? 0 : 1;
}

if (import.meta.main) Deno.exit(await warm(Deno.args));
