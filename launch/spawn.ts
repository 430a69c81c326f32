/** Starting ranks, following them, and stopping them together. */
import { RankEnv } from "@pta/core/dist/rank";
import type { LaunchOptions } from "./args.ts";
import { type Ending, exitCode, failureBlock, firstCause, lostRank } from "./report.ts";

/** V8 flags of `--turbo`. */
const turboFlags = "--no-wasm-bounds-checks,--experimental-wasm-revectorize";
/** Lines of standard error that the report shows. */
const tailLines = 20;
/** Milliseconds that a rank has to end by itself after SIGTERM. */
const killAfter = 2000;
/** Milliseconds to wait for the end of a rank that another one has lost: sockets close before exits are noticed. */
const causeAfter = 1000;

interface Running {
  readonly rank: number;
  readonly child: Deno.ChildProcess;
  readonly ended: Promise<Ending>;
  ending: Ending | undefined;
  wasStopped: boolean;
}

function freePort(): number {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr as Deno.NetAddr;
  listener.close();
  return port;
}

/** Program and arguments of a rank. A compiled trainer starts itself again. */
function command({ script, scriptArgs, turbo }: LaunchOptions): { path: string; args: string[] } {
  if (Deno.build.standalone) return { path: Deno.execPath(), args: [...scriptArgs] };
  const flags = turbo ? [`--v8-flags=${turboFlags}`] : [];
  return { path: Deno.execPath(), args: ["run", "-A", ...flags, script, ...scriptArgs] };
}

/** Sends the lines of a stream to `write`, whole. */
async function eachLine(
  stream: ReadableStream<Uint8Array>,
  write: (line: string) => void,
): Promise<void> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of stream) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop()!;
    for (const line of lines) write(line);
  }
  rest += decoder.decode();
  if (rest !== "") write(rest);
}

/** Starts all ranks, waits for them, and reports. Returns the exit code. */
export async function runRanks(options: LaunchOptions): Promise<number> {
  const { numProcesses: worldSize, logDir, quiet } = options;
  const alone = worldSize === 1, { path, args } = command(options);
  if (logDir !== undefined) Deno.mkdirSync(logDir, { recursive: true });
  const secret = crypto.randomUUID() + crypto.randomUUID();
  const shared = {
    [RankEnv.worldSize]: `${worldSize}`,
    [RankEnv.localWorldSize]: `${worldSize}`,
    [RankEnv.masterAddr]: "127.0.0.1",
    [RankEnv.masterPort]: `${freePort()}`,
    [RankEnv.secret]: secret,
    [RankEnv.launcherPid]: `${Deno.pid}`,
    ...(options.cpu ? { [RankEnv.device]: "cpu" } : {}),
    ...(options.turbo ? { [RankEnv.turbo]: "1" } : {}),
  };
  const encoder = new TextEncoder();

  const start = (rank: number): Running => {
    const log = logDir === undefined
      ? undefined
      : Deno.openSync(`${logDir}/rank_${rank}.log`, { write: true, create: true, truncate: true });
    const child = new Deno.Command(path, {
      args,
      env: { ...shared, [RankEnv.rank]: `${rank}`, [RankEnv.localRank]: `${rank}` },
      stdin: alone ? "inherit" : "null",
      // A single rank keeps the terminal, so that its progress bar can draw.
      stdout: alone && log === undefined ? "inherit" : "piped",
      stderr: "piped",
    }).spawn();
    const tail: string[] = [];
    const shown = alone ? "" : `[rank ${rank}] `;
    const print = (to: typeof Deno.stdout | typeof Deno.stderr) => (line: string) => {
      log?.writeSync(encoder.encode(`${line}\n`));
      if (to === Deno.stderr) {
        tail.push(line);
        if (tail.length > tailLines) tail.shift();
      }
      if (!quiet || rank === 0) to.writeSync(encoder.encode(`${shown}${line}\n`));
    };
    const streams = [
      ...(alone && log === undefined ? [] : [eachLine(child.stdout, print(Deno.stdout))]),
      eachLine(child.stderr, print(Deno.stderr)),
    ];
    const running: Running = {
      rank,
      child,
      ending: undefined,
      wasStopped: false,
      ended: child.status.then(async ({ code, signal }) => {
        // A grandchild may hold the pipes open; its output is not waited for long.
        const patience = new Promise<void>((done) => Deno.unrefTimer(setTimeout(done, 1000)));
        await Promise.race([Promise.allSettled(streams), patience]);
        log?.close();
        return running.ending = { rank, code, signal, tail, wasStopped: running.wasStopped };
      }),
    };
    return running;
  };

  const ranks = Array.from({ length: worldSize }, (_, rank) => start(rank));
  const endings: Ending[] = [];
  for (const r of ranks) r.ended.then((e) => endings.push(e));
  const send = (signal: Deno.Signal) => {
    for (const r of ranks) {
      if (r.ending !== undefined) continue;
      r.wasStopped = true;
      try {
        r.child.kill(signal);
      } catch {
        // It has ended in this instant.
      }
    }
  };
  const timers: ReturnType<typeof setTimeout>[] = [];
  const stop = (signal: Deno.Signal) => {
    send(signal);
    timers.push(setTimeout(() => send("SIGKILL"), killAfter));
  };
  let interrupted: Deno.Signal | undefined;
  const listeners = (["SIGINT", "SIGTERM"] as const).map((signal) => {
    const listener = () => {
      interrupted ??= signal;
      stop(signal);
    };
    Deno.addSignalListener(signal, listener);
    return () => Deno.removeSignalListener(signal, listener);
  });

  try {
    const failure = Promise.race(
      ranks.map((r) => r.ended.then((e) => exitCode(e) === 0 ? new Promise<never>(() => {}) : e)),
    );
    const all = Promise.all(ranks.map((r) => r.ended));
    const first = await Promise.race([failure, all.then(() => undefined)]);
    if (first !== undefined && interrupted === undefined) {
      const lost = lostRank(first.tail);
      const culprit = lost === undefined ? undefined : ranks[lost];
      if (culprit !== undefined && culprit.ending === undefined) {
        await Promise.race([
          culprit.ended,
          new Promise((done) => timers.push(setTimeout(done, causeAfter))),
        ]);
      }
      stop("SIGTERM");
    }
    await all;
  } finally {
    for (const t of timers) clearTimeout(t);
    for (const remove of listeners) remove();
  }
  if (interrupted !== undefined) {
    console.error(`pta: stopped by ${interrupted}`);
    return exitCode({ code: 0, signal: interrupted });
  }
  const cause = firstCause(endings);
  if (cause === undefined) return 0;
  console.error(failureBlock(cause, endings, worldSize));
  return exitCode(cause);
}
