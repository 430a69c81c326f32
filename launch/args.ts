/** Flags: those of the launcher come before the script; everything after the script belongs to the script. */
import { parseArgs } from "@std/cli/parse-args";
import {
  flagOf,
  readValue,
  SETTING_NAMES,
  type SettingName,
  settingOf,
  type Settings,
  UsageError,
} from "./settings.ts";
import { nearest } from "./suggest.ts";

/** What a command line holds. */
export interface Flags {
  /** Settings that were named. */
  readonly settings: Settings;
  readonly configFile: string | undefined;
  readonly help: boolean;
  /** Further flags of the command, by their names. */
  readonly own: Readonly<Record<string, string | boolean | undefined>>;
  /** From the first word that is no flag on. */
  readonly rest: readonly string[];
}

/** Which flags a command takes. */
export interface FlagTable {
  /** Takes the flags of the settings and `--config-file`. */
  readonly settings?: boolean;
  /** Further flags that have a value. */
  readonly values?: readonly string[];
  /** Further flags that have none. */
  readonly switches?: readonly string[];
  /** Flags may also come after the first word. */
  readonly anywhere?: boolean;
}

/**
 * Reads flags, written with hyphens or underscores, `--flag value` or `--flag=value`, switches also as `--no-flag`.
 *
 * @throws {UsageError} If a flag is unknown, given twice, or lacks its value
 */
export function readFlags(args: readonly string[], table: FlagTable): Flags {
  const byFlag = new Map<string, SettingName>(
    table.settings ? SETTING_NAMES.map((name) => [flagOf(name), name]) : [],
  );
  const isSwitch = (flag: string) => settingOf(byFlag.get(flag)!).kind === "switch";
  const values = [
    ...(table.settings ? ["config-file"] : []),
    ...[...byFlag.keys()].filter((flag) => !isSwitch(flag)),
    ...(table.values ?? []),
  ];
  const switches = [...[...byFlag.keys()].filter(isSwitch), ...(table.switches ?? []), "help"];
  const { own, rest } = split(args, values, table.anywhere ?? false);
  for (const word of own) {
    const [flag, value] = word.replace(/^--/, "").split("=");
    if (value === undefined || !switches.includes(flag) || /^(true|false)$/.test(value)) continue;
    throw new UsageError(`Cannot read ${word}: wanted --${flag} or --no-${flag}`);
  }
  const known = [...values, ...switches];
  const parsed = parseArgs(own, {
    string: values,
    collect: [...values, ...switches],
    boolean: switches,
    negatable: switches.filter((flag) => flag !== "help"),
    alias: { help: "h", ...(table.settings ? { quiet: "q" } : {}) },
    unknown: (arg) => {
      const flag = arg.split("=")[0];
      const near = nearest(flag.replace(/^-+/, ""), known);
      const hint = near === undefined ? "; --help lists all flags" : `: did you mean --${near}?`;
      throw new UsageError(`Unknown flag ${flag}${hint}`);
    },
  });
  const once = <T>(flag: string): T | undefined => {
    // parseArgs does not collect --no-flag
    const given = parsed[flag] as T[] | T | undefined;
    if (!Array.isArray(given)) return given;
    if (given.length > 1) throw new UsageError(`Cannot use --${flag} twice`);
    return given.at(0);
  };
  const valueOf = (flag: string): string | undefined => {
    const value = once<string>(flag);
    if (value === "") throw new UsageError(`Missing the value of --${flag}`);
    return value;
  };
  const settings: Record<string, unknown> = {};
  for (const [flag, name] of byFlag) {
    if (isSwitch(flag)) settings[name] = once<boolean>(flag);
    else {
      const text = valueOf(flag);
      settings[name] = text === undefined ? undefined : readValue(name, text, `--${flag} ${text}`);
    }
    if (settings[name] === undefined) delete settings[name];
  }
  const further: Record<string, string | boolean | undefined> = {};
  for (const flag of table.values ?? []) further[flag] = valueOf(flag);
  for (const flag of table.switches ?? []) further[flag] = once<boolean>(flag);
  return {
    settings: settings as Settings,
    configFile: table.settings ? valueOf("config-file") : undefined,
    help: once<boolean>("help") ?? false,
    own: further,
    rest,
  };
}

/** The first word that is neither a flag nor the value of one starts the rest. */
function split(
  args: readonly string[],
  values: readonly string[],
  anywhere: boolean,
): { own: string[]; rest: string[] } {
  const own: string[] = [], rest: string[] = [];
  for (let i = 0; i < args.length; i++) {
    if (args[i] === "--") return { own, rest: [...rest, ...args.slice(i + 1)] };
    if (!args[i].startsWith("-") || args[i] === "-") {
      if (!anywhere) return { own, rest: args.slice(i) };
      rest.push(args[i]);
      continue;
    }
    const [flag, ...value] = args[i].split("=");
    const name = flag.replaceAll("_", "-");
    const takesNext = value.length === 0 && values.some((f) => `--${f}` === name);
    // a flag there is a forgotten value, a negative number a wrong one
    const isThere = i + 1 < args.length && !/^-(?!\d)/.test(args[i + 1]);
    if (takesNext) own.push(`${name}=${isThere ? args[++i] : ""}`);
    else own.push([name, ...value].join("="));
  }
  return { own, rest };
}
