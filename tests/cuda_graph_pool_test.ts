/** Graphs of recordings that are gone become those of later ones: what is updated computes what a new one would. On the emulated device. */
import { assertEquals } from "@std/assert";
import { buildEmulator, whyNotEmulated } from "./emulator/build.ts";
import { unlessSoak } from "./soak.ts";

const reason = unlessSoak(whyNotEmulated());
const script = new URL("cuda_graph_pool_run.ts", import.meta.url).pathname;

for (const delay of ["0", "1"]) {
  Deno.test({
    name: `graphs are updated where only addresses and numbers changed, delay ${delay}${
      reason === undefined ? "" : ` (skipped: ${reason})`
    }`,
    ignore: reason !== undefined,
    fn: async () => {
      const { stdout, stderr, code } = await new Deno.Command(Deno.execPath(), {
        args: ["run", "-A", script],
        env: { ...buildEmulator(), PTA_EMULATOR_DELAY: delay },
      }).output();
      const errors = new TextDecoder().decode(stderr);
      assertEquals(code, 0, errors);
      assertEquals(errors.split("\n").filter((line) => line.startsWith("emulator: ")), []);
      const told: { captured: number[]; plain: number[]; made: number; updated: number }[] = JSON
        .parse(new TextDecoder().decode(stdout));
      for (const { captured, plain } of told) assertEquals(captured, plain);
      const counts = told.map(({ made, updated }) => [made, updated]);
      assertEquals(counts, [[1, 0], [0, 1], [0, 1], [1, 0], [0, 1], [0, 1]]);
    },
  });
}
