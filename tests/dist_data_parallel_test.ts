/** DistributedDataParallel on three ranks against one process that does the work of all. */
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { failureBlock, runLauncher } from "./launcher.ts";

const ranks = (...modes: string[]) =>
  runLauncher(["--cpu", "--num-processes", "3", "tests/fixtures/ddp_rank.ts", ...modes]);

Deno.test("data parallel over three ranks is like one process with all inputs", async (t) => {
  const modes = ["plain", "compressed", "noSync", "unused", "buffers", "uneven", "localSgd"];
  const { code, out, err } = await ranks(...modes);
  for (const mode of modes) {
    await t.step(mode, () => {
      for (let r = 0; r < 3; r++) assertStringIncludes(out, `rank ${r}: ${mode} ok`, err);
    });
  }
  assertEquals([code, err], [0, ""]);
});

Deno.test("data parallel: ranks with other models are named with the first difference", async () => {
  const other = failureBlock((await ranks("anotherModel")).err);
  assertMatch(other, /^Rank 1 of 3 (failed first|stopped answering)/);
  assertStringIncludes(
    other,
    "Cannot train together: rank 1 holds another model than rank 0: weight is float32 [3, 4], on rank 0 weight is float32 [2, 4]",
  );
  const more = failureBlock((await ranks("moreLayers")).err);
  assertMatch(more, /^Rank 2 of 3 (failed first|stopped answering)/);
  assertStringIncludes(more, "1.weight is float32 [4, 4], on rank 0 there are 2 tensors");
});
