/** Ranks that fail, differ or vanish: all others stop with the reason, and the launcher names the first. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { alive, failureBlock, runLauncher, startLauncher } from "./launcher.ts";
import { isSoak } from "./soak.ts";

const script = "tests/fixtures/comm_rank.ts";

function ranks(n: number, args: string[], env: Record<string, string> = {}) {
  return runLauncher(["--cpu", "--num-processes", String(n), script, ...args], env);
}

Deno.test("failures: different calls are an error that names the odd rank, both calls and where they are", async () => {
  const length = await ranks(3, ["mismatch"]);
  assertEquals(length.code, 1);
  const block = failureBlock(length.err);
  assertMatch(block, /^Rank 1 of 3 failed first/);
  assertMatch(
    block,
    /Cannot run collective #1: rank 1 called allReduce\(sum\) float32\[8\] at tests\/fixtures\/comm_rank.ts:\d+:\d+, rank [02] called allReduce\(sum\) float32\[9\]/,
  );
  for (const r of [0, 2]) {
    assertMatch(
      length.err,
      new RegExp(`\\[rank ${r}\\] error: .* Error: Stopped by rank 1 in allReduce`),
    );
  }
  const order = await ranks(2, ["order"]);
  assertMatch(
    failureBlock(order.err),
    /rank (\d) called (broadcast\(root 0\)|allReduce\(sum\)) float32\[8\] at \S+, rank (?!\1)\d called (?!\2)/,
  );
});

Deno.test("failures: what devices are about to do is compared as well", async () => {
  const { err } = await ranks(2, ["announce"]);
  assertMatch(
    failureBlock(err),
    /Cannot run collective #200: rank 1 called allReduce\(sum\) on the devices bfloat16\[64\] at tests\S+, rank 0 called allReduce\(sum\) on the devices bfloat16\[65\]/,
  );
});

Deno.test("failures: a killed rank is an error on the others within seconds", async () => {
  for (const n of isSoak ? [2, 4] : [4]) {
    const { code, err, seconds } = await ranks(n, ["die", "1", "SIGKILL"]);
    assertEquals(code, 137);
    assert(seconds < 10);
    assertMatch(failureBlock(err), /^Rank 1 of \d failed first: ended by SIGKILL/);
    // the launcher may stop a rank before it has said so
    const errors = [...err.matchAll(/\[rank (\d)\] error: (.*)/g)];
    assert(errors.length > 0);
    for (const [, rank, text] of errors) {
      assert(rank !== "1");
      assertMatch(text, /Error: Lost rank 1( in |: )/);
    }
  }
});

Deno.test("failures: a rank that stands still is named after PTA_HEARTBEAT_TIMEOUT", async () => {
  const { code, err } = await ranks(3, ["die", "1", "SIGSTOP"], { PTA_HEARTBEAT_TIMEOUT: "3" });
  // the launcher hears heartbeats too, and may be first
  assert(code === 1 || code === 124, `${code}`);
  const block = failureBlock(err);
  assertMatch(
    block,
    /^Rank 1 of 3 (stopped answering; rank \d noticed it|failed first: no heartbeat)/,
  );
  assertMatch(block + err, /no heartbeat for \d/);
});

Deno.test("failures: a rank that stays away from a collective is named after PTA_COMM_TIMEOUT", async () => {
  const { code, err } = await ranks(3, ["away", "1"], { PTA_COMM_TIMEOUT: "4" });
  assertEquals(code, 1);
  const block = failureBlock(err);
  assertMatch(block, /^Rank 1 of 3 stopped answering; rank \d noticed it/);
  assertMatch(
    block,
    /Lost rank 1 in barrier\(\), collective #1, at \S+: it did not take part for \d/,
  );
  assertMatch(block, /last heard of: computing, \d+ s after barrier\(\), collective #0/);
});

Deno.test("failures: an uncaught error and an exit code are the reason that the other ranks hear", async () => {
  const thrown = await ranks(3, ["throw", "1"]);
  assertEquals(thrown.code, 1);
  assertMatch(failureBlock(thrown.err), /^Rank 1 of 3 failed first/);
  const left = await ranks(2, ["exit", "0"]);
  assertEquals(left.code, 9);
  assertMatch(failureBlock(left.err), /^Rank 0 of 2 failed first/);
  for (
    const [err, text] of [
      [
        thrown.err,
        "Stopped by rank 1.*: RangeError: the loss went up, at tests/fixtures/comm_rank.ts:",
      ],
      [left.err, "Stopped by rank 0.*: it ended with exit code 9"],
    ]
  ) assertMatch(err, new RegExp(text));
});

Deno.test("failures: abort and leaving reach the other ranks", async () => {
  const abort = await ranks(2, ["abort"]);
  assertEquals(abort.code, 3);
  assertStringIncludes(abort.err, "Stopped by rank 0");
  assertStringIncludes(abort.err, "the test wants it");
  const left = await ranks(2, ["left"]);
  assertStringIncludes(left.err, "Lost rank 0 in barrier(), collective #0, at ");
  assertStringIncludes(left.err, ": it has left the group");
});

Deno.test("failures: a rank that computes on after the end of its group is asked to end, without a launcher too", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  const outputs = await Promise.all([0, 1].map((r) =>
    new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", script, "deaf"],
      cwd: new URL("../", import.meta.url).pathname,
      env: {
        NO_COLOR: "1",
        RANK: String(r),
        WORLD_SIZE: "2",
        MASTER_PORT: String(port),
        PTA_LAUNCH_SECRET: "0123456789abcdef",
      },
    }).output()
  ));
  assertEquals(outputs.map(({ signal }) => signal), ["SIGTERM", "SIGKILL"]);
  const text = new TextDecoder().decode(outputs[0].stderr);
  assertMatch(text, /^error: Lost rank 1: its connection is closed/);
});

Deno.test("failures: ranks end when the launcher is killed", async () => {
  const child = startLauncher(["--num-processes", "2", script, "loop"]);
  let out = "";
  const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  while (!/pid=[^]*pid=/.test(out)) {
    const { value, done } = await reader.read();
    if (done) throw new Error(`Output ended early:\n${out}`);
    out += value;
  }
  child.kill("SIGKILL");
  await Promise.all([child.status, reader.cancel(), child.stderr.cancel()]);
  for (let i = 0; i < 50 && alive(out).length > 0; i++) {
    await new Promise((go) => setTimeout(go, 100));
  }
  assertEquals(alive(out), []);
});
