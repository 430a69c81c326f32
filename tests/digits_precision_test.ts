/** The digits example ends at the same accuracy in every precision that the environment names. */
import { assert, assertAlmostEquals } from "@std/assert";

async function accuracyIn(mixedPrecision: string): Promise<number> {
  const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "examples/digits.ts", "--epochs", "16"],
    cwd: new URL("..", import.meta.url),
    env: { PTA_MIXED_PRECISION: mixedPrecision },
  }).output();
  const text = new TextDecoder().decode(stdout);
  const found = /test_accuracy=([\d.]+)/.exec(text);
  assert(found !== null, text + new TextDecoder().decode(stderr));
  const named = text.includes(`Mixed precision: ${mixedPrecision} (PTA_MIXED_PRECISION)`);
  assert(named === (mixedPrecision !== "no"), text);
  return Number(found[1]);
}

Deno.test("digits: bf16 and fp16 end within 0.3 points of float32", async () => {
  const [exact, ...low] = await Promise.all(["no", "bf16", "fp16"].map(accuracyIn));
  assert(exact > 0.975, `${exact}`);
  for (const accuracy of low) assertAlmostEquals(accuracy, exact, 0.003);
});
