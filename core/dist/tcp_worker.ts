/** The communicator thread of one rank: meets the others, then carries out the calls that its program queues. */
import { parentPort, workerData } from "node:worker_threads";
import { challenge, importSecret, prove, setNoDelay, tryClose } from "./auth.ts";
import { ControlBlock, State, Word } from "./control.ts";
import { TimedOut, withDeadline } from "./deadline.ts";
import { Ring } from "./ring.ts";
import { StoreServer } from "./store.ts";
import { StoreClient } from "./store_client.ts";

/** What the program tells its thread at the start. */
export interface TcpWorkerData {
  readonly control: SharedArrayBuffer;
  readonly rank: number;
  readonly worldSize: number;
  readonly masterAddr: string;
  readonly masterPort: number;
  readonly secret: string;
  readonly timeout: number;
  /** Process id of the launcher, or 0. */
  readonly launcher: number;
}

/** Messages from the program to its thread. */
export type TcpMessage =
  | { readonly buffer: number; readonly memory: SharedArrayBuffer }
  | { readonly abort: string }
  | { readonly close: true };

const TICK_MS = 200;

const data = workerData as TcpWorkerData;
const control = new ControlBlock(data.control);
const buffers = new Map<number, SharedArrayBuffer>();
const bufferCame = new Map<number, () => void>();
let ring: Ring | undefined;
let closing = false;

parentPort!.on("message", (message: TcpMessage) => {
  if ("memory" in message) {
    buffers.set(message.buffer, message.memory);
    bufferCame.get(message.buffer)?.();
  } else if ("abort" in message) {
    stop(message.abort);
  } else {
    leave();
  }
});
setInterval(tick, TICK_MS);
main().catch((error) => control.fail((error as Error).message));

async function main(): Promise<void> {
  ring = await join();
  const { words } = control;
  control.set(Word.state, State.ready);
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

/** The store says where everybody listens; then each rank connects to the next and admits the one before. */
async function join(): Promise<Ring> {
  const { rank, worldSize, secret, timeout } = data;
  const address = { hostname: data.masterAddr, port: data.masterPort };
  const server = rank === 0 ? await StoreServer.listen(address, secret) : undefined;
  const store = await StoreClient.connect(address, secret, timeout);
  const key = await importSecret(secret);
  const listener = Deno.listen({ hostname: store.localHostname, port: 0 });
  try {
    await store.set(`ring/${rank}`, JSON.stringify(listener.addr));
    const next = (rank + 1) % worldSize;
    const prev = (rank + worldSize - 1) % worldSize;
    const [fromPrev, toNext] = await Promise.all([
      withDeadline(
        timeout * 1000,
        `connection of rank ${prev}`,
        () => admit(listener, key, label(prev, rank)),
      ),
      connect(store, key, rank, next),
    ]);
    const made = new Ring(rank, worldSize, timeout * 1000, fromPrev, toNext);
    // nobody may go on before all are connected: the store ends with rank 0
    const one = new Int32Array(1);
    await made.run(
      { name: "barrier", dtype: "int32", reduce: "sum", root: 0, input: one, output: one },
      -1,
    );
    return made;
  } finally {
    tryClose(listener);
    store.close();
    server?.close();
  }
}

async function connect(
  store: StoreClient,
  key: CryptoKey,
  rank: number,
  next: number,
): Promise<Deno.Conn> {
  let where;
  try {
    where = JSON.parse(await store.waitText(`ring/${next}`, data.timeout)) as Deno.NetAddr;
  } catch (error) {
    if (!(error instanceof TimedOut)) throw error;
    throw new TimedOut(`Lost rank ${next}: it did not join in ${data.timeout} s`);
  }
  const conn = await Deno.connect({ hostname: where.hostname, port: where.port });
  setNoDelay(conn);
  await prove(conn, key, label(rank, next));
  return conn;
}

/** Waits for the peer that proves the label; strangers are turned away without delaying it. */
function admit(listener: Deno.Listener, key: CryptoKey, wanted: string): Promise<Deno.Conn> {
  return new Promise((done, reject) => {
    const greet = async (conn: Deno.Conn) => {
      setNoDelay(conn);
      try {
        await challenge(conn, key, [wanted]);
        done(conn);
      } catch {
        tryClose(conn);
      }
    };
    const listen = async () => {
      for await (const conn of listener) greet(conn);
    };
    listen().catch(reject);
  });
}

function label(from: number, to: number): string {
  return `ring ${from} ${to} of ${data.worldSize}`;
}

async function findBuffer(id: number): Promise<SharedArrayBuffer> {
  const known = buffers.get(id);
  if (known !== undefined) return known;
  await new Promise<void>((go) => bufferCame.set(id, go));
  bufferCame.delete(id);
  return buffers.get(id)!;
}

function tick(): void {
  Atomics.add(control.words, Word.beat, 1);
  ring?.tick();
  if (data.launcher !== 0 && Deno.ppid !== data.launcher) stop("The launcher has died");
}

async function stop(text: string): Promise<void> {
  if (closing) return;
  await ring?.fail({ origin: data.rank, lost: -1, text });
  if (control.get(Word.state) !== State.failed) control.fail(ring?.error ?? text);
}

async function leave(): Promise<void> {
  closing = true;
  await ring?.leave();
  control.set(Word.state, State.closed);
}
