/** The committed samples of PyTorch's own databases: one in four of each name, or all, as `deno task golden` runs them, with `PTA_TEST_SOAK=1`. */
import { assert, assertEquals } from "@std/assert";
import { readLines } from "./golden/fixture.ts";
import { runModules } from "./golden/module_suite.ts";
import { runOperators } from "./golden/operator_suite.ts";
import { runOptimizers } from "./golden/optimizer_suite.ts";
import { isSoak } from "./soak.ts";

const share = isSoak ? 1 : 4, which = isSoak ? "" : `, one in ${share} samples`;

const directory = new URL("./golden/fixtures", import.meta.url).pathname;

/** Parts of the operators, by the first letter of the name, and how many names each covers at least. */
const parts: Readonly<Record<string, [RegExp, number]>> = {
  "a to d": [/^(?!nn\.|linalg\.|special\.|masked\.|signal\.)[_a-d]/i, 100],
  "e to m": [/^(?!nn\.|linalg\.|special\.|masked\.|signal\.)[e-m]/i, 100],
  "n to z": [/^(?!nn\.|linalg\.|special\.|masked\.|signal\.)[n-z]/i, 120],
  "linear algebra": [/^linalg\./, 34],
  "special functions": [/^(special|signal)\./, 40],
  "masked": [/^masked\./, 15],
  "neural networks": [/^nn\./, 95],
};

/** Nothing failed, and whatever did not run says why. */
function checkLines(lines: readonly string[], skipped: number): void {
  assertEquals(lines.filter((line) => line.startsWith("FAILED")), []);
  assertEquals(lines.filter((line) => /no adapter$|no such module here$/.test(line)), []);
  const stated = lines.map((line) => Number(/^skipped [^:]*: (\d+)/.exec(line)?.[1] ?? 0));
  assertEquals(stated.reduce((a, b) => a + b, 0), skipped, "every skipped sample has a reason");
}

Deno.test("golden operators: every name of the fixture is in one part", async () => {
  for await (const { name } of readLines<{ name: string }>(`${directory}/operators.jsonl.gz`)) {
    const holding = Object.entries(parts).filter(([, [only]]) => only.test(name));
    assertEquals(holding.length, 1, `${name} is in ${holding.map(([part]) => part)}`);
  }
});

for (const [name, [only, least]] of Object.entries(parts)) {
  Deno.test(`golden operators: ${name}${which}`, async () => {
    const found = await runOperators(directory, only, false, share);
    checkLines(found.lines, found.skipped);
    assertEquals(found.failed, 0);
    assert(found.operators >= least, `${found.operators} operators, at least ${least} expected`);
  });
}

Deno.test(`golden modules${which}`, async () => {
  const found = await runModules(directory, /^/, false, share);
  checkLines(found.lines, found.skipped);
  assertEquals(found.failed, 0);
  assert(found.operators >= 105, `${found.operators} modules`);
});

Deno.test(`golden optimizers and schedulers${which}`, async () => {
  const found = await runOptimizers(directory, /^/, false, share);
  checkLines(found.lines, found.skipped);
  assertEquals(found.failed, 0);
  assert(found.operators >= 29, `${found.operators} optimizers and schedulers`);
});
