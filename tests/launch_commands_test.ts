/** Commands of the launcher, what it loads, and launches from a program. */
import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { affinityWords, expandCpus, visibleGpus } from "../launch/devices.ts";
import { launch, type LaunchOptions, UsageError } from "../launch/launch.ts";
import { planLaunch } from "../launch/plan.ts";
import { alive, finish, runLauncher, startLauncher } from "./launcher.ts";

const script = "tests/fixtures/launch_rank.ts";
const root = new URL("../", import.meta.url).pathname;

/** Modules that a file loads, from the root of the project; dynamic imports too unless told otherwise. */
async function modulesOf(file: string, dynamic: boolean): Promise<string[]> {
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["info", "--json", file],
    cwd: root,
  }).output();
  interface Info {
    modules: {
      specifier: string;
      dependencies?: { code?: { specifier: string }; isDynamic?: boolean }[];
    }[];
  }
  const { modules } = JSON.parse(new TextDecoder().decode(stdout)) as Info;
  const short = (specifier: string) => specifier.replace(`file://${root}`, "");
  const edges = new Map(modules.map((m) => [
    short(m.specifier),
    (m.dependencies ?? []).filter((d) => dynamic || !d.isDynamic)
      .flatMap((d) => d.code === undefined ? [] : [short(d.code.specifier)]),
  ]));
  const seen = new Set<string>(), open = [file];
  for (let next; (next = open.pop()) !== undefined;) {
    if (seen.has(next)) continue;
    seen.add(next);
    open.push(...edges.get(next) ?? []);
  }
  return [...seen];
}

Deno.test("modules: the launcher loads nothing of the tensor core or the native libraries", async () => {
  const all = await modulesOf("launch/launch.ts", true);
  const own = all.filter((m) => !/^(npm|node|jsr):|node_modules|deno-std/.test(m));
  for (const module of own) {
    assertMatch(module, /^(launch\/\w+\.ts|core\/dist\/rank\.ts|core\/env\.ts)$/);
  }
  assert(own.includes("launch/estimate_command.ts"), "dynamic imports are among them");
  // what --help and a plain launch need first
  const first = await modulesOf("launch/launch.ts", false);
  assert(first.length <= 8, first.join(" "));
});

Deno.test("--help is quick: no slower than an empty program by more than a little", async () => {
  const empty = await Deno.makeTempFile({ suffix: ".ts" });
  const time = async (args: string[]) => {
    const begin = performance.now();
    await new Deno.Command(Deno.execPath(), { args: ["run", "-A", ...args], cwd: root }).output();
    return performance.now() - begin;
  };
  const best = async (args: string[]) => {
    let least = Infinity;
    for (let i = 0; i < 8; i++) least = Math.min(least, await time(args));
    return least;
  };
  try {
    const [help, nothing] = [await best(["launch/launch.ts", "--help"]), await best([empty])];
    // 100 ms on a quiet machine, of which Deno itself takes most
    assert(help < Math.max(100, 3 * nothing), `${help} ms, an empty program ${nothing} ms`);
  } finally {
    await Deno.remove(empty);
  }
});

Deno.test("every command has --help", async () => {
  const commands = ["launch", "config", "env", "test", "estimate", "report"];
  const results = await Promise.all(commands.map((name) => runLauncher([name, "--help"])));
  results.forEach(({ code, out, err }, i) => {
    assertEquals([code, err], [0, ""], commands[i]);
    assertStringIncludes(out, "Usage: ");
    for (const line of out.split("\n")) assert(line.length <= 110, line);
  });
});

Deno.test("--dry-run prints ranks, devices, environment and addresses, and no secret", async () => {
  const secret = "a secret of many letters";
  const args = ["--num-machines=2", "--machine-rank=1", "--num-processes=4", "--cpu"];
  const { code, out } = await runLauncher([
    ...args,
    "--main-process-ip=10.1.2.3",
    "--mixed-precision=bf16",
    "--dry-run",
    script,
    "it's",
  ], { PTA_LAUNCH_SECRET: secret });
  assertEquals(code, 0);
  assertStringIncludes(out, "4 ranks, machine 1 of 2; 2 ranks start here");
  assertStringIncludes(out, "They meet at 10.1.2.3:29500\n");
  assertMatch(out, /^Rank 3 \(local rank 1\) on cpu:\n {2}.*RANK=3.*LOCAL_RANK=1/m);
  assertMatch(out, /^ {2}PTA_MIXED_PRECISION=bf16$/m);
  assertMatch(out, /^ {2}PTA_DEVICE=cpu$/m);
  assertStringIncludes(out, `run -A ${script} 'it'\\''s'`);
  assertMatch(out, /^ {2}num-processes = 4 {3}\(flag\)$/m);
  assert(!out.includes(secret) && !out.includes("pid="));
});

