/** Launched training: the same losses on any number of ranks and machines, and after restarts. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { alive, finish, type LaunchResult, runLauncher, startLauncher } from "./launcher.ts";

const script = "tests/fixtures/launch_training.ts";
const LIMIT = 240;

interface Result {
  readonly losses: number[];
  readonly hash: string;
}

function resultOf({ code, out, err }: LaunchResult): Result {
  assertEquals(code, 0, `${out}\n${err}`);
  return JSON.parse(/result=(\{.*\})$/m.exec(out)![1]);
}

const launch = (args: string[], env: Record<string, string> = {}) =>
  finish(startLauncher(["--cpu", ...args], env), LIMIT);

function assertClose(actual: Result, wanted: Result, what: string): void {
  assertEquals(actual.losses.length, wanted.losses.length);
  actual.losses.forEach((loss, i) => {
    const error = Math.abs(loss - wanted.losses[i]) / wanted.losses[i];
    assert(error < 1e-4, `${what}: loss ${i} is ${loss}, ${wanted.losses[i]} on one rank`);
  });
}

/** A port that nobody listens on now. */
function freePort(hostname: string): number {
  using listener = Deno.listen({ hostname, port: 0 });
  return listener.addr.port;
}

let single: Promise<Result> | undefined;
/** One rank, two epochs. */
const onOneRank = () => single ??= launch([script, "2"]).then(resultOf);

for (const ranks of [2, 4, 8]) {
  Deno.test(`training: ${ranks} ranks have the losses of one`, async () => {
    const wanted = await onOneRank();
    assertEquals(wanted.losses.length, 4);
    assert(wanted.losses[1] < wanted.losses[0]);
    const many = resultOf(await launch(["--num-processes", String(ranks), script, "2"]));
    assertClose(many, wanted, `${ranks} ranks`);
  });
}

Deno.test("training: 2 machines of 2 ranks, by loopback addresses, have the losses of one rank", async () => {
  const port = freePort("127.0.0.2");
  const env = { PTA_LAUNCH_SECRET: "two machines share this text" };
  const machine = (i: number) =>
    launch([
      "--num-machines=2",
      `--machine-rank=${i}`,
      "--num-processes=4",
      "--main-process-ip=127.0.0.2",
      `--main-process-port=${port}`,
      "--prefix={machine}.{local_rank}>",
      script,
      "2",
    ], env);
  const [first, second] = await Promise.all([machine(0), machine(1)]);
  assertEquals(second.code, 0, second.err);
  assertMatch(first.out, /^0\.0> start 0$/m);
  assertClose(resultOf(first), await onOneRank(), "2 machines");
});

Deno.test("training: a machine with another secret does not get in, and the launch says so", async () => {
  const port = freePort("127.0.0.3");
  const machine = (i: number, secret: string) =>
    launch([
      "--num-machines=2",
      `--machine-rank=${i}`,
      "--num-processes=2",
      "--main-process-ip=127.0.0.3",
      `--main-process-port=${port}`,
      "--timeout=4",
      script,
      "1",
    ], { PTA_LAUNCH_SECRET: secret });
  const ends = await Promise.all([
    machine(0, "the right one of them"),
    machine(1, "the wrong one of them"),
  ]);
  for (const { code, err, out } of ends) {
    assertEquals(code, 1, err);
    assert(!`${err}${out}`.includes("one of them"), "the secret was printed");
  }
});

Deno.test("restart: a rank that dies twice ends bit-equal to an undisturbed run", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const two = ["--num-processes", "2"];
    const wanted = resultOf(await launch([...two, script, "2"]));
    const args = [...two, "--max-restarts", "3", "--log-dir", `${folder}/logs`];
    const result = await launch([...args, script, "2", `${folder}/states`]);
    assertEquals(resultOf(result), wanted);
    assertMatch(result.out, /start 0[^]*start 1[^]*start 2/);
    assert(!result.out.includes("start 3"));
    const lines = result.err.split("\n").filter((line) => line.startsWith("launch: "));
    assertEquals(lines.length, 2, result.err);
    assertMatch(
      lines[0],
      /^launch: start again, 1 of 3: Rank 1 of 2 failed first: ended by SIGKILL/,
    );
    assertMatch(
      lines[1],
      /^launch: start again, 2 of 3: Rank 1 of 2 failed first: ended by SIGKILL/,
    );
    assertEquals(alive(result.out), []);
    // logs of all starts are kept
    const log = await Deno.readTextFile(`${folder}/logs/rank_0.log`);
    assertEquals(log.match(/^start \d$/gm), ["start 0", "start 1", "start 2"]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("restart: when there are no more, the block tells of all failures", async () => {
  const args = ["--num-processes", "2", "--max-restarts", "2"];
  const { code, out, err } = await runLauncher([
    ...args,
    "tests/fixtures/launch_rank.ts",
    "exit",
    "1",
    "9",
  ]);
  assertEquals(code, 9);
  assertStringIncludes(err, "Started again 2 of 2 times; before:");
  const failures = err.match(/Rank 1 of 2 failed first: ended with exit code 9/g);
  // a line for each new start, and the block with the earlier ones
  assertEquals(failures?.length, 2 + 3);
  assertEquals(alive(out), []);
});
