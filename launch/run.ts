/** A launch from settings to exit code, with restarts. */
import { type LaunchPlan, planLaunch, type Program, type RankCommand } from "./plan.ts";
import { report } from "./report.ts";
import { resolveSettings } from "./resolve.ts";
import type { Resolved } from "./resolve.ts";
import { type Settings, UsageError } from "./settings.ts";
import { runRanks } from "./spawn.ts";

/** Default of `--heartbeat-timeout`, in seconds. */
const HEARTBEAT = 20;
/** Other ranks notice a silent one too, and know more; the launcher waits a little longer than they do. */
const LONGER = 1.5;
/** Default of `--grace-period`, in seconds. */
const GRACE = 30;
/** Machines other than that of rank 0 wait before they start again. */
const ELSEWHERE_MS = 3000;

/**
 * Starts a program on all ranks of this machine and waits for them.
 *
 * @param configFile Path of the settings, `undefined` for the usual file, `null` for none
 * @returns Exit code
 * @throws {UsageError} If the settings are wrong; nothing was started then
 */
export async function runProgram(
  flags: Settings,
  configFile: string | undefined | null,
  program: Program,
): Promise<number> {
  checkScript(program.script);
  const resolved = await resolveSettings(flags, configFile);
  const { maxRestarts = 0 } = resolved.values;
  const earlier: string[] = [];
  for (let restart = 0;; restart++) {
    const plan = planLaunch(resolved, program, restart);
    if (restart === 0) { for (const text of plan.warnings) console.error(`launch: ${text}`); }
    const group = await runRanks(plan.ranks, runOptions(resolved, plan, restart));
    const errorsShown = plan.ranks.length === 1 && resolved.values.logDir === undefined;
    const notes = earlier.length === 0
      ? []
      : [`Started again ${restart} of ${maxRestarts} times; before:`, ...earlier];
    const { code, text, headline } = report(group, plan.worldSize, errorsShown, notes);
    if (code === 0 || group.interrupted !== undefined || restart >= maxRestarts) {
      if (text !== "") console.error(text);
      return code;
    }
    earlier.push(`  ${headline}`);
    console.error(`launch: start again, ${restart + 1} of ${maxRestarts}: ${headline}`);
    // the ranks of machine 0 must have ended, or those that come would meet the old ones
    const isElsewhere = plan.ranks.every(({ rank }) => rank !== 0);
    if (isElsewhere) await new Promise((go) => setTimeout(go, ELSEWHERE_MS));
  }
}

function runOptions({ values }: Resolved, plan: LaunchPlan, restart: number) {
  const { prefix, quiet, tee = quiet ? "0" : "all", gracePeriod = GRACE } = values;
  const shown = new Set(tee.split(",").map(Number));
  const template = prefix ?? (plan.worldSize === 1 ? "none" : "[rank {rank}] ");
  return {
    prefix: (command: RankCommand) => template === "none" ? "" : fill(template, plan, command),
    print: (rank: number) => tee === "all" || (tee !== "none" && shown.has(rank)),
    logDir: values.logDir,
    append: restart > 0,
    silence: (values.heartbeatTimeout ?? HEARTBEAT) * LONGER,
    gracePeriod,
  };
}

function fill(template: string, plan: LaunchPlan, { rank, localRank }: RankCommand): string {
  const text = template.replaceAll("{rank}", String(rank))
    .replaceAll("{local_rank}", String(localRank))
    .replaceAll("{machine}", String(plan.machineRank));
  return /\s$/.test(text) ? text : `${text} `;
}

/**
 * Sees whether there is a script before anything is started.
 *
 * @throws {UsageError} If it is no file and no URL
 */
export function checkScript(script: string | undefined): void {
  if (script === undefined || /^(https?|jsr|npm|data):/.test(script)) return;
  let what = "there is no such file";
  try {
    const found = Deno.statSync(script.startsWith("file:") ? new URL(script) : script);
    if (!found.isDirectory) return;
    what = "it is a folder";
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) what = (error as Error).message;
  }
  throw new UsageError(`Cannot run ${script}: ${what} (looked in ${Deno.cwd()})`);
}
