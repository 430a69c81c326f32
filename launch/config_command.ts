/** `config`: asks for settings and writes them, `config default`, `config show`. */
import { type Flags, readFlags } from "./args.ts";
import { defaultConfigPath, writeConfig } from "./config_file.ts";
import { visibleGpus } from "./devices.ts";
import { Questions } from "./questions.ts";
import { resolveSettings } from "./resolve.ts";
import { defaultOf } from "./setting_defaults.ts";
import { flagOf, SETTING_NAMES, type SettingName, type Settings, UsageError } from "./settings.ts";
import { nearest } from "./suggest.ts";

const VERBS = ["default", "show"];

/** Runs `config`. */
export async function configCommand(args: readonly string[]): Promise<number> {
  const flags = readFlags(args, { settings: true, switches: ["force"], anywhere: true });
  const [verb, ...more] = flags.rest;
  if (more.length > 0 || (verb !== undefined && !VERBS.includes(verb))) {
    const word = more[0] ?? verb!;
    const near = nearest(word, VERBS);
    throw new UsageError(
      `Unexpected ${word}${
        near === undefined
          ? ": wanted config, config default or config show"
          : `: did you mean ${near}?`
      }`,
    );
  }
  if (verb === "show") await show(flags);
  else await write(flags, verb === undefined);
  return 0;
}

/** Every value and where it comes from. */
async function show(flags: Flags): Promise<void> {
  const { values, sources, config, adopted, warnings } = await resolveSettings(
    flags.settings,
    flags.configFile,
  );
  console.log(
    `File: ${config?.path ?? `none (${defaultConfigPath() ?? "no folder"} would be read)`}`,
  );
  const rows = SETTING_NAMES.map((name) => [
    flagOf(name).replaceAll("-", "_"),
    String(values[name] ?? defaultOf(name, values)),
    sources[name] ?? "default",
  ]);
  const widths = [0, 1].map((i) => Math.max(...rows.map((row) => row[i].length)));
  for (const [name, value, source] of rows) {
    console.log(`${name.padEnd(widths[0])}  ${value.padEnd(widths[1])}  ${source}`);
  }
  if (adopted !== undefined) {
    console.log(
      `Started as rank ${adopted.rank} of ${adopted.worldSize} by another launcher: that one rank runs here`,
    );
  }
  for (const text of warnings) console.error(`launch: ${text}`);
}

async function write(flags: Flags, asks: boolean): Promise<void> {
  const path = flags.configFile ?? (Deno.env.get("PTA_CONFIG_FILE") || defaultConfigPath());
  if (path === undefined) {
    throw new UsageError("Cannot find the folder for settings: name a file with --config-file");
  }
  const questions = new Questions();
  if (!flags.own.force && exists(path)) {
    if (!asks) throw new UsageError(`Cannot write ${path}: it exists; --force replaces it`);
    if (!await questions.yesNo(`Replace ${path}`, false)) {
      throw new UsageError(`${path} stays as it is`);
    }
  }
  const settings = asks ? await askSettings(questions, flags.settings) : flags.settings;
  const text = await writeConfig(settings);
  const folder = path.replaceAll("\\", "/").split("/").slice(0, -1).join("/");
  try {
    if (folder !== "") await Deno.mkdir(folder, { recursive: true });
    await Deno.writeTextFile(
      path,
      `# Settings of pta's launcher; config show tells what counts.\n${text}`,
    );
  } catch (error) {
    throw new UsageError(`Cannot write ${path}: ${(error as Error).message}`);
  }
  console.log(`Written to ${path}`);
}

/** Asks for what most launches need; flags answer their questions. */
async function askSettings(questions: Questions, given: Settings): Promise<Settings> {
  const answers: Record<string, unknown> = { ...given };
  const ask = async (name: SettingName, fallback: string) => {
    if (answers[name] !== undefined) return;
    const answer = await questions.setting(name, fallback);
    if (answer !== undefined) answers[name] = answer;
  };
  await ask("numMachines", "1");
  const machines = Number(answers.numMachines);
  if (machines > 1) {
    await ask("machineRank", "0");
    await ask("mainProcessIp", "");
    await ask("mainProcessPort", "29500");
    await ask("secretFile", "");
  }
  const gpus = visibleGpus().length;
  await ask("cpu", gpus === 0 ? "yes" : "no");
  if (!answers.cpu) await ask("gpuIds", "all");
  const ids = String(answers.gpuIds ?? "all");
  const each = answers.cpu ? 1 : ids === "all" ? Math.max(1, gpus) : ids.split(",").length;
  if (answers.numProcessesPerMachine === undefined) {
    await ask("numProcesses", String(each * machines));
  }
  await ask("mixedPrecision", "no");
  await ask("maxRestarts", "0");
  return answers as Settings;
}

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}
