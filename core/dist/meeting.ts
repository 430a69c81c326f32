/** How ranks find each other, and what keeps them together until they part. */
import { challenge, importSecret, prove, setNoDelay, tryClose } from "./auth.ts";
import { withDeadline } from "./deadline.ts";
import { explain, type Failure, type FailureReport } from "./failure.ts";
import { type NodeFacts, ownFacts, verdict } from "./preflight.ts";
import { Ring } from "./ring.ts";
import { SideChannel } from "./side_channel.ts";
import { shareSlots } from "./slots.ts";
import { StoreServer } from "./store.ts";
import type { StoreClient } from "./store_client.ts";
import type { TcpWorkerData } from "./tcp_worker.ts";
import { GroupWatch } from "./watch.ts";

/** What the meeting asks of its thread. */
export interface MeetingHooks {
  /** What this rank is doing, for people. */
  doing(): string;
  /** Where the program has made a call; may be empty. */
  site(seq: number): Promise<string>;
  /** Called once, when the group has failed. */
  failed(failure: Failure): void;
}

/** Other ranks learn the verdict of the main rank so many seconds after its own deadline at the latest. */
const VERDICT_S = 2;

/** Longest wait of the main rank until the others have heard how the group has ended, in milliseconds. */
const TOLD_MS = 500;

/** One rank's part in the group: the store on rank 0, the side channel to it, the ring. */
export class Meeting {
  readonly #data: TcpWorkerData;
  readonly #hooks: MeetingHooks;
  #server: StoreServer | undefined;
  #watch: GroupWatch | undefined;
  #side: SideChannel | undefined;
  #failure: Failure | undefined;
  #failed = Promise.withResolvers<never>();
  #left = false;

  /** The connections, once all have met. */
  ring: Ring | undefined;

  /** @param data Who this rank is, and where to meet */
  constructor(data: TcpWorkerData, hooks: MeetingHooks) {
    this.#data = data;
    this.#hooks = hooks;
    this.#failed.promise.catch(() => {});
  }