Deno.test("GPUs: one for each rank, those that were chosen, and no more ranks than that", async () => {
  const plan = async (args: string[], env: Record<string, string>) =>
    (await runLauncher([...args, "--dry-run", script], env)).out;
  const all = await plan([], { CUDA_VISIBLE_DEVICES: "0,1,2" });
  assertStringIncludes(all, "3 ranks; 3 ranks start here");
  assertMatch(all, /^Rank 2 \(local rank 2\) on cuda:2 \(GPU 2\):$/m);
  assertMatch(all, /^ {2}PTA_DEVICE=cuda$/m);
  const chosen = await plan(["--gpu-ids", "2,0"], { CUDA_VISIBLE_DEVICES: "0,1,2" });
  assertMatch(chosen, /^ {2}CUDA_VISIBLE_DEVICES=2,0$/m);
  assertMatch(chosen, /^Rank 0 \(local rank 0\) on cuda:0 \(GPU 2\):$/m);
  const shared = { CUDA_VISIBLE_DEVICES: "1", NCCL_MULTI_RANK_GPU_ENABLE: "1" };
  assertMatch(await plan(["--num-processes", "2"], shared), /^Rank 1 .* on cuda:0 \(GPU 1\):$/m);
  const { code, err } = await runLauncher(["--num-processes", "2", script], {
    CUDA_VISIBLE_DEVICES: "1",
  });
  assertEquals(code, 2);
  assertStringIncludes(
    err,
    "Cannot start 2 ranks on 1 GPU: each takes one; --cpu trains on the CPU",
  );
  const cpu = await plan(["--cpu", "--num-processes", "2"], { CUDA_VISIBLE_DEVICES: "1" });
  assertMatch(cpu, /^Rank 1 .* on cpu:$/m);
});

Deno.test("--tee, --prefix and --no-quiet say whose lines are printed, and how", async () => {
  const run = async (...flags: string[]) =>
    (await runLauncher(["--num-processes", "3", ...flags, script, "env"])).out;
  const some = await run("--tee", "0,2", "--prefix", "{local_rank}/{rank}@{machine}:");
  assertMatch(some, /^2\/2@0: pid=/m);
  assert(!some.includes("1/1@0:"));
  assertEquals(await run("--tee", "none"), "");
  assertMatch(await run("--prefix", "none"), /^pid=\d+ rank=1$/m);
});

Deno.test("one rank of another starter: torchrun's and Slurm's variables", async () => {
  const run = (env: Record<string, string>) => runLauncher([script, "env"], env);
  const secret = { PTA_LAUNCH_SECRET: "0123456789abcdef" };
  const torchrun = await run({
    ...secret,
    RANK: "3",
    WORLD_SIZE: "4",
    LOCAL_RANK: "1",
    LOCAL_WORLD_SIZE: "2",
    MASTER_ADDR: "10.0.0.5",
    MASTER_PORT: "1234",
  });
  const envOf = (out: string) => JSON.parse(/env=(\{.*\})/.exec(out)![1]);
  assertEquals(envOf(torchrun.out), {
    RANK: "3",
    LOCAL_RANK: "1",
    WORLD_SIZE: "4",
    LOCAL_WORLD_SIZE: "2",
    MASTER_ADDR: "10.0.0.5",
    MASTER_PORT: "1234",
  });
  const slurm = await run({
    ...secret,
    SLURM_STEP_NUM_TASKS: "2",
    SLURM_STEP_NUM_NODES: "2",
    SLURM_STEP_NODELIST: "n[3-4]",
    SLURM_NODEID: "1",
    SLURM_PROCID: "1",
    SLURM_LOCALID: "0",
    SLURM_JOB_ID: "77",
  });
  const { RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT } = envOf(slurm.out);
  assertEquals([RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT], ["1", "2", "n3", "20077"]);
});

Deno.test("--enable-cpu-affinity keeps each rank on its share", {
  ignore: Deno.build.os !== "linux" || affinityWords(0, 1).length === 0,
}, async () => {
  const file = await Deno.makeTempFile({ suffix: ".ts" });
  try {
    await Deno.writeTextFile(
      file,
      `const status = Deno.readTextFileSync("/proc/self/status");
       console.log("cpus", /^Cpus_allowed_list:\\s*(.*)$/m.exec(status)[1]);`,
    );
    const two = ["--num-processes", "2", "--enable-cpu-affinity"];
    const { code, out } = await runLauncher([...two, file]);
    assertEquals(code, 0);
    const lists = [...out.matchAll(/rank (\d)\] cpus (.*)/g)].sort().map((m) => expandCpus(m[2]));
    assertEquals(lists.length, 2);
    if (navigator.hardwareConcurrency > 1) {
      assertEquals(lists[0].filter((cpu) => lists[1].includes(cpu)), []);
    }
  } finally {
    await Deno.remove(file);
  }
});

