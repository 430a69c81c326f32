/** The backend's cuDNN graphs, executed by the emulated library, against plain loops. */
import { assert, assertEquals } from "@std/assert";
import type { Outcome } from "./cuda_routine_run.ts";
import type { Steps } from "./cudnn_step_run.ts";
import { whyNotEmulated } from "./emulator/build.ts";
import { unlessSoak } from "./soak.ts";

const at = (file: string) => new URL(file, import.meta.url).pathname;
const emulable = whyNotEmulated();
const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

/** Runs a script on the emulated device; what it prints. */
async function emulated<T>(script: string, env: Record<string, string> = {}): Promise<T> {
  const { stdout, stderr, code } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", at("emulator/run.ts"), "deno", "run", "-A", at(script)],
    env,
  }).output();
  assertEquals(code, 0, text(stderr));
  return JSON.parse(text(stdout).trim().split("\n").at(-1)!);
}

function onEmulator(name: string, fn: () => Promise<void>, reason = emulable): void {
  const skipped = reason === undefined ? "" : ` (skipped: ${reason})`;
  Deno.test({ name: `cudnn emulated: ${name}${skipped}`, ignore: reason !== undefined, fn });
}

onEmulator("attention, TF32 and channels last", async () => {
  const { passed, failures } = await emulated<Outcome>("cudnn_emulated_run.ts");
  assertEquals(failures, []);
  assertEquals(passed, 24);
});

// Two convolutions forward, two gradients of weights, one of an input.
for (
  const [about, env, plans] of [["", {}, 5], [", switched off", { PTA_CUDNN: "off" }, 0]] as const
) {
  onEmulator(`training steps with convolutions, captured and not${about}`, async () => {
    for (const steps of await emulated<Steps[]>("cudnn_step_run.ts", env)) {
      assertEquals(steps.plans, plans, steps.dtype);
      assertEquals(steps.want.length, 6);
      assert(steps.want[5] < steps.want[0] / 10);
      const limit = steps.dtype === "float32" ? 1e-5 : 2e-2;
      for (const got of [steps.plain, steps.captured]) {
        steps.want.forEach((w, i) => assert(Math.abs(got[i] - w) <= limit * Math.abs(w), `${got}`));
      }
    }
  }, unlessSoak(emulable));
}