  /** A failure as this rank tells it. */
  explain(failure: Failure): string {
    return this.ring?.error ?? explain(this.#failure ?? failure, this.#data.rank, "");
  }

  /**
   * Meets the others. The store says where everybody listens; then each rank connects to the next and admits the one
   * before.
   *
   * @throws {Error} If they do not come, do not fit, or one of them fails meanwhile
   */
  async join(): Promise<Ring> {
    const { rank, secret, timeout, heartbeat } = this.#data;
    const address = { hostname: this.#data.masterAddr, port: this.#data.masterPort };
    if (rank === 0) {
      this.#watch = new GroupWatch(1000 * heartbeat);
      this.#server = await StoreServer.listen(address, secret, this.#watch);
    }
    const limits = { seconds: timeout, silence: heartbeat };
    const side = await SideChannel.connect(address, secret, rank, limits);
    this.#side = side;
    side.watch(() => this.#hooks.doing()).then((news) => news && this.#accept(news));
    const joining = this.#connectAll(side.store);
    joining.catch(() => {});
    try {
      this.ring = await Promise.race([joining, this.#failed.promise]);
    } catch (error) {
      // the others need not wait for the deadline
      const text = (error as Error).message;
      const lost = Number(/^Lost rank (\d+)/.exec(text)?.[1] ?? -1);
      const reason = lost < 0 ? text : text.replace(/^Lost rank \d+: /, "");
      await this.fail({ failure: { origin: rank, lost, text: reason } });
      throw new Error(this.explain(this.#failure!));
    }
    return this.ring;
  }

  /** Ends the group: the ranks agree on the reason. */
  async fail(report: FailureReport): Promise<void> {
    if (this.#left) return;
    if (this.ring !== undefined) return await this.ring.fail(report);
    if (this.#failure === undefined) this.#accept(await this.#decide(report));
  }

  /** Leaves in good order. */
  async leave(): Promise<void> {
    this.#left = true;
    await Promise.all([this.ring?.leave(), this.#side?.leave()]);
    this.#watch?.close();
    await this.#watch?.told(TOLD_MS);
    this.#server?.close();
  }

  /** Waits until the others know of the failure: the main rank ends with its store. */
  async told(): Promise<void> {
    await this.#watch?.told(TOLD_MS);
  }

  /** Puts a value into the store, or waits for the one that another rank puts there. */
  async share(
    key: string,
    value: Uint8Array<ArrayBuffer> | undefined,
  ): Promise<Uint8Array<ArrayBuffer>> {
    const { store } = this.#side!;
    if (value === undefined) return await store.wait(key, this.#data.timeout);
    await store.set(key, value);
    return value;
  }

  #decide(report: FailureReport): Promise<Failure> {
    return this.#side?.decide(report) ?? Promise.resolve(report.failure);
  }

  #accept(failure: Failure): void {
    if (this.#left || this.#failure !== undefined) return;
    this.#failure = failure;
    if (this.ring !== undefined) return this.ring.accept(failure);
    this.#failed.reject(new Error(explain(failure, this.#data.rank, "")));
    this.#hooks.failed(failure);
  }

  async #connectAll(store: StoreClient): Promise<Ring> {
    const { rank, worldSize, timeout, secret, device } = this.#data;
    const key = await importSecret(secret);
    const listener = Deno.listen({ hostname: store.localHostname, port: 0 });
    try {
      const place = {
        rank,
        worldSize,
        device,
        ...listener.addr as { hostname: string; port: number },
      };
      const facts = ownFacts(place);
      await store.set(`node/${rank}`, JSON.stringify(facts));
      if (rank === 0) await store.set("verdict", await this.#judge(store));
      const complaint = await store.waitText("verdict", timeout + VERDICT_S);
      if (complaint !== "") throw new Error(complaint);
      const next = (rank + 1) % worldSize;
      const prev = (rank + worldSize - 1) % worldSize;
      const label = (from: number, to: number) => `ring ${from} ${to} of ${worldSize}`;
      const [fromPrev, toNext] = await Promise.all([
        withDeadline(
          timeout * 1000,
          `connection of rank ${prev}`,
          () => admit(listener, key, label(prev, rank)),
        ),
        connect(store, key, next, label(rank, next), timeout),
      ]);
      const slots = await shareSlots(store, rank, worldSize, this.#data.sharesMemory);
      const ring = new Ring(rank, worldSize, timeout * 1000, fromPrev, toNext, {
        decide: (report) => this.#decide(report),
        site: (seq) => this.#hooks.site(seq),
        failed: () => this.#hooks.failed(this.#failure ?? { origin: rank, lost: -1, text: "" }),
      }, slots);
      // nobody may go on before all are connected
      const one = new Int32Array(1);
      await ring.run(
        { name: "barrier", dtype: "int32", reduce: "sum", root: 0, input: one, output: one },
        -1,
      );
      return ring;
    } finally {
      tryClose(listener);
    }
  }

  /** The main rank waits for all and says whether they fit. */
  async #judge(store: StoreClient): Promise<string> {
    const { worldSize, timeout } = this.#data;
    const end = Date.now() + 1000 * timeout;
    const facts: (NodeFacts | undefined)[] = [];
    for (let r = 0; r < worldSize; r++) {
      const left = Math.max(0.001, (end - Date.now()) / 1000);
      const text = await store.waitText(`node/${r}`, left).catch(() => undefined);
      facts.push(text === undefined ? undefined : JSON.parse(text) as NodeFacts);
    }
    return verdict(facts, timeout);
  }
}

async function connect(
  store: StoreClient,
  key: CryptoKey,
  next: number,
  label: string,
  seconds: number,
): Promise<Deno.Conn> {
  const { host, hostname, port } = JSON.parse(await store.waitText(`node/${next}`)) as NodeFacts;
  const where = `rank ${next} at ${hostname}:${port} on ${host}`;
  let conn;
  try {
    conn = await withDeadline(
      1000 * seconds,
      `connection to ${where}`,
      () => Deno.connect({ hostname, port }),
    );
  } catch (cause) {
    throw new Error(`Cannot connect to ${where}: ${(cause as Error).message}`, { cause });
  }
  setNoDelay(conn);
  await prove(conn, key, label);
  return conn;
}

/** Waits for the peer that proves the label; strangers are turned away without delaying it. */
function admit(listener: Deno.Listener, key: CryptoKey, label: string): Promise<Deno.Conn> {
  return new Promise((done, reject) => {
    const greet = async (conn: Deno.Conn) => {
      setNoDelay(conn);
      try {
        await challenge(conn, key, [label]);
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
