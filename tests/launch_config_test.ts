/** Settings of the launcher: where they come from, files written and read back, and what is said to wrong ones. */
import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { readFlags } from "../launch/args.ts";
import { commandLine } from "../launch/command_line.ts";
import { firstHost, readCluster, tasksPerNode } from "../launch/cluster.ts";
import { parseConfig, writeConfig } from "../launch/config_file.ts";
import { editDistance, nearest } from "../launch/suggest.ts";
import {
  flagOf,
  keyOf,
  readValue,
  SETTING_NAMES,
  type SettingName,
  settingOf,
  type Settings,
  UsageError,
} from "../launch/settings.ts";
import { finish, type LaunchResult, runLauncher, startLauncher } from "./launcher.ts";

const script = "tests/fixtures/launch_rank.ts";

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

async function inFolder<T>(run: (folder: string) => Promise<T>): Promise<T> {
  const folder = await Deno.makeTempDir();
  try {
    return await run(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

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

/** Command line, environment, file, and the one line that answers; FILE stands for the file. */
interface Wrong {
  readonly args: readonly string[];
  readonly env?: Record<string, string>;
  readonly yaml?: string;
  readonly says: RegExp;
}

const wrong: readonly Wrong[] = [
  {
    args: [script],
    env: { PET_NNODES: "1:4" },
    says: /Cannot read PET_NNODES=1:4: wanted a whole/,
  },
  {
    args: ["--num-proceses", "2", script],
    says: /Unknown flag --num-proceses: did you mean --num-processes\?$/,
  },
  { args: ["--mixed-precison", "fp16", script], says: /did you mean --mixed-precision\?$/ },
  { args: ["--zzz", script], says: /Unknown flag --zzz; --help lists all flags$/ },
  { args: ["--num-processes", "-1", script], says: /--num-processes -1: wanted a whole number/ },
  { args: ["--num-processes=1.5", script], says: /--num-processes 1.5: wanted a whole number/ },
  { args: ["--num-processes=", script], says: /Missing the value of --num-processes$/ },
  { args: ["--num-processes", "99999", script], says: /from 1 to 65536$/ },
  { args: ["--num-processes", "2000", script], says: /2000 ranks on one machine: 1024 at most$/ },
  { args: ["--cpu=maybe", script], says: /Cannot read --cpu=maybe: wanted --cpu or --no-cpu$/ },
  { args: ["--cpu", "--cpu", script], says: /Cannot use --cpu twice$/ },
  { args: ["--gpu-ids", "0,x", script], says: /--gpu-ids 0,x: wanted all, or numbers/ },
  { args: ["--gpu-ids", "0,0", script], says: /--gpu-ids 0,0: GPU 0 is named twice$/ },
  {
    args: ["--gpu-ids", "0", "--num-processes", "2", script],
    says: /2 ranks on 1 GPU: each takes one; --cpu/,
  },
  { args: ["--mixed-precision", "fp32", script], says: /fp32: wanted no, fp16 or bf16$/ },
  {
    args: ["--mixed-precision", "fp8", script],
    says: /fp8 is not supported, wanted no, fp16 or bf16$/,
  },
  { args: ["--num-cpu-threads-per-process", "0", script], says: /from 1 to 64$/ },
  {
    args: ["--main-process-port", "70000", script],
    says: /--main-process-port 70000: .* 0 to 65535$/,
  },
  {
    args: ["--main-process-ip", "203.0.113.9", script],
    says: /203.0.113.9:\d+: no such address on this machine/,
  },
  { args: ["--num-machines", "2", script], says: /--main-process-ip must name machine 0$/ },
  {
    args: ["--num-machines", "2", "--machine-rank", "2", script],
    says: /machine 2 of 2: wanted a number from 0 to 1$/,
  },
  {
    args: ["--num-machines", "2", "--num-processes", "3", script],
    says: /3 ranks over 2 machines evenly/,
  },
  {
    args: ["--num-processes", "3", "--num-processes-per-machine", "2", script],
    says: /3 ranks on 1 machines with 2 each: leave one of/,
  },
  {
    args: ["--num-machines", "2", "--main-process-ip", "127.0.0.1", script],
    says: /without a secret: set PTA_LAUNCH_SECRET to the same text for all/,
  },
  {
    args: ["--num-machines", "2", "--main-process-ip", "127.0.0.1", script],
    env: { PTA_LAUNCH_SECRET: "short" },
    says: /a secret of 5 letters: wanted 16 or more/,
  },
  {
    args: [
      "--num-machines",
      "2",
      "--main-process-ip",
      "127.0.0.1",
      "--secret-file",
      "no_such",
      script,
    ],
    says: /Cannot read the secret from no_such: there is no such file$/,
  },
  {
    args: [
      "--num-machines",
      "2",
      "--main-process-ip",
      "127.0.0.1",
      "--secret-file",
      "README.md",
      script,
    ],
    says: /Cannot use README.md as secret: others may read it; chmod 600 README.md$/,
  },
  {
    args: ["--num-machines", "2", "--main-process-ip", "h", "--main-process-port", "0", script],
    says: /a free port for several machines: --main-process-port must be the same/,
  },
  {
    args: ["--max-restarts", "x", script],
    says: /--max-restarts x: wanted a whole number from 0 to 1000$/,
  },
  { args: ["--timeout", "0", script], says: /--timeout 0: wanted seconds, more than 0/ },
  { args: ["--grace-period", "soon", script], says: /--grace-period soon: wanted seconds/ },
  { args: ["--tee", "0;1", script], says: /--tee 0;1: wanted all, none, or numbers of ranks/ },
  {
    args: ["--config-file", "no_such.yaml", script],
    says: /the settings of no_such.yaml: there is no such file$/,
  },
  {
    args: ["--config-file", "tests", script],
    says: /Cannot read the settings of tests: Is a directory/,
  },
  { args: ["lauch", script], says: /Unknown command lauch: did you mean launch\?$/ },
  { args: [], says: /Missing the script/ },
  { args: ["launch"], says: /Missing the script/ },
  { args: ["no/such.ts"], says: /Cannot run no\/such.ts: there is no such file/ },
  {
    args: [script],
    env: { PTA_NUM_PROCESSES: "two" },
    says: /Cannot read PTA_NUM_PROCESSES=two: wanted/,
  },
  {
    args: [script],
    env: { PTA_COMM_TIMEOUT: "-3" },
    says: /Cannot read PTA_COMM_TIMEOUT=-3: wanted/,
  },
  {
    args: [script],
    env: { PTA_TURBO: "maybe" },
    says: /Cannot read PTA_TURBO=maybe: wanted true or false$/,
  },
  {
    args: [script],
    env: { RANK: "2", WORLD_SIZE: "2" },
    says: /Cannot read RANK=2: .* from 0 to 1$/,
  },
  {
    args: [script],
    env: { RANK: "1", WORLD_SIZE: "2" },
    says: /MASTER_ADDR must name the machine of rank 0$/,
  },
  {
    args: [script],
    yaml: "num_process: 2\n",
    says: /Unknown key num_process in FILE: did you mean num_processes\?$/,
  },
  {
    args: [script],
    yaml: "colour: red\n",
    says: /Unknown key colour in FILE: the keys are num_processes, /,
  },
  {
    args: [script],
    yaml: "num_processes: two\n",
    says: /num_processes: two in FILE: wanted a whole number/,
  },
  {
    args: [script],
    yaml: "num_processes: [1, 2]\n",
    says: /in FILE: wanted one value, not a list$/,
  },
  {
    args: [script],
    yaml: "num_processes: {a: 1}\n",
    says: /in FILE: wanted one value, not a mapping$/,
  },
  {
    args: [script],
    yaml: "num_processes: true\n",
    says: /in FILE: wanted a value, not true or false$/,
  },
  {
    args: [script],
    yaml: "use_cpu: perhaps\n",
    says: /use_cpu: perhaps in FILE: wanted true or false$/,
  },
  { args: [script], yaml: "mixed_precision: fp8\n", says: /in FILE: fp8 is not supported/ },
  { args: [script], yaml: "- 1\n- 2\n", says: /of FILE: wanted key: value, not a list$/ },
  {
    args: [script],
    yaml: "just words\n",
    says: /of FILE: wanted key: value, not the string just words$/,
  },
  { args: [script], yaml: "a: [1\nb: 2\n", says: /Cannot read the settings of FILE: / },
  { args: [script], yaml: "num_processes: 2\nnum_processes: 3\n", says: /of FILE: .*dupl/i },
  { args: ["config", "sho"], says: /Unexpected sho: did you mean show\?$/ },
  { args: ["config", "show", "it"], says: /Unexpected it: wanted config/ },
  { args: ["config", "--nope"], says: /Unknown flag --nope/ },
  { args: ["env", "now"], says: /Unexpected now: env takes no words$/ },
  { args: ["test", script], says: /Unexpected tests.*: test takes no words$/ },
  { args: ["estimate"], says: /Missing the model: estimate MODEL$/ },
  { args: ["estimate", "x.safetensors"], says: /Cannot run x.safetensors: there is no such file/ },
  {
    args: ["estimate", "README.md", "--batch-size", "0"],
    says: /--batch-size 0: wanted a whole number of at least 1$/,
  },
  {
    args: ["estimate", "README.md", "--optimizer", "adm"],
    says: /Unknown optimizer adm: did you mean adam\?$/,
  },
  { args: ["report"], says: /Missing the run: report RUN_DIR$/ },
  {
    args: ["report", "no_such"],
    says: /Cannot report on no_such: there is no such file or folder$/,
  },
  { args: ["report", "docs"], says: /Cannot report on docs: it has no history/ },
  { args: ["report", "deno.json"], says: /history of deno.json: it has no list of metrics$/ },
  {
    args: ["report", "docs", "--by", "hour"],
    says: /Cannot read --by hour: wanted epoch or step$/,
  },
];

/** Runs a command line in this process, with other variables. */
async function inProcess(args: readonly string[], env: Record<string, string>): Promise<Said> {
  const all = { CUDA_VISIBLE_DEVICES: "", XDG_CONFIG_HOME: "/nonexistent", ...env };
  const before = Object.keys(all).map((name) => [name, Deno.env.get(name)] as const);
  const print = console.log, lines: unknown[] = [];
  console.log = (...words) => void lines.push(...words);
  for (const [name, value] of Object.entries(all)) Deno.env.set(name, value);
  try {
    const code = await commandLine(args);
    return { code, out: lines.join("\n"), err: "" };
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    return { code: 2, out: lines.join("\n"), err: `launch: ${error.message}` };
  } finally {
    console.log = print;
    for (const [name, value] of before) {
      if (value === undefined) Deno.env.delete(name);
      else Deno.env.set(name, value);
    }
  }
}

type Said = Pick<LaunchResult, "code" | "out" | "err">;

Deno.test(`malformed: ${wrong.length} mistakes, one clear line each, nothing started`, async () => {
  assert(wrong.length >= 40);
  await inFolder(async (folder) => {
    for (const [i, { args, env = {}, yaml, says }] of wrong.entries()) {
      const file = `${folder}/${i}.yaml`;
      if (yaml !== undefined) await Deno.writeTextFile(file, yaml);
      const all: Record<string, string> = {
        ...env,
        PTA_CONFIG_FILE: yaml === undefined ? "" : file,
      };
      // some of them as processes of their own
      const run = i % 8 === 0 ? runLauncher : inProcess;
      const { code, out, err }: Said = await run(args, all);
      const text = err.trimEnd().replace(file, "FILE");
      assertEquals([code, out, text.split("\n").length], [2, "", 1], `${args}: ${text}`);
      assertMatch(text, new RegExp(`^launch: .*${says.source}`, says.flags), `${args}`);
    }
  });
});

Deno.test("malformed: texts are rejected where they are read", async () => {
  const bad: [SettingName, string][] = [
    ["numProcesses", ""],
    ["numProcesses", "0x10"],
    ["timeout", "NaN"],
    ["gpuIds", ",1"],
    ["tee", ""],
    ["prefix", ""],
    ["cpu", "2"],
  ];
  for (const [name, text] of bad) {
    await assertRejects(
      () => Promise.resolve().then(() => readValue(name, text, `it ${text}`)),
      UsageError,
      "Cannot read it",
    );
  }
});
