/** The backend's cuDNN graphs, executed by the emulated library, against plain loops. */
import { assertEquals } from "@std/assert";
import type { Outcome } from "./cuda_routine_run.ts";
import { whyNotEmulated } from "./emulator/emulate.ts";

const at = (file: string) => new URL(file, import.meta.url).pathname;
const reason = whyNotEmulated();
const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

Deno.test({
  name: `cudnn emulated: attention, TF32 and channels last${
    reason === undefined ? "" : ` (skipped: ${reason})`
  }`,
  ignore: reason !== undefined,
  fn: async () => {
    const { stdout, stderr, code } = await new Deno.Command(Deno.execPath(), {
      // deno-fmt-ignore
      args: ["run", "-A", at("emulator/run.ts"), "deno", "run", "-A", at("cudnn_emulated_run.ts")],
    }).output();
    assertEquals(code, 0, text(stderr));
    const { passed, failures }: Outcome = JSON.parse(text(stdout).trim().split("\n").at(-1)!);
    assertEquals(failures, []);
    assertEquals(passed, 24);
  },
});
