/** The communicator thread of one rank: meets the others, then carries out the calls that its program queues. */
import { parentPort, workerData } from "node:worker_threads";
import { ControlBlock, State, Word } from "./control.ts";
import { sleep } from "./deadline.ts";
import type { Failure } from "./failure.ts";
import { Meeting } from "./meeting.ts";
import type { RankStatus } from "./rank.ts";
import { inWords } from "./ring.ts";
import { StatusFile } from "./status_file.ts";

/** What the program tells its thread at the start. */
export interface TcpWorkerData {
  readonly control: SharedArrayBuffer;
  readonly rank: number;
  readonly worldSize: number;
  readonly masterAddr: string;
  readonly masterPort: number;
  readonly secret: string;
  readonly timeout: number;
  readonly heartbeat: number;
  /** Process id of the launcher, or 0. */
  readonly launcher: number;
  /** Folder for the status of this rank. */
  readonly reportDir: string | undefined;
  readonly device: string;
  /** Whether ranks of one machine hand on data through shared memory. */
  readonly sharesMemory: boolean;
}

/** Messages from the program to its thread. */
export type TcpMessage =
  | { readonly buffer: number; readonly memory: SharedArrayBuffer }
  | { readonly abort: string; readonly origin: number }
  | { readonly share: number; readonly memory: SharedArrayBuffer; readonly isRoot: boolean }
  | { readonly close: true };

const TICK_MS = 200;
const STATUS_MS = 1000;
/** A collective that takes longer than this is worth to know where it was called. */
const LONG_MS = 1000;
/** A program that has not noticed the end of its group for so long is asked to end. */
const UNNOTICED_MS = 10_000;
/** Longest wait until the other ranks have heard why this one fails. */
const TELL_MS = 700;

const data = workerData as TcpWorkerData;
const control = new ControlBlock(data.control);
const buffers = new Map<number, SharedArrayBuffer>();
const bufferCame = new Map<number, () => void>();
const status = new StatusFile(data.reportDir, data.rank);
let state: RankStatus["state"] = "starting";
let since = Date.now();
let lastStatus = 0;
let closing = false;

const meeting = new Meeting(data, {
  doing,
  site: (seq) => control.askSite(seq),
  failed: (failure) => ended(meeting.explain(failure)),
});

parentPort!.on("message", (message: TcpMessage) => {
  if ("share" in message) {
    share(message.share, message.memory, message.isRoot);
  } else if ("memory" in message) {
    buffers.set(message.buffer, message.memory);
    bufferCame.get(message.buffer)?.();
  } else if ("abort" in message) {
    stop(message.abort, message.origin);
  } else {
    leave();
  }
});
setInterval(tick, TICK_MS);
main().catch((error) => ended((error as Error).message));

async function main(): Promise<void> {
  writeStatus();
  const ring = await meeting.join();
  const { words } = control;
  control.set(Word.state, State.ready);
  enter("running");
  writeStatus();
  for (let seq = 0;;) {
    if (control.get(Word.posted) === seq) {
      const change = Atomics.waitAsync(words, Word.posted, seq);
      if (change.async) await change.value;
      continue;
    }
    await ring.run(await control.readCall(seq, findBuffer), seq);
    seq = (seq + 1) | 0;
    control.set(Word.done, seq);
  }
}

async function findBuffer(id: number): Promise<SharedArrayBuffer> {
  const known = buffers.get(id);
  if (known !== undefined) return known;
  await new Promise<void>((go) => bufferCame.set(id, go));
  bufferCame.delete(id);
  return buffers.get(id)!;
}

/** Sets word 1 to the number of bytes, -1 when they did not come, and then word 0. */
async function share(id: number, memory: SharedArrayBuffer, isRoot: boolean): Promise<void> {
  const words = new Int32Array(memory, 0, 2), bytes = new Uint8Array(memory, 8);
  try {
    const value = await meeting.share(`share/${id}`, isRoot ? bytes.slice() : undefined);
    if (value.length === bytes.length) bytes.set(value);
    words[1] = value.length;
  } catch {
    words[1] = -1;
  }
  Atomics.store(words, 0, 1);
  Atomics.notify(words, 0);
}

function tick(): void {
  Atomics.add(control.words, Word.beat, 1);
  meeting.ring?.tick();
  if (data.launcher !== 0 && Deno.ppid !== data.launcher) stop("the launcher has died");
  const current = meeting.ring?.current;
  if (current?.running && current.seq >= 0 && current.site === "") {
    if (performance.now() - current.since > LONG_MS) {
      control.askSite(current.seq).then((site) => current.site = site);
    }
  }
  const now = control.get(Word.waiting) === 1 ? "waiting" : "running";
  if ((state === "running" || state === "waiting") && now !== state) enter(now);
  if (Date.now() - lastStatus >= STATUS_MS) writeStatus();
}

function enter(next: RankStatus["state"]): void {
  state = next;
  since = Date.now();
}

function writeStatus(): void {
  lastStatus = Date.now();
  const current = meeting.ring?.current;
  status.write({
    time: lastStatus,
    state,
    since,
    ...(current === undefined ? {} : { collective: inWords(current) }),
    ...(state === "failed" ? { error: control.error } : {}),
  });
}

/** For people on another machine. */
function doing(): string {
  const current = meeting.ring?.current;
  if (current === undefined || current.seq < 0) return "";
  if (current.running) return `in ${inWords(current)}`;
  const seconds = Math.round((performance.now() - current.since) / 1000);
  return `computing, ${seconds} s after ${inWords(current)}`;
}

/** The group has failed: the program gets the error when it asks next. */
function ended(text: string): void {
  if (closing || control.get(Word.state) === State.failed) return;
  control.fail(text);
  enter("failed");
  writeStatus();
  setTimeout(() => {
    if (closing || control.get(Word.noticed) === 1) return;
    console.error(`error: ${text}`);
    Deno.kill(Deno.pid, "SIGTERM");
  }, UNNOTICED_MS);
}

/** The program, or the loss of the launcher, ends the group. */
async function stop(text: string, origin = data.rank): Promise<void> {
  if (closing) return;
  const failure: Failure = { origin, lost: -1, text };
  await Promise.race([meeting.fail({ failure }), sleep(TELL_MS)]);
  ended(meeting.explain(failure));
  await meeting.told();
  control.set(Word.left, 1);
}

async function leave(): Promise<void> {
  closing = true;
  await meeting.leave();
  if (state !== "failed") enter("closed");
  writeStatus();
  control.set(Word.left, 1);
}
