/** Uploads on the copy stream, on the emulated device: the numbers are those of the CPU, and waits that are left out are found. */
import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { buildEmulator, whyNotEmulated } from "./emulator/build.ts";
import { isSoak } from "./soak.ts";

const reason = whyNotEmulated();
const script = new URL("cuda_staging_run.ts", import.meta.url).pathname;

async function run(
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<{ values: number[]; findings: string[]; errors: string }> {
  const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", script, ...args],
    env: { ...buildEmulator(), PTA_DEVICE: "cuda", ...env },
  }).output();
  const errors = new TextDecoder().decode(stderr), text = new TextDecoder().decode(stdout);
  return {
    values: text === "" ? [] : JSON.parse(text),
    findings: errors.split("\n").filter((line) => line.startsWith("emulator: ")),
    errors,
  };
}

function test(name: string, fn: () => Promise<void>): void {
  const why = reason === undefined ? "" : ` (skipped: ${reason})`;
  Deno.test({ name: `copy stream: ${name}${why}`, ignore: reason !== undefined, fn });
}

const allModes: readonly Readonly<Record<string, string>>[] = [
  { PTA_EMULATOR_DELAY: "0" },
  { PTA_EMULATOR_DELAY: "1" },
  { PTA_EMULATOR_DELAY: "1", PTA_CUDA_CACHE: "1" },
];
const modes = isSoak ? allModes : allModes.slice(2);

test("a captured step trains as without it, and as on the CPU", async () => {
  const cpu = await run(["training"], { PTA_DEVICE: "cpu" });
  const ordered = await run(["training"], { PTA_CUDA_COPY_STREAM: "0" });
  assertEquals(cpu.values.length, 3, cpu.errors);
  cpu.values.forEach((value, i) => assertAlmostEquals(ordered.values[i], value, 1e-5));
  for (const mode of modes) {
    const { values, findings, errors } = await run(["training"], mode);
    assertEquals(findings, []);
    assertEquals(values, ordered.values, errors);
  }
});

test("slabs are used again only when nobody needs them", async () => {
  for (const mode of modes) {
    const { values, findings, errors } = await run(["slabs"], mode);
    assertEquals(findings, []);
    assertEquals(values, [0, 1, 1], errors);
  }
});

test("a full device gets back what is kept without need, and errors say that it is full", async () => {
  for (const mode of modes) {
    const { values, findings, errors } = await run(["full"], {
      ...mode,
      PTA_EMULATOR_MEMORY: String(64 << 20),
    });
    assertEquals(findings, []);
    assertEquals(values, [1, 1, 1, 1, 1, 1, 0, 0, 0], errors);
  }
});

test("a missing wait between the streams is found", async () => {
  for (const mode of modes) {
    const { findings, errors } = await run(["training", "cuStreamWaitEvent"], mode);
    assert(
      findings.some((line) => /cuMemcpyDtoDAsync reads .* on another stream/.test(line)),
      errors,
    );
  }
});

test("a host that does not wait for pinned memory spoils what arrives with delays", async () => {
  const { values, errors } = await run(["slabs", "cuEventSynchronize"], {
    PTA_EMULATOR_DELAY: "1",
  });
  assert(values[0] > 0, errors);
});
