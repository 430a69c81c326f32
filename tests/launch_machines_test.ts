/** Several machines on one: launchers that meet at addresses of the loopback. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { assertClose, launchTraining, resultOf, script, undisturbedOn } from "./launch_training.ts";
import { alive, endOf, failureBlock, startLauncher, until } from "./launcher.ts";

const secret = { PTA_LAUNCH_SECRET: "several machines share this text" };

/** A port that nobody listens on now. */
function freePort(hostname: string): number {
  using listener = Deno.listen({ hostname, port: 0 });
  return listener.addr.port;
}

/** Flags of one of two machines; `ranks` counts those of both. */
const flags = (machine: number, ranks: number, hostname: string, port: number) => [
  "--num-machines=2",
  `--machine-rank=${machine}`,
  `--num-processes=${ranks}`,
  `--main-process-ip=${hostname}`,
  `--main-process-port=${port}`,
];

Deno.test("machines: 2 of 2 ranks have the losses of one rank", async () => {
  const port = freePort("127.0.0.2");
  const machine = (i: number) =>
    launchTraining([
      ...flags(i, 4, "127.0.0.2", port),
      "--prefix={machine}.{local_rank}>",
      script,
      "2",
    ], secret);
  const [first, second] = await Promise.all([machine(0), machine(1)]);
  assertEquals(second.code, 0, second.err);
  assertMatch(first.out, /^0\.0> start 0$/m);
  assertMatch(second.out, /^1\.1> pid=\d+ rank=3$/m);
  assertClose(resultOf(first), await undisturbedOn(1), "2 machines");
});

/** A number of a Slurm job whose port nobody listens on. */
function freeJob(hostname: string): number {
  for (let job = Deno.pid % 20_000;; job = (job + 7) % 20_000) {
    try {
      Deno.listen({ hostname, port: 20_000 + job }).close();
      return job;
    } catch (error) {
      if (!(error instanceof Deno.errors.AddrInUse)) throw error;
    }
  }
}

Deno.test("machines: Slurm's variables are enough, with a launcher for each node or for each rank", async () => {
  const hosts = "127.0.0.8,127.0.0.9", job = freeJob("127.0.0.8");
  const wanted = await undisturbedOn(2);
  const srun = (rank: number, more: Record<string, string>) =>
    launchTraining([script, "2"], {
      ...secret,
      SLURM_JOB_ID: String(job),
      SLURM_STEP_NODELIST: hosts,
      SLURM_STEP_NUM_TASKS: "2",
      SLURM_PROCID: String(rank),
      ...more,
    });
  const nodes = await Promise.all(
    [0, 1].map((i) =>
      srun(i, { SLURM_STEP_NUM_NODES: "2", SLURM_NODEID: `${i}`, SLURM_LOCALID: "0" })
    ),
  );
  assertEquals(nodes[1].code, 0, nodes[1].err);
  assertEquals(resultOf(nodes[0]), wanted);
  const ranks = await Promise.all(
    [0, 1].map((i) =>
      srun(i, { SLURM_STEP_NUM_NODES: "1", SLURM_NODEID: "0", SLURM_LOCALID: `${i}` })
    ),
  );
  assertEquals(ranks[1].code, 0, ranks[1].err);
  assertEquals(resultOf(ranks[0]), wanted);
});

Deno.test("machines: one with another secret does not get in, and neither secret is shown", async () => {
  const port = freePort("127.0.0.3");
  const machine = (i: number, text: string) =>
    launchTraining([...flags(i, 2, "127.0.0.3", port), "--timeout=4", script, "1"], {
      PTA_LAUNCH_SECRET: text,
    });
  const [first, second] = await Promise.all([
    machine(0, "the right one of them"),
    machine(1, "the wrong one of them"),
  ]);
  for (const { code, err, out } of [first, second]) {
    assertEquals(code, 1, err);
    assert(!`${err}${out}`.includes("one of them"), "the secret was printed");
    assertEquals(alive(out), []);
  }
  assertStringIncludes(second.err, "PTA_LAUNCH_SECRET differs");
});

Deno.test("machines: both start again after a rank of one has died, bit for bit", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const port = freePort("127.0.0.4");
    const machine = (i: number) =>
      launchTraining([
        ...flags(i, 2, "127.0.0.4", port),
        "--max-restarts=3",
        script,
        "2",
        folder,
      ], secret);
    const [first, second] = await Promise.all([machine(0), machine(1)]);
    assertEquals(second.code, 0, second.err);
    assertEquals(resultOf(first), await undisturbedOn(2));
    assertMatch(
      second.err,
      /^launch: start again, 2 of 3: Rank 1 of 2 failed first: ended by SIGKILL/m,
    );
    assertMatch(first.err, /^launch: start again, 2 of 3: Rank 1 of 2 stopped answering/m);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("machines: a port in use is an error for several, and another one is taken on one", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.6", port: 0 });
  const { port } = listener.addr as Deno.NetAddr;
  const several = await launchTraining([...flags(0, 2, "127.0.0.6", port), script, "1"], secret);
  assertEquals([several.code, several.err.trim()], [
    2,
    `launch: Cannot listen on port ${port}: it is in use; give another --main-process-port on all machines`,
  ]);
  const one = await launchTraining([
    "--num-processes=2",
    "--main-process-ip=127.0.0.6",
    `--main-process-port=${port}`,
    script,
    "1",
  ]);
  assertEquals(one.code, 0, one.err);
  assertMatch(one.err, new RegExp(`^launch: Port ${port} is in use, the ranks meet at \\d+$`, "m"));
});

Deno.test("machines: a host that does not exist, or does not listen, ends in time and is named", async () => {
  const machine = (host: string, port: number) =>
    launchTraining([...flags(1, 2, host, port), "--timeout=4", script, "1"], secret);
  const [unknown, silent] = await Promise.all([
    machine("no-such-host.invalid", 29511),
    machine("127.0.0.7", freePort("127.0.0.7")),
  ]);
  for (
    const [{ code, err, seconds }, host] of [[unknown, "no-such-host"], [
      silent,
      "127.0.0.7",
    ]] as const
  ) {
    assertEquals(code, 1);
    assertStringIncludes(err, host);
    assert(seconds < 30);
  }
});

Deno.test("machines: when one dies, the other ends and names its rank", async () => {
  const port = freePort("127.0.0.5"), folder = await Deno.makeTempDir();
  try {
    const machine = (i: number) =>
      startLauncher(
        ["--cpu", ...flags(i, 2, "127.0.0.5", port), script, "1000", folder, "calm"],
        secret,
      );
    const [first, second] = [machine(0), machine(1)];
    const [here, there] = await Promise.all([until(first, /step 5\n/), until(second, /pid=/)]);
    const begin = performance.now();
    second.kill("SIGKILL");
    const { code, err } = await endOf(first);
    assert(performance.now() - begin < 10_000);
    assertEquals(code, 1);
    assertMatch(err, /Rank 1 of 2 stopped answering|Rank 1 of 2 failed first/);
    assert(err.split("-".repeat(72)).length === 3 && failureBlock(err) !== "", err);
    await second.stderr.cancel();
    assertEquals((await second.status).code, 137);
    const all = `${await here.rest()}\n${await there.rest()}`;
    assertEquals(alive(all), []);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
