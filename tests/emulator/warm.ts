/**
 * Compiles the kernels of a run before it: `deno run -A tests/emulator/warm.ts COMMAND ...` runs a command whose kernels do nothing, only to see which there are, and compiles them
 * many together. One by one, as a plain run does, each costs a start of the compiler.
 */
import { prelude } from "../../core/backend/cuda/prelude.ts";
import { buildEmulator, kernelFlags, whyNotEmulated } from "./build.ts";

/** Texts of one compilation: what they share is compiled once for them. */
const BATCH = 100;
const namesIn = (text: string) =>
  Array.from(text.matchAll(/^LAUNCHABLE\((\w+),/gm), (match) => match[1]);

/** Compiles what was written down in a folder; returns how many texts. */
export async function compileWanted(folder: string, workers = 2): Promise<number> {
  const wanted = [...Deno.readDirSync(folder)].map((f) => f.name)
    .filter((name) => name.endsWith(".wanted")).sort();
  const batches: { key: string; text: string }[][] = [];
  let batch: { key: string; text: string }[] = [], names = new Set<string>();
  for (const file of wanted) {
    const text = Deno.readTextFileSync(`${folder}/${file}`), own = namesIn(text);
    // A name may come twice, with another text; one library holds it once.
    if (batch.length === BATCH || own.some((name) => names.has(name))) {
      batches.push(batch);
      [batch, names] = [[], new Set()];
    }
    batch.push({ key: file.replace(".wanted", ""), text });
    own.forEach((name) => names.add(name));
  }
  if (batch.length > 0) batches.push(batch);
  const next = async (): Promise<void> => {
    for (let mine = batches.shift(); mine !== undefined; mine = batches.shift()) {
      await compileBatch(folder, mine);
    }
  };
  await Promise.all(Array.from({ length: workers }, next));
  return wanted.length;
}

async function compileBatch(
  folder: string,
  batch: readonly { key: string; text: string }[],
): Promise<void> {
  const parts = batch.map(({ key, text }) => {
    if (!text.startsWith(prelude)) throw new Error(`${key} does not start with the prelude`);
    return `namespace k${key} {\n${text.slice(prelude.length)}\n}`;
  });
  const base = `${folder}/batch_${batch[0].key}_${batch.length}`;
  await Deno.writeTextFile(`${base}.cpp`, [prelude, ...parts, ""].join("\n"));
  const { success, stderr } = await new Deno.Command("g++", {
    args: [
      ...kernelFlags,
      "-include",
      `${folder}/device.h`,
      "-o",
      `${base}.own.so`,
      `${base}.cpp`,
    ],
    stderr: "piped",
  }).output();
  if (!success) {
    throw new Error(
      new TextDecoder().decode(stderr).split("\n").slice(0, 20).join("\n"),
    );
  }
  await Deno.rename(`${base}.own.so`, `${base}.so`);
  await Deno.remove(`${base}.cpp`);
  for (const { key } of batch) {
    await Deno.writeTextFile(`${folder}/${key}.in`, `${base}.so`);
    await Deno.remove(`${folder}/${key}.wanted`);
  }
}

if (import.meta.main) {
  const reason = whyNotEmulated(), [command, ...args] = Deno.args;
  if (reason !== undefined || command === undefined) {
    console.error(reason ?? "usage: warm.ts COMMAND ...");
    Deno.exit(2);
  }
  const environment = buildEmulator(), start = performance.now();
  const seconds = () => ((performance.now() - start) / 1000).toFixed(1);
  await new Deno.Command(command === "deno" ? Deno.execPath() : command, {
    args,
    env: {
      ...environment,
      PTA_DEVICE: "cuda",
      PTA_TEST_DEVICES: "ref,cuda",
      PTA_EMULATOR_COLLECT: "1",
      ...Deno.env.toObject(),
    },
    // Results are wrong, and so are the messages about them.
    stdout: "null",
    stderr: "null",
  }).output();
  console.log(`collected in ${seconds()} s`);
  const count = await compileWanted(environment.PTA_EMULATOR_CACHE);
  console.log(`compiled ${count} texts in ${seconds()} s`);
}
