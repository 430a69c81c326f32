/** Which algorithms cuBLASLt's products take: the first that is named, the fastest where that is asked for, and one that was measured by an earlier process. */
import { assertEquals } from "@std/assert";
import { workspaceBytes } from "../core/backend/cuda/cublas_open.ts";
import type { Choices } from "./cublas_choice_run.ts";
import { whyNotEmulated } from "./emulator/build.ts";
import { unlessSoak } from "./soak.ts";

const reason = unlessSoak(whyNotEmulated());
const at = (file: string) => new URL(file, import.meta.url).pathname;

async function choices(env: Record<string, string>): Promise<Choices> {
  const { stdout, stderr, code } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", at("emulator/run.ts"), "deno", "run", "-A", at("cublas_choice_run.ts")],
    env,
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  assertEquals(code, 0, text(stderr));
  return JSON.parse(text(stdout).trim().split("\n").at(-1)!);
}

Deno.test({
  name: `cublas choice: measured once, kept on disk${
    reason === undefined ? "" : ` (skipped: ${reason})`
  }`,
  ignore: reason !== undefined,
  fn: async () => {
    const folder = await Deno.makeTempDir();
    try {
      const results = [64, 64, 64], cache = { PTA_CACHE: folder };
      assertEquals(await choices(cache), { asked: 2, launched: 3, results });
      // Three algorithms for each of two products: one run to warm up and three that are timed.
      const tuned = { ...cache, PTA_CUDA_TUNE: "1" };
      assertEquals(await choices(tuned), { asked: 2, launched: 3 + 2 * 3 * 4, results });
      assertEquals(await choices(tuned), { asked: 0, launched: 3, results });
      assertEquals(await choices(cache), { asked: 0, launched: 3, results });
      const none = { ...tuned, PTA_CACHE: "off" };
      assertEquals(await choices(none), { asked: 2, launched: 3 + 2 * 3 * 4, results });
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
});

Deno.test("cublas choice: scratch memory is what NVIDIA advises", () => {
  assertEquals([8, 9, 10, 12].map((major) => workspaceBytes(major) >> 20), [4, 32, 32, 12]);
});
