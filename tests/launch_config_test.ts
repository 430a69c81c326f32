/** Settings of the launcher: where they come from, files written and read back, and what is said to wrong ones. */
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { readFlags } from "../launch/args.ts";
import { firstHost, readCluster, tasksPerNode } from "../launch/cluster.ts";
import { parseConfig, writeConfig } from "../launch/config_file.ts";
import { editDistance, nearest } from "../launch/suggest.ts";
import {
  flagOf,
  keyOf,
  readValue,
  SETTING_NAMES,
  settingOf,
  type Settings,
} from "../launch/settings.ts";
import { finish, inFolder, runLauncher, startLauncher } from "./launcher.ts";

/** A value of every setting that is not its default. */
const EVERYTHING: Required<Settings> = {
  numProcesses: 4,
  numProcessesPerMachine: 2,
  cpu: true,
  gpuIds: "0,3",
  mixedPrecision: "bf16",
  numCpuThreadsPerProcess: 3,
  enableCpuAffinity: true,
  turbo: true,
  numMachines: 2,
  machineRank: 1,
  mainProcessIp: "10.0.0.7",
  mainProcessPort: 12345,
  secretFile: "secret: with #signs",
  maxRestarts: 3,
  timeout: 12.5,
  heartbeatTimeout: 3.5,
  gracePeriod: 7,
  logDir: "logs/it's here",
  tee: "0,2",
  quiet: true,
  prefix: "{rank}>",
};

Deno.test("settings: flags, file and environment read back what was written", async () => {
  const args = SETTING_NAMES.flatMap((name) =>
    typeof EVERYTHING[name] === "boolean"
      ? [`--${flagOf(name)}`]
      : [`--${flagOf(name)}`, String(EVERYTHING[name])]
  );
  assertEquals(readFlags(args, { settings: true }).settings, EVERYTHING);
  const underscores = args.map((word) =>
    word.startsWith("--") ? `--${word.slice(2).replaceAll("-", "_")}` : word
  );
  assertEquals(readFlags(underscores, { settings: true }).settings, EVERYTHING);
  const text = await writeConfig(EVERYTHING);
  const file = await parseConfig(text, "x.yaml");
  assertEquals(file, { path: "x.yaml", settings: EVERYTHING, unused: [] });
  assertEquals(await writeConfig(file.settings), text);
  // each alone, as a flag, as a key, as a variable
  for (const name of SETTING_NAMES) {
    const one = { [name]: EVERYTHING[name] };
    assertEquals((await parseConfig(await writeConfig(one), "x.yaml")).settings, one);
    for (const variable of settingOf(name).env) {
      assertEquals(readValue(name, String(EVERYTHING[name]), variable), EVERYTHING[name]);
    }
  }
  assertEquals(await writeConfig({}), "");
  assertEquals((await parseConfig("", "x.yaml")).settings, {});
});

Deno.test("settings: switches may be turned off, values may begin with a hyphen after =", () => {
  const read = (...args: string[]) => readFlags(args, { settings: true });
  assertEquals(read("--no-cpu", "--no_turbo").settings, { cpu: false, turbo: false });
  assertEquals(read("--cpu=false").settings, { cpu: false });
  assertEquals(read("--prefix=-> ", "-q").settings, { prefix: "->", quiet: true });
  assertEquals(read("--cpu", "train.ts", "--cpu", "--", "x").rest, [
    "train.ts",
    "--cpu",
    "--",
    "x",
  ]);
  assertEquals(read("--cpu", "--", "--cpu").rest, ["--cpu"]);
});

Deno.test("settings: keys and flags are all different, and documented", async () => {
  const help = (await finish(startLauncher(["--help"]))).out;
  const keys = SETTING_NAMES.map(keyOf);
  assertEquals(new Set(keys).size, keys.length);
  for (const name of SETTING_NAMES) assertStringIncludes(help, `--${flagOf(name)} `);
  const vars = SETTING_NAMES.flatMap((name) => settingOf(name).env);
  assertEquals(new Set(vars).size, vars.length);
});

