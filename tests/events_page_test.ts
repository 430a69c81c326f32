/** The order of events in docs/trainer.md is what happens. */
import { assert, assertEquals } from "@std/assert";
import { eventTable, scenarioNames, traceOf } from "./trainer_traces.ts";

const page = await Deno.readTextFile(new URL("../docs/trainer.md", import.meta.url));

Deno.test("events: the documented table is the table of the code", () => {
  const start = page.indexOf("| event ");
  const documented = page.slice(start, page.indexOf("\n\n", start)).split("\n");
  assertEquals(documented, eventTable());
});

for (const name of scenarioNames) {
  Deno.test(`events: a traced run is as documented: ${name}`, async () => {
    const marker = `<!-- trace: ${name} -->\n\n\`\`\`text\n`;
    const start = page.indexOf(marker) + marker.length;
    assert(start >= marker.length, `docs/trainer.md has no trace of "${name}"`);
    const documented = page.slice(start, page.indexOf("\n```", start)).split("\n");
    assertEquals(await traceOf(name), documented);
  });
}

Deno.test("events: every documented trace is run", () => {
  const documented = [...page.matchAll(/<!-- trace: (.+) -->/g)].map((m) => m[1]);
  assertEquals(documented, [...scenarioNames]);
});
