/** The setting of how exactly float32 products are computed. */
import "@pta/core/backend";
import { assertEquals, assertThrows } from "@std/assert";
import { float32MatmulPrecision, setFloat32MatmulPrecision, tensor } from "@pta/core";

async function fromEnvironment(value: string): Promise<string> {
  const code =
    'import { float32MatmulPrecision } from "@pta/core"; console.log(float32MatmulPrecision());';
  const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["eval", code],
    cwd: new URL("..", import.meta.url),
    env: { PTA_FLOAT32_MATMUL_PRECISION: value },
  }).output();
  const text = new TextDecoder();
  return text.decode(stdout).trim() || text.decode(stderr);
}

Deno.test("float32 matmul precision: highest unless asked, and checked", async () => {
  assertEquals(float32MatmulPrecision(), "highest");
  assertEquals(setFloat32MatmulPrecision("high"), "highest");
  assertEquals(setFloat32MatmulPrecision("highest"), "high");
  assertThrows(
    () => setFloat32MatmulPrecision("tf32" as never),
    RangeError,
    "highest, high, medium",
  );
  assertEquals(await fromEnvironment("medium"), "medium");
  const wrong = await fromEnvironment("low");
  assertEquals(wrong.includes('"low" of PTA_FLOAT32_MATMUL_PRECISION'), true, wrong);
});

Deno.test("float32 matmul precision: the CPU stays exact", () => {
  const x = tensor([[1 + 2 ** -20, 1]]);
  const before = setFloat32MatmulPrecision("high");
  try {
    assertEquals(x.matmul(tensor([[1], [0]])).item(), Math.fround(1 + 2 ** -20));
  } finally {
    setFloat32MatmulPrecision(before);
  }
});
