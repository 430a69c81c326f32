/** What the launcher says of failures: who was first, what it wrote, what the others did. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { codeMeaning, SIGNALS } from "../launch/exit_codes.ts";
import { report } from "../launch/report.ts";
import type { GroupEnd, RankEnd } from "../launch/spawn.ts";
import { describeActivity } from "../launch/status.ts";
import { alive, failureBlock, finish, runLauncher, startLauncher } from "./launcher.ts";
import { isSoak } from "./soak.ts";

const script = "tests/fixtures/launch_rank.ts";

Deno.test("failure: a rank whose heartbeats stop is killed and named; the others say what they did", async () => {
  const args = ["--num-processes", "2", "--heartbeat-timeout", "2", script, "silent"];
  const { code, out, err, seconds } = await runLauncher(args);
  assertEquals(code, 124);
  const block = failureBlock(err);
  assertMatch(
    block,
    /^Rank 1 of 2 failed first: no heartbeat for [\d.]+ s, so it was killed, after/,
  );
  assertMatch(
    block,
    /^Rank 0: stopped by the launcher; waited for [\d.]+ s in allReduce of 10 float32, #3$/m,
  );
  assert(seconds < 15);
  assertEquals(alive(out), []);
});

Deno.test("failure: a suspended rank is named, with what the one that noticed says", async () => {
  const args = ["--num-processes", "3", "--heartbeat-timeout", "3"];
  const launcher = startLauncher([...args, "tests/fixtures/comm_rank.ts", "die", "1", "SIGSTOP"]);
  const { code, err } = await finish(launcher);
  assert(code !== 0);
  const block = failureBlock(err);
  assertMatch(
    block,
    /^Rank 1 of 3 (stopped answering; rank \d noticed|failed first: no heartbeat)/,
  );
  assertMatch(block, /^Rank 1: .*its process is suspended \(SIGSTOP\)|^Rank 1 of 3 failed/m);
});

Deno.test("failure: the error with its stack, and the 20 lines before it", async () => {
  const folder = await Deno.makeTempDir();
  const { code, err } = await runLauncher(["--log-dir", folder, script, "talk"]);
  await Deno.remove(folder, { recursive: true });
  assertEquals(code, 1);
  const block = failureBlock(err);
  assertMatch(block, /^Its error:\n {2}error: Uncaught .*TypeError: said enough$/m);
  assertMatch(block, /^ {2} {4}at Object\.talk \(.*launch_rank\.ts:\d+:\d+\)$/m);
  const shown = block.slice(block.indexOf("Its last lines before that:")).split("\n").slice(1, 21);
  assertEquals(shown.length, 20);
  assert(shown.includes("  line 99") && shown.includes("  a warning"), shown.join("\n"));
  assert(!block.includes("line 79\n"));
  assertStringIncludes(block, `Its log: ${folder}/rank_0.log`);
});

for (const signal of isSoak ? ["SIGQUIT", "SIGABRT", "SIGTERM"] as const : ["SIGABRT"] as const) {
  Deno.test(`failure: ${signal} is explained and gives 128 + its number`, async () => {
    const { code, err } = await runLauncher(["--num-processes", "2", script, "die", "1", signal]);
    const { number, meaning } = SIGNALS[signal];
    assertEquals(code, 128 + number);
    assertStringIncludes(
      failureBlock(err),
      `Rank 1 of 2 failed first: ended by ${signal} (signal ${number}: ${meaning})`,
    );
  });
}

const end = (rank: number, facts: Partial<RankEnd> = {}): RankEnd => ({
  rank,
  code: 0,
  signal: undefined,
  seconds: 1,
  stopped: false,
  silent: undefined,
  error: undefined,
  doing: "",
  lastLines: [],
  lastErrors: [],
  log: undefined,
  ...facts,
});
const group = (ends: RankEnd[], facts: Partial<GroupEnd> = {}): GroupEnd => ({
  ends,
  interrupted: undefined,
  outOfMemory: false,
  ...facts,
});
const error = (text: string) => ({ lastErrors: [`error: ${text}`], lastLines: [`error: ${text}`] });

Deno.test("report: many ranks of which the same is to be said have one line", () => {
  const ends = [
    end(3, { code: 1, ...error("too large") }),
    ...[0, 1, 2, 5, 6, 7].map((r) => end(r, { code: 143, stopped: true })),
    end(4),
  ];
  const { text, code } = report(group(ends), 8, false);
  assertEquals(code, 1);
  assertStringIncludes(text, "Ranks 0-2, 5-7: stopped by the launcher\n");
  assertStringIncludes(text, "Rank 4: had ended without an error\n");
});

Deno.test("report: the cause is not the first that ended, and not one that lost it", () => {
  const cases: [RankEnd[], RegExp, number][] = [
    [
      [
        end(0, { code: 1, ...error("Lost rank 2 in barrier(), collective #3: gone") }),
        end(2, { code: 137, signal: "SIGKILL" }),
      ],
      /^Rank 2 of 3 failed first: ended by SIGKILL/,
      137,
    ],
    [
      [
        end(0, { code: 1, ...error("Stopped by rank 1 in barrier(): too large") }),
        end(1, { code: 1, ...error("too large") }),
      ],
      /^Rank 1 of 3 failed first: ended with exit code 1/,
      1,
    ],
    [
      [
        end(0, { code: 1, ...error("Lost rank 1 in barrier(), collective #3: no heartbeat") }),
        end(1, { code: 137, stopped: true, signal: "SIGKILL", lastLines: ["step 7"] }),
      ],
      /^Rank 1 of 3 stopped answering; rank 0 noticed it: .*\nLast lines of rank 1:\n {2}step 7\nError of rank 0:\n {2}error: Lost/,
      1,
    ],
    [
      [
        end(0, { code: 143, signal: "SIGTERM", ...error("Stopped by rank 1: too large") }),
        end(1, { code: 1, ...error("too large") }),
      ],
      /^Rank 1 of 3 failed first: ended with exit code 1/,
      1,
    ],
    [
      [end(2, { code: 3 }), end(1, { code: 137, signal: "SIGKILL", silent: 30 })],
      /^Rank 1 of 3 failed first: no heartbeat for 30.0 s/,
      124,
    ],
  ];
  for (const [ends, headline, wanted] of cases) {
    const { text, code } = report(group(ends), 3, false);
    assertMatch(text.split("\n").slice(1, -1).join("\n"), headline);
    assertEquals(code, wanted);
  }
});

Deno.test("report: a kill while memory ran out is the system's; nothing is said of a good end", () => {
  const killed = [end(1, { code: 137, signal: "SIGKILL" })];
  const { text } = report(group(killed, { outOfMemory: true }), 2, false);
  assertStringIncludes(text, "(signal 9: the system killed it because memory ran out)");
  assertEquals(report(group([end(0), end(1)]), 2, false), { code: 0, text: "", headline: "" });
  const early = [end(0, { code: 130, signal: "SIGINT" })];
  assertEquals(
    report(group(early, { interrupted: "SIGINT" }), 1, false).text,
    "Stopped by SIGINT",
  );
  const interrupted = [end(0, { code: 143, signal: "SIGTERM", stopped: true })];
  assertEquals(
    report(group(interrupted, { interrupted: "SIGTERM" }), 1, false).text,
    "Stopped by SIGTERM",
  );
});

Deno.test("report: exit codes have meanings, also those that a shell makes of signals", () => {
  assertEquals(codeMeaning(1), "an error that nobody caught");
  assertEquals(codeMeaning(139), "SIGSEGV, invalid memory access, often in a native library");
  assertEquals(codeMeaning(42), undefined);
});

Deno.test("status: what a rank does, in words", () => {
  const now = 100_000;
  const say = (status: Parameters<typeof describeActivity>[0]) => describeActivity(status, 0, now);
  assertEquals(say(undefined), "");
  assertEquals(
    say({ time: now, state: "waiting", since: now - 1500, collective: "barrier(), #2" }),
    "waited for 1.5 s in barrier(), #2",
  );
  assertEquals(
    say({ time: now - 9000, state: "running", since: now - 20_000, collective: "barrier(), #2" }),
    "computed for 20.0 s, after barrier(), #2, last heartbeat 9.0 s ago",
  );
  assertEquals(
    say({ time: now, state: "starting", since: now - 1000 }),
    "waited for 1.0 s for the others at the start",
  );
  assertEquals(say({ time: now, state: "failed", error: "gone\nx" }), "had failed: gone");
});