Deno.test("settings: accelerate's file is read where it means the same", async () => {
  const { settings, unused } = await parseConfig(
    `compute_environment: LOCAL_MACHINE
debug: false
distributed_type: MULTI_CPU
downcast_bf16: 'no'
enable_cpu_affinity: false
machine_rank: 0
main_process_ip: 192.168.20.1
main_process_port: 8080
main_training_function: main
mixed_precision: fp16
num_machines: 2
num_processes: 8
rdzv_backend: static
same_network: true
tpu_env: []
tpu_use_cluster: false
use_cpu: true
fsdp_config:
  fsdp_version: 2
dynamo_config: {}
`,
    "default_config.yaml",
  );
  assertEquals(settings, {
    enableCpuAffinity: false,
    machineRank: 0,
    mainProcessIp: "192.168.20.1",
    mainProcessPort: 8080,
    mixedPrecision: "fp16",
    numMachines: 2,
    numProcesses: 8,
    cpu: true,
  });
  assertEquals(unused, ["fsdp_config"]);
  const json = await parseConfig(`{"distributed_type": "FSDP", "gpu_ids": "0,1"}`, "c.json");
  assertEquals(json.settings, { gpuIds: "0,1" });
  assertEquals(json.unused, ["distributed_type FSDP"]);
});

Deno.test("settings: flag before environment before file before default", async () => {
  await inFolder(async (folder) => {
    const file = `${folder}/launch.yaml`;
    await Deno.writeTextFile(
      file,
      "num_processes: 3\nmax_restarts: 2\nmixed_precision: bf16\nfsdp_config: {a: 1}\n",
    );
    const env = { PTA_CONFIG_FILE: file, PTA_MAX_RESTARTS: "5", ACCELERATE_MIXED_PRECISION: "" };
    const args = ["config", "show", "--num_processes", "2"];
    const { code, out, err } = await runLauncher(args, env);
    assertEquals(code, 0);
    assertStringIncludes(out, `File: ${file}`);
    assertMatch(out, /^num_processes +2 +flag$/m);
    assertMatch(out, /^max_restarts +5 +environment PTA_MAX_RESTARTS$/m);
    assertMatch(out, new RegExp(`^mixed_precision +bf16 +file ${file}$`, "m"));
    assertMatch(out, /^timeout +300 +default$/m);
    assertEquals(err.trim(), `launch: ${file} sets what has no effect here: fsdp_config`);
    const foreign = await runLauncher(["config", "show"], { PET_NPROC_PER_NODE: "auto" });
    assertEquals(foreign.err.trim(), "launch: PET_NPROC_PER_NODE=auto has no effect here");
  });
});

Deno.test("config: asks, takes flags as answers, asks again after a wrong one", async () => {
  await inFolder(async (folder) => {
    const file = `${folder}/new/launch.yaml`;
    const child = new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "-A",
        "launch/launch.ts",
        "config",
        "--config-file",
        file,
        "--max-restarts",
        "1",
      ],
      cwd: new URL("../", import.meta.url).pathname,
      env: { NO_COLOR: "1", CUDA_VISIBLE_DEVICES: "" },
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const writer = child.stdin.getWriter();
    // machines, this one, address, port, secret, cpu, ranks (twice), precision
    const answers = ["2", "1", "node0", "", "", "yes", "many", "4", "bf16"];
    await writer.write(new TextEncoder().encode(answers.map((a) => `${a}\n`).join("")));
    await writer.close();
    const { code, out, err } = await finish(child);
    assertEquals(code, 0, err);
    assertStringIncludes(out, `Written to ${file}`);
    assertStringIncludes(err, "Cannot read many: wanted a whole number from 1 to 65536");
    assertEquals((await parseConfig(await Deno.readTextFile(file), file)).settings, {
      numProcesses: 4,
      cpu: true,
      mixedPrecision: "bf16",
      numMachines: 2,
      machineRank: 1,
      mainProcessIp: "node0",
      mainProcessPort: 29500,
      maxRestarts: 1,
    });
    const again = await runLauncher(["config", "default", "--config-file", file, "--cpu"]);
    assertEquals(again.code, 2);
    assertEquals(again.err.trim(), `launch: Cannot write ${file}: it exists; --force replaces it`);
    const forced = ["config", "default", "--config-file", file, "--cpu", "--force"];
    assertEquals((await runLauncher(forced)).code, 0);
    assertEquals((await parseConfig(await Deno.readTextFile(file), file)).settings, { cpu: true });
  });
});

