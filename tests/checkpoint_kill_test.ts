/** Programs killed while they train and while they save: what is left goes on as if nothing had happened. Every kind of run, again and again: `deno task drill resume`. */
import { assertEquals } from "@std/assert";
import { drillCases, killRuns } from "../tools/drill_resume.ts";
import { killSaves } from "../tools/drill_saves.ts";

for (const [kind, ranks] of [["accumulation", 1], ["wsd", 2]] as const) {
  Deno.test(`a killed run goes on bit by bit: ${kind} on ${ranks} ranks`, async () => {
    const cases = drillCases.filter((c) => c.kind === kind && c.ranks === ranks);
    const { kills, identical, differing } = await killRuns(1, 7, cases);
    assertEquals(differing, []);
    assertEquals([kills, identical], [1, 1]);
  });
}

Deno.test("programs killed while they save leave whole states only", async () => {
  const { kills, wrong } = await killSaves(2, 3);
  assertEquals(wrong, []);
  assertEquals(kills, 2);
});
