import { assert, assertEquals } from "@std/assert";

/** Standard error of a script at a debug level. */
async function debugOutput(level: number): Promise<string> {
  const script = `import { setDefaultDevice, tensor } from "@pta/accelerated";
    setDefaultDevice("ref");
    const x = tensor([1, 2, 3]);
    x.exp().add(1).sum().item();`;
  const { code, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["eval", "--quiet", script],
    env: { PTA_DEBUG: String(level) },
  }).output();
  const text = new TextDecoder().decode(stderr);
  assertEquals(code, 0, text);
  return text;
}

Deno.test("PTA_DEBUG prints devices, then kernels with times, then plans, then kernel text", async () => {
  const [silent, devices, kernels, plans, source] = await Promise.all(
    [0, 1, 2, 3, 4].map(debugOutput),
  );
  assertEquals(silent, "");
  assertEquals(devices, "pta: device ref is backend ref\n");
  assert(/kernel exp_add_sum [\d.]+ us/.test(kernels), kernels);
  assert(!kernels.includes("plan of"));
  assert(plans.includes("plan of 1 steps"), plans);
  assert(!plans.includes("sum~"));
  assert(source.includes("sum~float32"), source);
});
