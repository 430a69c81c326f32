/** What the ranks are doing, as they say themselves and as the system sees them. */
import type { RankStatus } from "@pta/core/dist/rank";

/** The last status that a rank has left. */
export function readStatus(folder: string, rank: number): RankStatus | undefined {
  try {
    const status = JSON.parse(Deno.readTextFileSync(`${folder}/rank_${rank}.json`));
    return Number.isFinite(status?.time) && typeof status.state === "string" ? status : undefined;
  } catch {
    // none yet; a rank may also have ended before it was whole
    return undefined;
  }
}

/** What a living rank is doing, for people; empty when nothing is known. */
export function describeActivity(
  status: RankStatus | undefined,
  pid: number,
  now: number = Date.now(),
): string {
  const parts: string[] = [];
  if (isStopped(pid)) parts.push("its process is suspended (SIGSTOP)");
  if (status === undefined) return parts.join(", ");
  const { state, collective, since, time } = status;
  const age = since === undefined ? "" : ` for ${seconds(now - since)}`;
  if (state === "starting") parts.push(`waited${age} for the others at the start`);
  else if (state === "waiting") parts.push(`waited${age} in ${collective ?? "a collective"}`);
  else if (state === "running") {
    parts.push(`computed${age}${collective === undefined ? "" : `, after ${collective}`}`);
  } else if (state === "failed") parts.push(`had failed: ${firstLine(status.error ?? "")}`);
  else parts.push("had left the group in good order");
  if (now - time > 5000) parts.push(`last heartbeat ${seconds(now - time)} ago`);
  return parts.join(", ");
}

/** Whether the system has suspended a process. */
export function isStopped(pid: number): boolean {
  if (Deno.build.os !== "linux") return false;
  try {
    return /^\d+ \(.*\) [Tt]/.test(Deno.readTextFileSync(`/proc/${pid}/stat`));
  } catch {
    return false;
  }
}

/** Whether Ctrl-C reaches the ranks by itself: the launcher is in the foreground of a terminal, and they with it. */
export function sharesTerminal(): boolean {
  if (Deno.build.os !== "linux") return Deno.stdin.isTerminal();
  try {
    const stat = Deno.readTextFileSync("/proc/self/stat");
    // after the name: state, parent, group, session, terminal, foreground group of the terminal
    const [, , group, , , foreground] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return group === foreground;
  } catch {
    return false;
  }
}

/** How often the system has killed for want of memory in this control group. */
export function memoryKills(): number {
  if (Deno.build.os !== "linux") return 0;
  try {
    const own = /^0::(.*)$/m.exec(Deno.readTextFileSync("/proc/self/cgroup"))?.[1] ?? "/";
    const events = Deno.readTextFileSync(`/sys/fs/cgroup${own}/memory.events`);
    return Number(/^oom_kill (\d+)$/m.exec(events)?.[1] ?? 0);
  } catch {
    return 0;
  }
}

function seconds(ms: number): string {
  return `${(Math.max(0, ms) / 1000).toFixed(1)} s`;
}

function firstLine(text: string): string {
  return text.split("\n")[0];
}
