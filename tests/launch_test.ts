import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import {
  alive,
  endOf,
  failureBlock,
  finish,
  runLauncher,
  startLauncher,
  until,
} from "./launcher.ts";

const script = "tests/fixtures/launch_rank.ts";

Deno.test("every rank gets its environment and the script's arguments as they are", async () => {
  const args = ["--cpu", "--num_processes", "2", script, "env", "--cpu=x", "007", "--", "-n"];
  const { code, out } = await runLauncher(args);
  assertEquals(code, 0);
  const ports = new Set<string>();
  for (const rank of [0, 1]) {
    const line = out.split("\n").find((l) => l.startsWith(`[rank ${rank}] env=`))!;
    const { MASTER_PORT, ...env } = JSON.parse(line.slice(line.indexOf("{")));
    assertEquals(env, {
      RANK: String(rank),
      LOCAL_RANK: String(rank),
      WORLD_SIZE: "2",
      LOCAL_WORLD_SIZE: "2",
      MASTER_ADDR: "127.0.0.1",
      PTA_DEVICE: "cpu",
    });
    ports.add(MASTER_PORT);
    assertStringIncludes(out, `[rank ${rank}] args=["--cpu=x","007","--","-n"]`);
    assertStringIncludes(out, `[rank ${rank}] secret=64`);
  }
  assertEquals(ports.size, 1);
});

Deno.test("one process is a rank of its own, without prefix, and passes its exit code on", async () => {
  const { code, out } = await runLauncher([script, "env"]);
  assertEquals(code, 0);
  assertStringIncludes(out, '"WORLD_SIZE":"1"');
  assert(!out.includes("[rank"));
  const failed = await runLauncher([script, "exit", "0", "5"]);
  assertEquals(failed.code, 5);
  assertStringIncludes(failureBlock(failed.err), "Rank 0 of 1 failed first");
});

Deno.test("lines of the ranks stay whole", async () => {
  const { out } = await runLauncher(["--num-processes", "3", script, "lines"]);
  const lines = out.trimEnd().split("\n").filter((line) => !line.includes("pid="));
  assertEquals(lines.length, 3 * 41);
  for (const line of lines) assertMatch(line, /^\[rank (\d)\] (x{2000}end\1|no newline)$/);
});

