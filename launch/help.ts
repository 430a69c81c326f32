/** What `--help` prints. */
import { flagOf, SETTING_NAMES, settingOf } from "./settings.ts";

const COMMAND = "deno run -A jsr:@pta/launch";

/** Commands with one line each. */
export const COMMANDS = {
  launch: "start a script once per rank (the default when the first word is a script)",
  config: "ask for settings and write them to a file; config default, config show",
  env: "facts about this machine, to paste into an issue",
  test: "run a built-in script on the configured ranks",
  estimate: "parameters and memory of a model",
  report: "the history of a run as a table",
} as const;

/** Name of a command. */
export type CommandName = keyof typeof COMMANDS;

/** Lines of the flags that all settings have. */
export function settingsHelp(): string {
  const rows = SETTING_NAMES.map((name) => {
    const { value, help } = settingOf(name);
    return [`--${flagOf(name)}${value === undefined ? "" : ` ${value}`}`, help];
  });
  rows.push([
    "--config-file FILE",
    "settings as YAML (default: PTA_CONFIG_FILE, or the user's own)",
  ]);
  return table(rows);
}

/** Text of the launcher itself. */
export function mainHelp(): string {
  return `Starts a training script once per rank, and what belongs to that.

Usage: ${COMMAND} [flags] train.ts [arguments of the script]
       ${COMMAND} COMMAND [flags]

Commands (each has --help):
${table(Object.entries(COMMANDS))}

Flags:
${settingsHelp()}
${
    table([["--dry-run", "print ranks, devices, environment and addresses; start nothing"], [
      "--help",
      "print this text",
    ]])
  }

Flags may be written with hyphens or underscores, and switches as --no-FLAG. What no flag says
comes from the environment, then from the file, then from defaults: config show tells which.

Risk: --turbo uses V8 flags that are experimental, hold for the whole process and switch off the
bounds checks of ALL WebAssembly in it: a fault in a module then corrupts memory instead of raising
an error. Not for scripts that load WebAssembly you do not trust.

Each rank finds RANK, LOCAL_RANK, WORLD_SIZE, LOCAL_WORLD_SIZE, MASTER_ADDR and MASTER_PORT in its
environment. When one rank fails the others are stopped, and one block says which it was and why.

Exit codes: 0 all ranks ended well; 2 wrong command line or settings; 124 a rank was silent for
longer than --heartbeat-timeout; otherwise the code of the rank that failed first, 128 + the number
of the signal when a signal ended it (137 SIGKILL, 139 SIGSEGV, 143 SIGTERM).`;
}

/** Texts of the commands. */
export const HELP: Record<Exclude<CommandName, "launch">, () => string> = {
  config: () =>
    `Writes settings to a file, or shows them.

Usage: ${COMMAND} config [--config-file FILE]          asks, then writes
       ${COMMAND} config default [flags]              writes the flags without asking
       ${COMMAND} config show [flags]                 every value and where it comes from

The file is that of --config-file, of PTA_CONFIG_FILE, or launch.yaml in the folder pta of the
user's folder for settings. An existing file is replaced only after a question, or with --force.

${settingsHelp()}`,
  env: () =>
    `Prints versions, processors, GPUs, driver, libraries with their paths, and the settings.

Usage: ${COMMAND} env [--config-file FILE]`,
  test: () =>
    `Runs a built-in script on the configured ranks: process control, collectives, sharding, random
numbers, and training on N ranks against training on one.

Usage: ${COMMAND} test [flags]

${settingsHelp()}`,
  estimate: () =>
    `Estimates what a model needs: parameters, largest layer, and memory of a rank for weights,
gradients, optimizer and activations, without ZeRO and at its stages.

Usage: ${COMMAND} estimate MODEL [flags]

MODEL is a safetensors file, of which only the header is read (no activations), or a module that
exports a model as default, model, or createModel(); for activations also
exampleBatch(batchSize), which returns the arguments of the model's forward, and
exampleLoss(output) when the loss is large beside the model.

${
      table([
        ["--batch-size N", "samples of each rank and step (default 1)"],
        ["--mixed-precision P", "no, fp16 or bf16 (default no)"],
        ["--optimizer NAME", "adam, adamw, sgd, momentum, adafactor or none (default adamw)"],
        ["--num-processes N", "ranks that share under ZeRO (default 8)"],
        ["--json", "print JSON"],
      ])
    }`,
  report: () =>
    `Prints the history of a run as a table.

Usage: ${COMMAND} report RUN_DIR [flags]

RUN_DIR is a folder with a history (*.jsonl of JsonlRunHistory, history.json, or training states, of
which the latest counts), or such a file.

${
      table([
        ["--metrics NAMES", "columns, with commas (default all)"],
        ["--by UNIT", "a row an epoch, or a step (default epoch)"],
        ["--digits N", "significant digits (default 5)"],
        ["--json", "print JSON"],
      ])
    }`,
};

function table(rows: readonly (readonly string[])[]): string {
  return rows.map(([left, right]) =>
    left.length > 25 ? `  ${left}\n${" ".repeat(29)}${right}` : `  ${left.padEnd(27)}${right}`
  ).join("\n");
}
