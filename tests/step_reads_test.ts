/** The host reads nothing inside a training step in float16: on every device, captured or not, accumulated, clipped, alone and on two ranks. */
import "@pta/core/backend";
import { assertEquals } from "@std/assert";
import { backendOf, ones, setDefaultDevice } from "@pta/core";
import { whyNotEmulated } from "./emulator/build.ts";
import { kinds, type StepKind, type StepReads, stepReads } from "./fixtures/step_reads.ts";
import { unlessSoak } from "./soak.ts";

const at = (file: string) => new URL(file, import.meta.url).pathname;

/** What each kind of step must give; the null device computes nothing, so nothing overflows on it. */
function expect(
  found: readonly StepReads[],
  computes: boolean,
  clippings: readonly StepKind["clip"][] = ["norm", "value", "none"],
): void {
  // Two steps back off, and two good ones after the first of them grow: 65536 / 2 * 2 / 2.
  const outcome = computes ? { skipped: 2, scale: 32768 } : { skipped: 0, scale: 0 };
  assertEquals(
    found,
    kinds.filter(({ clip }) => clippings.includes(clip)).map((kind) => ({
      ...kind,
      reads: 0,
      readsAfter: 2,
      ...outcome,
      replays: kind.captured ? 4 : 0,
    })),
  );
}

async function output(args: string[], env: Record<string, string> = {}): Promise<string> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", ...args],
    cwd: at(".."),
    env,
    stdin: "null",
  }).output();
  const text = new TextDecoder();
  assertEquals(code, 0, text.decode(stdout) + text.decode(stderr));
  return text.decode(stdout);
}

for (const device of ["ref", "cpu", "null"]) {
  Deno.test(`reads: every backend counts its own, and steps make none [${device}]`, () => {
    const before = setDefaultDevice(device);
    try {
      const { stats } = backendOf(device), { reads } = stats;
      ones([3]).data();
      assertEquals(stats.reads, reads + 1);
      expect(kinds.map((kind) => stepReads(kind, 1, true)), device !== "null");
    } finally {
      setDefaultDevice(before);
    }
  });
}

const reason = unlessSoak(whyNotEmulated());
Deno.test({
  name: `reads: no step makes any [emulated cuda${reason === undefined ? "" : `: ${reason}`}]`,
  ignore: reason !== undefined,
  fn: async () => {
    const script = at("fixtures/step_reads.ts");
    const text = await output([at("emulator/run.ts"), "deno", "run", "-A", script, "norm"]);
    expect(JSON.parse(text.trim().split("\n").at(-1)!), true, ["norm"]);
  },
});

Deno.test("reads: no step of two ranks makes any, and both skip the same ones", async () => {
  const folder = await Deno.makeTempDir();
  await output([
    "launch/launch.ts",
    "--cpu",
    "--num-processes",
    "2",
    "tests/fixtures/step_reads.ts",
    "norm,none",
    folder,
  ]);
  for (const rank of [0, 1]) {
    expect(JSON.parse(Deno.readTextFileSync(`${folder}/${rank}.json`)), true, ["norm", "none"]);
  }
  await Deno.remove(folder, { recursive: true });
});
