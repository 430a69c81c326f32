/** Kills a program while it saves, again and again, and loads what is left: `deno task drill saves --kills 50 --seed 1`. */
import type { Tensor } from "@pta/core";
import { parseArgs } from "@std/cli/parse-args";
import "@pta/core/backend";
import { unfinishedPrefix } from "../trainer/checkpoint/files.ts";
import { listStates } from "../trainer/checkpoint/folder.ts";
import { findState } from "../trainer/checkpoint/resume_from.ts";
import { readState } from "../trainer/checkpoint/training_state.ts";
import { linesOf, randomNumbers } from "./kill_support.ts";

/** What the kills came to. */
export interface SaveKills {
  readonly kills: number;
  /** Kills that left half a state beside the whole ones. */
  readonly interrupted: number;
  /** Kills after which a state was lost, or had not its own values; empty when all is well. */
  readonly wrong: string[];
}

/** Kills `kills` programs in the middle of their saves. */
export async function killSaves(kills: number, seed: number): Promise<SaveKills> {
  const random = randomNumbers(seed), wrong: string[] = [];
  let interrupted = 0;
  for (let kill = 0; kill < kills; kill++) {
    const folder = await Deno.makeTempDir({ prefix: "drill_saves_" });
    const saved = await killOnce(folder, 1 + Math.floor(3 * random()), 40 * random());
    const names = [...Deno.readDirSync(folder)].map((e) => e.name);
    if (names.some((name) => name.startsWith(unfinishedPrefix))) interrupted++;
    const fault = await faultOf(folder, saved);
    if (fault !== undefined) wrong.push(`kill ${kill}: ${fault}`);
    await Deno.remove(folder, { recursive: true });
  }
  return { kills, interrupted, wrong };
}

/** Kills the program some milliseconds after a save; tells the number of the last save that it reported. */
async function killOnce(folder: string, afterSave: number, delay: number): Promise<number> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", new URL("save_loop.ts", import.meta.url).pathname, folder],
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  let saved = 0;
  for await (const line of linesOf(child.stdout)) {
    saved = Number(/^saved (\d+)$/.exec(line)?.[1] ?? saved);
    if (saved === afterSave) setTimeout(() => child.kill("SIGKILL"), delay);
  }
  await child.status;
  return saved;
}

async function faultOf(folder: string, saved: number): Promise<string | undefined> {
  const states = await listStates(folder);
  for (const { path } of states) {
    try {
      const state = (await readState(() => findState(path, "", () => {}), undefined))!;
      const { n, object } = state.sections(0) as { n: number; object: Record<string, Tensor> };
      const optimizer = state.optimizer() as { n: number; state: Record<string, Tensor>[] };
      const values = [
        ...Object.values(state.model).flatMap((f) => [...f.data as Float32Array]),
        ...[object.t1, optimizer.state[0].t0].flatMap((t) => [...t.data() as Float32Array]),
        optimizer.n,
        state.manifest.numUpdates,
      ];
      if (values.length !== 120_002 || values.some((x) => x !== n)) {
        return `${path} holds values of another save`;
      }
    } catch (error) {
      return (error as Error).message;
    }
  }
  const last = states.at(-1)?.number ?? 0;
  return last < saved ? `state ${saved} was reported and is gone, the last is ${last}` : undefined;
}

/** The drill: the exit code is 1 when any state was lost or wrong. */
export async function drill(args: readonly string[]): Promise<number> {
  const { kills, seed } = parseArgs([...args], { default: { kills: 50, seed: 1 } });
  const result = await killSaves(Number(kills), Number(seed));
  for (const line of result.wrong) console.log(line);
  console.log(
    `kills=${result.kills} interrupted=${result.interrupted} wrong=${result.wrong.length}`,
  );
  return result.wrong.length > 0 ? 1 : 0;
}
