/** The failures of `deno task drill launch`, and what must come of each. */
import type { FaultName } from "./drill_rank.ts";

/** What a drill can do to a launch that is under way. */
export interface Scene {
  /** The launcher whose block is read. */
  readonly launcher: Deno.ChildProcess;
  /** The launcher of the other machine, where there are two. */
  readonly other: Deno.ChildProcess | undefined;
  readonly culprit: number;
  readonly port: number;
  /** Process of each rank. */
  readonly pids: ReadonlyMap<number, number>;
}

/** How a launch differs from an ordinary one. */
export interface Setup {
  readonly flags?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/** One failure. */
export interface Drill {
  readonly fault: FaultName;
  /** `any` (the default): chance decides; `all`: every rank; or a number. */
  readonly culprit?: "any" | "all" | number;
  readonly setup?: Setup;
  /** There are two machines of one rank each; how the launcher of the second one is set up. */
  readonly second?: Setup;
  /** Whose block counts where there are two machines. */
  readonly reader?: 0 | 1;
  /** Done to the launch once all ranks are ready. */
  readonly act?: (scene: Scene) => void | Promise<void>;
  /** Exit code; any but 0 by default. */
  readonly code?: number;
  /** Must be in the block, or in the output where there is none. */
  readonly text?: RegExp;
  /** False: the launcher itself is stopped, and there is no rank to name. */
  readonly block?: boolean;
  /** Further ranks that may be named: between two ranks that differ nobody knows who is right. */
  readonly orAny?: boolean;
  /** A stated timeout that passes before anybody can know, in seconds. */
  readonly waits?: number;
}

const HEARTBEAT: Setup = { env: { PTA_HEARTBEAT_TIMEOUT: "4" } };
const STANDSTILL: Setup = { env: { PTA_COMM_TIMEOUT: "5" } };
const secretOf = (name: string) => ({ PTA_LAUNCH_SECRET: `the secret of ${name}, long enough` });
const signalLauncher = (name: Deno.Signal) => ({ launcher }: Scene) => launcher.kill(name);
const signalRank = (name: Deno.Signal) => ({ pids, culprit }: Scene) =>
  Deno.kill(pids.get(culprit)!, name);

const connect = (port: number) => Deno.connect({ hostname: "127.0.0.1", port });
const swallow = () => {};

/** Sends bytes until the store hangs up. */
async function pour(port: number, bytes: number): Promise<void> {
  const conn = await connect(port);
  const chunk = crypto.getRandomValues(new Uint8Array(1 << 16));
  try {
    for (let sent = 0; sent < bytes;) sent += await conn.write(chunk);
  } catch {
    // as it should
  }
  conn.close();
}

/** Strangers first, then a rank is killed: they must not hide it. */
const among = (strangers: (port: number) => Promise<unknown>) => async (scene: Scene) => {
  await strangers(scene.port);
  Deno.kill(scene.pids.get(scene.culprit)!, "SIGKILL");
};

/** The drills by name. */
export const DRILLS: Readonly<Record<string, Drill>> = {
  "killed": { fault: "SIGKILL", code: 137, text: /SIGKILL/ },
  "killed from outside": { fault: "none", act: signalRank("SIGKILL"), code: 137 },
  "killed before the meeting": { fault: "early:SIGKILL", code: 137, text: /SIGKILL/ },
  "terminated": { fault: "SIGTERM", code: 143, text: /SIGTERM/ },
  "interrupted": { fault: "SIGINT", code: 130, text: /SIGINT/ },
  "hung up": { fault: "SIGHUP", code: 129, text: /SIGHUP/ },
  "quit": { fault: "SIGQUIT", code: 131, text: /SIGQUIT/ },
  "aborted": { fault: "SIGABRT", code: 134, text: /SIGABRT/ },
  "segmentation fault": { fault: "badPointer", code: 139, text: /SIGSEGV/ },
  "illegal instruction": { fault: "SIGILL", code: 132, text: /SIGILL/ },
  "throws": { fault: "throw", code: 1, text: /RangeError: the loss went up/ },
  "throws later": { fault: "throwLater", code: 1, text: /TypeError: this batch has no labels/ },
  "throws in a timer": { fault: "throwInTimer", code: 1, text: /a timer has failed/ },
  "rejects": { fault: "rejection", code: 1, text: /nobody caught this/ },
  "throws a text": { fault: "throwText", code: 1, text: /only a text/ },
  "throws a megabyte": { fault: "throwLong", code: 1, text: /long long/ },
  "throws before the meeting": { fault: "early:throw", code: 1, text: /the loss went up/ },
  "all throw": { fault: "throw", culprit: "all", code: 1, text: /the loss went up/ },
  "a loss that is NaN": { fault: "nan", code: 1, text: /the loss is NaN/ },
  "endless recursion": { fault: "stackOverflow", code: 1, text: /call stack size exceeded/ },
  "a module that is not there": { fault: "badImport", code: 1, text: /no_such_/ },
  "a file that is not there": { fault: "denied", code: 1, text: /NotFound/ },
  "exit 1": { fault: "exit1", code: 1 },
  "exit 77": { fault: "exit77", code: 77 },
  "an exit code set before": { fault: "exitLate", code: 5 },
  "exit before the meeting": { fault: "early:exit77", code: 77 },
  "leaves too early": { fault: "leave", text: /it has left the group/ },
  "aborts the group": { fault: "abort", code: 4 },
  "out of memory, heap": {
    fault: "heapLimit",
    setup: { env: { DENO_V8_FLAGS: "--max-old-space-size=80" } },
  },
  "out of memory, address space": { fault: "addressLimit" },
  "stopped": { fault: "SIGSTOP", setup: HEARTBEAT, text: /no (heartbeat|answer) for/, waits: 4 },
  "stopped from outside": {
    fault: "none",
    act: signalRank("SIGSTOP"),
    setup: HEARTBEAT,
    text: /no (heartbeat|answer) for/,
    waits: 4,
  },
  "stopped before the meeting": {
    fault: "early:SIGSTOP",
    setup: STANDSTILL,
    text: /did not join in 5 s/,
    waits: 5,
    // when rank 0 is stopped nobody can meet anywhere
    culprit: 1,
  },
  "an endless loop": { fault: "endlessLoop", setup: STANDSTILL, text: /take part/, waits: 6 },
  "asleep": { fault: "sleep", setup: STANDSTILL, text: /did not take part for/, waits: 6 },
  "idle": { fault: "idle", setup: STANDSTILL, text: /did not take part for/, waits: 6 },
  "another shape": { fault: "shape", code: 1, text: /float32\[1001\] at tools\//, orAny: true },
  "another dtype": { fault: "dtype", code: 1, text: /float64\[1000\] at tools\//, orAny: true },
  "another reduction": { fault: "reduceOp", code: 1, text: /allReduce\(max\)/, orAny: true },
  "another kind": { fault: "kind", code: 1, text: /allGather float32/, orAny: true },
  "another order": { fault: "order", code: 1, text: /barrier\(\)/, orAny: true },
  "one collective more": { fault: "extra", code: 1, text: /broadcast\(root 0\)/, orAny: true },
  "another root": { fault: "root", code: 1, text: /broadcast\(root 1\)/, orAny: true },
  "one of several under way": {
    fault: "manyUnderWay",
    code: 1,
    text: /Cannot run collective/,
    orAny: true,
  },
  "one collective left out": {
    fault: "skip",
    code: 1,
    text: /Cannot run collective/,
    orAny: true,
  },
  "the port is taken": {
    fault: "portTaken",
    culprit: 0,
    code: 1,
    text: /Cannot open the rendezvous at 127\.0\.0\.1:\d+: the port is taken/,
  },
  "killed among garbage": {
    fault: "none",
    act: among((port) => Promise.all(Array.from({ length: 20 }, () => pour(port, 1 << 20)))),
    code: 137,
  },
  "killed during a flood": {
    fault: "none",
    act: among((port) => pour(port, 1 << 30)),
    code: 137,
  },
  "killed among half-open connections": {
    fault: "none",
    act: among((port) => Promise.all(Array.from({ length: 300 }, () => connect(port)))),
    code: 137,
  },
  "killed among web browsers": {
    fault: "none",
    act: among((port) => fetch(`http://127.0.0.1:${port}/`).then((r) => r.body?.cancel(), swallow)),
    code: 137,
  },
  "another secret": {
    fault: "none",
    culprit: 1,
    setup: { env: { ...secretOf("one"), ...STANDSTILL.env } },
    second: { env: secretOf("another") },
    reader: 1,
    text: /PTA_LAUNCH_SECRET differs/,
    waits: 5,
  },
  "another secret, seen from the main rank": {
    fault: "none",
    culprit: 1,
    setup: { env: { ...secretOf("one"), ...STANDSTILL.env } },
    second: { env: secretOf("another") },
    text: /Lost rank 1: it did not join in 5 s/,
    waits: 5,
  },
  "another device": {
    fault: "none",
    culprit: 1,
    setup: { env: secretOf("both") },
    second: { env: { ...secretOf("both"), PTA_DEVICE: "null" } },
    text: /Cannot join rank 1: device is null, on rank 0 cpu/,
    orAny: true,
  },
  "a machine that is not there": {
    fault: "none",
    culprit: 1,
    setup: { env: { ...secretOf("both"), ...STANDSTILL.env }, flags: ["--machine-rank", "1"] },
    text: /Cannot reach the rendezvous at 127\.0\.0\.1:\d+ in 5 s/,
    waits: 5,
  },
  "a name that is not known": {
    fault: "none",
    culprit: 1,
    setup: {
      env: { ...secretOf("both"), ...STANDSTILL.env },
      flags: ["--machine-rank", "1", "--main-process-ip", "nowhere.invalid"],
    },
    text: /Cannot reach the rendezvous at nowhere\.invalid:\d+ in 5 s/,
    waits: 5,
  },
  "a machine whose launcher dies": {
    fault: "none",
    culprit: 1,
    setup: { env: secretOf("both") },
    second: { env: secretOf("both") },
    act: ({ other }) => other!.kill("SIGKILL"),
    text: /the launcher has died/,
  },
  "a rank of another machine throws": {
    fault: "throw",
    culprit: 1,
    setup: { env: secretOf("both") },
    second: { env: secretOf("both") },
    text: /Stopped by rank 1.*: RangeError: the loss went up, at tools\/drill_rank\.ts:\d+/,
  },
  "Ctrl-C at the launcher": {
    fault: "none",
    act: signalLauncher("SIGINT"),
    block: false,
    text: /Stopped by SIGINT/,
  },
  "SIGTERM at the launcher": {
    fault: "none",
    act: signalLauncher("SIGTERM"),
    block: false,
    text: /Stopped by SIGTERM/,
  },
  "SIGKILL at the launcher": {
    fault: "none",
    act: signalLauncher("SIGKILL"),
    block: false,
    code: 137,
  },
};
