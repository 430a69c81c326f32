/** A handful of the launcher's failure drills; `deno task drill launch` runs all of them. */
import { assert, assertEquals } from "@std/assert";
import { runDrill } from "../tools/drill_launch.ts";
import { DRILLS } from "../tools/drill_launch_table.ts";
import { randomNumbers } from "../tools/kill_support.ts";

const handful = [
  "killed from outside",
  "throws later",
  "out of memory, heap",
  "another order",
  "killed during a flood",
  "a rank of another machine throws",
];

Deno.test("drills: there are at least fifty", () => {
  assert(Object.keys(DRILLS).length >= 50);
});

for (const [i, name] of handful.entries()) {
  Deno.test(`drill: ${name}`, async () => {
    const { complaints, draw, output } = await runDrill(name, randomNumbers(40 + i));
    assertEquals(complaints, [], `${draw}\n${output}`);
  });
}