Deno.test("devices: the list of visible GPUs ends where CUDA's does", () => {
  const before = Deno.env.get("CUDA_VISIBLE_DEVICES");
  try {
    for (const [text, wanted] of [["", []], ["0,2", ["0", "2"]], ["1,-1,2", ["1"]]] as const) {
      Deno.env.set("CUDA_VISIBLE_DEVICES", text);
      assertEquals(visibleGpus(), [...wanted]);
    }
  } finally {
    if (before === undefined) Deno.env.delete("CUDA_VISIBLE_DEVICES");
    else Deno.env.set("CUDA_VISIBLE_DEVICES", before);
  }
  assertEquals(expandCpus("0-2,5"), [0, 1, 2, 5]);
});

Deno.test("launch() runs a module's URL on ranks of its own, and checks its options", async () => {
  const url = `data:text/javascript,${
    encodeURIComponent(`if (Deno.env.get("RANK") === "1") Deno.exit(Number(Deno.args[0]));`)
  }`;
  const options = { numProcesses: 2, cpu: true, tee: "none" };
  assertEquals(await launch(url, { ...options, args: ["0"] }), 0);
  assertEquals(await launch(new URL(`file://${root}${script}`), { ...options, args: ["env"] }), 0);
  await assertRejects(() => launch(url, { numProcesses: 0 }), UsageError, "numProcesses: 0");
  await assertRejects(
    () => launch(url, { numProcceses: 2 } as LaunchOptions),
    UsageError,
    "Unknown option numProcceses: did you mean numProcesses?",
  );
  await assertRejects(() => launch("no_such.ts"), UsageError, "there is no such file");
});

/** `deno compile` needs a runtime that it downloads once. */
function canCompile(): boolean {
  if (Deno.env.get("DENORT_BIN") !== undefined) return true;
  const cache = Deno.env.get("DENO_DIR") ?? `${Deno.env.get("HOME")}/.cache/deno`;
  const file = `dl/release/v${Deno.version.deno}/denort-${Deno.build.target}.zip`;
  try {
    return Deno.statSync(`${cache}/${file}`).isFile;
  } catch {
    return false;
  }
}

Deno.test("a compiled program is its own command", () => {
  const resolved = {
    values: { numProcesses: 2, cpu: true, turbo: true },
    sources: {},
    adopted: undefined,
    config: undefined,
    warnings: [],
  };
  const commands = (script?: string) =>
    planLaunch(resolved, { script, args: ["word"] }, 0, true).ranks;
  for (const { exec, args, env } of commands()) {
    assertEquals([exec, args], [Deno.execPath(), ["word"]]);
    assertStringIncludes(env.DENO_V8_FLAGS, "--no-wasm-bounds-checks");
  }
  assertEquals(commands("x.ts")[1].args.filter((word) => !word.startsWith("--")), [
    "run",
    "-A",
    "x.ts",
    "word",
  ]);
});

Deno.test("a compiled program starts itself as ranks", { ignore: !canCompile() }, async () => {
  const folder = await Deno.makeTempDir({ dir: root, prefix: "compiled_" });
  try {
    await Deno.writeTextFile(
      `${folder}/main.ts`,
      `import { isLaunched, launch } from "@pta/launch";
       if (!isLaunched()) Deno.exit(await launch({ numProcesses: 2, cpu: true }));
       console.log("rank", Deno.env.get("RANK"), Deno.args[0]);`,
    );
    const compile = await new Deno.Command(Deno.execPath(), {
      args: ["compile", "-A", "--quiet", "--no-check", "-o", `${folder}/main`, `${folder}/main.ts`],
      cwd: root,
    }).output();
    assertEquals(compile.code, 0, new TextDecoder().decode(compile.stderr));
    const child = new Deno.Command(`${folder}/main`, {
      args: ["word"],
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const { code, out, err } = await finish(child, 60);
    assertEquals(code, 0, err);
    assertEquals(out.trimEnd().split("\n").sort(), [
      "[rank 0] rank 0 word",
      "[rank 1] rank 1 word",
    ]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("test: the built-in script passes on 2 ranks", async () => {
  const { code, out, err } = await finish(
    startLauncher(["test", "--cpu", "--num-processes", "2"]),
    120,
  );
  assertEquals(code, 0, err);
  for (const name of ["process control", "collectives", "sharding", "random", "training parity"]) {
    assertMatch(out, new RegExp(`^\\[rank 0\\] ok {2}${name}`, "m"));
  }
  assertMatch(out, /All 6 tests passed/);
});

Deno.test("a launcher that ends leaves no rank behind", async () => {
  const child = startLauncher(["--num-processes", "2", script, "forever"]);
  const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let seen = "";
  while ((seen.match(/pid=\d+ rank=/g)?.length ?? 0) < 2) seen += (await reader.read()).value;
  child.kill("SIGHUP");
  await child.stderr.cancel();
  assertEquals((await child.status).code, 129);
  await reader.cancel();
  assertEquals(alive(seen), []);
});
