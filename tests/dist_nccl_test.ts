/** Sums over ranks by NCCL on the emulated device: the same losses as on the CPU, and ranks that differ are named. */
import { assertAlmostEquals, assertEquals, assertMatch } from "@std/assert";
import { whyNotEmulated } from "./emulator/build.ts";
import { failureBlock } from "./launcher.ts";
import { unlessSoak } from "./soak.ts";

const root = new URL("../", import.meta.url).pathname;
const reason = unlessSoak(whyNotEmulated());
const note = reason === undefined ? "" : ` (skipped: ${reason})`;

/** Runs the script on some ranks, on the CPU or on the emulated device that they share. */
async function run(device: "cpu" | "cuda", ranks: number, mode: string) {
  const launch = ["launch/launch.ts", "--num-processes", String(ranks)];
  const script = ["tests/fixtures/nccl_rank.ts", mode];
  const words = device === "cpu"
    ? ["run", "-A", ...launch, "--cpu", ...script]
    : ["run", "-A", "tests/emulator/run.ts", "deno", "run", "-A", ...launch, ...script];
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: words,
    cwd: root,
    env: { NO_COLOR: "1", PTA_DEVICE: device, NCCL_MULTI_RANK_GPU_ENABLE: "1", PTA_DEBUG: "1" },
    stdin: "null",
  }).output();
  const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, out: decode(stdout), err: decode(stderr) };
}

const lossesOf = (out: string, device: string) =>
  [...out.matchAll(/loss=(\S+) device=(\S+)/g)].map(([, loss, where]) => {
    assertMatch(where, new RegExp(`^${device}`));
    return Number(loss);
  });

Deno.test({
  name: `nccl: two emulated devices train the digits like one and two CPU ranks${note}`,
  ignore: reason !== undefined,
  fn: async () => {
    const [one, two, nccl] = [
      await run("cpu", 1, "digits"),
      await run("cpu", 2, "digits"),
      await run("cuda", 2, "digits"),
    ];
    assertEquals([one.code, two.code, nccl.code], [0, 0, 0], nccl.err);
    assertMatch(nccl.out + nccl.err, /NCCL \d+: rank 1 of 2/);
    const wanted = lossesOf(one.out, "cpu");
    assertEquals(wanted.length, 6);
    for (const losses of [lossesOf(two.out, "cpu"), lossesOf(nccl.out, "cuda")]) {
      assertEquals(losses.length, wanted.length);
      losses.forEach((loss, i) => assertAlmostEquals(loss, wanted[i], 1e-4 * wanted[i]));
    }
  },
});

Deno.test({
  name: `nccl: ranks that sum different lengths are named, and none hangs${note}`,
  ignore: reason !== undefined,
  fn: async () => {
    const { code, err } = await run("cuda", 2, "mismatch");
    assertEquals(code, 1, err);
    assertMatch(
      failureBlock(err),
      /allReduce\(sum\) on the devices float32\[9\]/,
    );
  },
});
