/** The page of operators says what the library has now. */
import { assertEquals } from "@std/assert";
import { operatorsPage } from "../tools/operators_page.ts";

Deno.test("docs/operators.md is what `deno task operators` writes", async () => {
  const page = Deno.readTextFileSync(new URL("../docs/operators.md", import.meta.url));
  const lines = page.split("\n"), wanted = (await operatorsPage()).split("\n");
  const stale = wanted.filter((line, i) => lines[i] !== line);
  assertEquals(stale.slice(0, 5), [], "run `deno task operators`");
  assertEquals(lines.length, wanted.length, "run `deno task operators`");
});
