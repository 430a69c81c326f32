/** `--dry-run`: the plan for people. */
import { RankEnv } from "@pta/core/dist/rank";
import { type LaunchPlan, planLaunch, type Program } from "./plan.ts";
import { resolveSettings } from "./resolve.ts";
import { checkScript } from "./run.ts";
import { flagOf, SETTING_NAMES, type Settings } from "./settings.ts";

/** Prints what a launch would start; starts nothing. */
export async function dryRun(
  flags: Settings,
  configFile: string | undefined,
  program: Program,
): Promise<void> {
  checkScript(program.script);
  const resolved = await resolveSettings(flags, configFile);
  const plan = planLaunch(resolved, program, 0);
  console.log(describePlan(plan));
  const set = SETTING_NAMES.filter((name) => resolved.values[name] !== undefined);
  if (set.length > 0) console.log("\nSettings that are not defaults:");
  for (const name of set) {
    console.log(`  ${flagOf(name)} = ${resolved.values[name]}   (${resolved.sources[name]})`);
  }
}

/** Ranks, devices, environment, addresses. */
export function describePlan(plan: LaunchPlan): string {
  const { worldSize, numMachines, machineRank, masterAddr, masterPort, ranks, warnings } = plan;
  const machines = numMachines === 1 ? "" : `, machine ${machineRank} of ${numMachines}`;
  const count = (n: number) => `${n} rank${n === 1 ? "" : "s"}`;
  const shared = Object.entries(ranks[0].env).filter(([key, value]) =>
    ranks.every(({ env }) => env[key] === value) && key !== RankEnv.rank &&
    key !== RankEnv.localRank
  );
  const shown = (key: string, value: string) =>
    `${key}=${key === RankEnv.secret ? `(${value.length} letters, not shown)` : value}`;
  const lines = [
    ...warnings.map((text) => `Warning: ${text}`),
    `${count(worldSize)}${machines}; ${count(ranks.length)} start here`,
    `They meet at ${masterAddr}:${masterPort}${
      ranks.some(({ rank }) => rank === 0) ? ", where rank 0 of this machine listens" : ""
    }`,
    "",
    "Environment of each:",
    ...shared.map(([key, value]) => `  ${shown(key, value)}`),
  ];
  for (const { rank, localRank, device, exec, args, env } of ranks) {
    const own = Object.entries(env).filter(([key]) => shared.every(([name]) => name !== key))
      .map(([key, value]) => shown(key, value));
    lines.push("", `Rank ${rank} (local rank ${localRank}) on ${device}:`);
    lines.push(`  ${own.join(" ")}`, `  ${[exec, ...args].map(quote).join(" ")}`);
  }
  return lines.join("\n");
}

/** A word as a shell reads it. */
function quote(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
