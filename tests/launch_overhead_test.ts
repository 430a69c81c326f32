/** What a launch costs the host: the bench runs, and its numbers keep the bar of one microsecond. */
import { assert, assertEquals } from "@std/assert";
import { whyNoStubs } from "./cuda_stub.ts";

const reason = whyNoStubs();
const script = new URL("../bench/launch_overhead.ts", import.meta.url).pathname;

Deno.test({
  name: `launch overhead: under 1 us a call when hot, one graph launch a replay${
    reason === undefined ? "" : ` (skipped: ${reason})`
  }`,
  ignore: reason !== undefined,
  fn: async () => {
    const { stdout, stderr, code } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", script, "--samples", "60"],
    }).output();
    assertEquals(code, 0, new TextDecoder().decode(stderr));
    const found = JSON.parse(new TextDecoder().decode(stdout));
    assertEquals(found.graph_launches_per_replay, [1, 1, 1]);
    for (const name of ["hand_kernel", "printed_kernel", "joined_kernels", "graph", "replay2"]) {
      assert(found[name] > 0 && found[name] < 1000, `${name}: ${found[name]} ns`);
    }
  },
});