Deno.test("cluster: Slurm's and torchrun's variables", () => {
  assertEquals(firstHost("gpu[07-09,12],login"), "gpu07");
  assertEquals(firstHost("a1,a2"), "a1");
  assertEquals(firstHost("n[1-2]x"), "n1x");
  assertEquals(tasksPerNode("2(x3),1"), [2, 2, 2, 1]);
  const slurm = {
    SLURM_PROCID: "3",
    SLURM_LOCALID: "1",
    SLURM_NODEID: "1",
    SLURM_JOB_ID: "1234567",
    SLURM_STEP_NODELIST: "gpu[07-08]",
    SLURM_STEP_NUM_NODES: "2",
  };
  const place = { mainProcessIp: "gpu07", mainProcessPort: 20000 + 1234567 % 20000 };
  assertEquals(readCluster({ ...slurm, SLURM_STEP_NUM_TASKS: "2" }), {
    source: "Slurm",
    settings: { ...place, numMachines: 2, machineRank: 1 },
  });
  const each = { SLURM_STEP_NUM_TASKS: "4", SLURM_STEP_TASKS_PER_NODE: "2(x2)" };
  assertEquals(readCluster({ ...slurm, ...each }), {
    source: "Slurm",
    settings: place,
    adopted: { rank: 3, worldSize: 4, localRank: 1, localWorldSize: 2 },
  });
  // a batch script without srun is one process
  assertEquals(readCluster({ SLURM_PROCID: "0", SLURM_JOB_ID: "1" }), undefined);
  const torchrun = { RANK: "5", WORLD_SIZE: "8", LOCAL_RANK: "1", LOCAL_WORLD_SIZE: "4" };
  const store = { MASTER_PORT: "1234", TORCHELASTIC_USE_AGENT_STORE: "True" };
  assertEquals(readCluster({ ...torchrun, ...store })?.settings, { mainProcessPort: 1235 });
  assertEquals(
    readCluster({ ...slurm, ...each, MASTER_ADDR: "x" })?.settings.mainProcessIp,
    undefined,
  );
  assertEquals(readCluster(torchrun)?.adopted, {
    rank: 5,
    worldSize: 8,
    localRank: 1,
    localWorldSize: 4,
  });
  // a pod of Kubernetes is a machine, though it calls itself a rank
  const pod = { RANK: "1", WORLD_SIZE: "2", PET_NNODES: "2", PET_NODE_RANK: "1" };
  assertEquals(readCluster(pod), {
    source: "PET_NNODES",
    settings: { numMachines: 2, machineRank: 1 },
  });
  assertEquals(readCluster({ ...torchrun, PTA_LAUNCHER_PID: "1" }), undefined);
});

Deno.test("suggestions: the nearest name, or none", () => {
  assertEquals(editDistance("kitten", "sitting"), 3);
  assertEquals(editDistance("", "abc"), 3);
  const known = ["num-processes", "num-machines", "cpu"];
  assertEquals(nearest("num_procs", known), undefined);
  assertEquals(nearest("num_proceses", known), "num-processes");
  assertEquals(nearest("num-m", known), "num-machines");
  assertEquals(nearest("zzz", known), undefined);
});
