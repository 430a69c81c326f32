/** Wrong command lines, files and variables: one clear line each. */
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { commandLine } from "../launch/command_line.ts";
import { readValue, type SettingName, UsageError } from "../launch/settings.ts";
import { inFolder, type LaunchResult, runLauncher } from "./launcher.ts";

const script = "tests/fixtures/launch_rank.ts";

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