Deno.test("--quiet prints rank 0 only; --log-dir keeps the output of all", async () => {
  const dir = await Deno.makeTempDir();
  try {
    const flags = ["--num-processes", "2", "--quiet", "--log-dir", `${dir}/logs`];
    const { code, out } = await runLauncher([...flags, script, "env"]);
    assertEquals(code, 0);
    assertStringIncludes(out, "[rank 0] pid=");
    assert(!out.includes("[rank 1]"));
    assertStringIncludes(await Deno.readTextFile(`${dir}/logs/rank_1.log`), '"RANK":"1"');
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("--turbo starts the ranks with V8's flags", async () => {
  const file = await Deno.makeTempFile({ suffix: ".ts" });
  try {
    // V8 tells nobody its flags, but the command line shows them
    await Deno.writeTextFile(
      file,
      'console.log(Deno.env.get("PTA_TURBO"), Deno.readTextFileSync("/proc/self/cmdline"))',
    );
    const { code, out } = await runLauncher(["--turbo", file]);
    assertEquals(code, 0);
    assert(out.startsWith("1 "), out);
    assertStringIncludes(out, "--no-wasm-bounds-checks,--experimental-wasm-revectorize");
  } finally {
    await Deno.remove(file);
  }
});

Deno.test("the first failure ends all ranks and is reported with its error", async () => {
  const thrown = await runLauncher(["--num-processes", "2", script, "throw", "1"]);
  assertEquals(thrown.code, 1);
  const block = failureBlock(thrown.err);
  assertMatch(
    block,
    /^Rank 1 of 2 failed first: ended with exit code 1 \(an error that nobody caught\), after \d/,
  );
  assertStringIncludes(block, "RangeError: the loss went up");
  assertStringIncludes(block, "launch_rank.ts:");
  assertStringIncludes(block, "Rank 0: stopped by the launcher");
  assertEquals(alive(thrown.out), []);

  const exit = await runLauncher(["--num-processes", "2", script, "exit", "0", "42"]);
  assertEquals(exit.code, 42);
  assertMatch(failureBlock(exit.err), /^Rank 0 of 2 failed first: ended with exit code 42/);
});

Deno.test("a rank that lost a peer is not taken for the cause", async () => {
  const victim = await runLauncher(["--num-processes", "2", script, "victim"]);
  assertEquals(victim.code, 7);
  const block = failureBlock(victim.err);
  assertMatch(block, /^Rank 1 of 2 failed first: ended with exit code 7/);
  assertStringIncludes(block, "Rank 0: gave up because of rank 1");

  const stuck = await runLauncher(["--num-processes", "2", script, "stuck"]);
  assertEquals(stuck.code, 1);
  assertMatch(failureBlock(stuck.err), /^Rank 1 of 2 stopped answering; rank 0 noticed it/);
});

Deno.test("killing one rank ends the launch within 5 s and leaves no process", async () => {
  const child = startLauncher(["--num-processes", "2", script, "forever"]);
  const { seen, rest } = await until(child, /\[rank 0\] pid[^]*\[rank 1\] pid|rank=1[^]*rank=0/);
  const pid = Number(/pid=(\d+) rank=1/.exec(seen)![1]);
  const begin = performance.now();
  Deno.kill(pid, "SIGKILL");
  const { code, err } = await endOf(child);
  assert(performance.now() - begin < 5000);
  assertEquals(code, 137);
  assertMatch(failureBlock(err), /^Rank 1 of 2 failed first: ended by SIGKILL \(signal 9: /);
  assertEquals(alive(await rest()), []);
});

Deno.test("a rank that ignores SIGTERM is killed", async () => {
  const { code, out, seconds } = await runLauncher([
    "--num-processes",
    "2",
    script,
    "stubborn",
    "0",
  ]);
  assertEquals(code, 3);
  assertStringIncludes(out, "rank 1 got SIGTERM");
  assert(seconds < 10);
  assertEquals(alive(out), []);
});

Deno.test("SIGINT reaches the ranks, which may end in good order", async () => {
  const child = startLauncher(["--num-processes", "2", script, "polite"]);
  const { rest } = await until(child, /ready[^]*ready/);
  child.kill("SIGINT");
  const { code, err } = await endOf(child);
  const out = await rest();
  assertStringIncludes(out, "rank 0 got SIGINT");
  assertStringIncludes(out, "rank 1 got SIGINT");
  assertEquals([code, err], [0, ""]);
});

Deno.test("SIGTERM to the launcher ends the ranks; a second one does not ask", async () => {
  const child = startLauncher(["--num-processes", "2", script, "forever"]);
  const plain = await until(child, /rank=\d[^]*rank=\d/);
  child.kill("SIGTERM");
  const { code, err } = await endOf(child);
  assertEquals([code, err.trim()], [143, "Stopped by SIGTERM"]);
  assertEquals(alive(await plain.rest()), []);

  const stubborn = startLauncher(["--num-processes", "2", script, "stubborn"]);
  const out = await until(stubborn, /rank=\d[^]*rank=\d/);
  // the pid is printed just before the listener is there
  await new Promise((go) => setTimeout(go, 200));
  stubborn.kill("SIGTERM");
  await new Promise((go) => setTimeout(go, 200));
  stubborn.kill("SIGTERM");
  assertEquals((await endOf(stubborn)).code, 137);
  assertEquals(alive(await out.rest()), []);
});

Deno.test("a closed output ends the launch", async () => {
  const child = startLauncher(["--num-processes", "2", script, "polite"]);
  await child.stdout.cancel();
  const { code } = await endOf(child);
  assertEquals(code, 143);
});

const wrong: [string[], RegExp][] = [
  [
    ["--num-process", "2", script],
    /^launch: Unknown flag --num-process: did you mean --num-processes\?$/,
  ],
  [["--turob", script], /^launch: Unknown flag --turob: did you mean --turbo\?$/],
  [["--frobnicate", script], /^launch: Unknown flag --frobnicate; --help lists all flags$/],
  [["-x", script], /^launch: Unknown flag -x; --help lists all flags$/],
  [["--num-processes", "two", script], /^launch: Cannot read --num-processes two: wanted a whole/],
  [["--num-processes", "0", script], /^launch: Cannot read --num-processes 0: wanted a whole/],
  [["--num-processes", "--cpu", script], /^launch: Missing the value of --num-processes$/],
  [["--num-processes", "1", "--num-processes", "2", script], /^launch: Cannot use --num-processes/],
  [["--cpu"], /^launch: Missing the script/],
  [["no_such.ts", "--cpu"], /^launch: Cannot run no_such.ts: there is no such file \(looked in \//],
  [["tests"], /^launch: Cannot run tests: it is a folder/],
];

Deno.test("a wrong command line is one line and exit code 2", async () => {
  const results = await Promise.all(wrong.map(([args]) => runLauncher(args)));
  results.forEach(({ code, err, out }, i) => {
    assertEquals([code, out], [2, ""]);
    assertMatch(err.trimEnd(), wrong[i][1]);
    assertEquals(err.trimEnd().split("\n").length, 1);
  });
});

Deno.test("--help lists every flag and warns of --turbo", async () => {
  const { code, out } = await finish(startLauncher(["--help"]));
  assertEquals(code, 0);
  for (const flag of ["num-processes N", "cpu", "turbo", "log-dir DIR", "quiet"]) {
    assertStringIncludes(out, `--${flag} `);
  }
  assertStringIncludes(out, "Risk:");
});
