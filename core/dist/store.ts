/**
 * The rendezvous: a small table on the main rank by which ranks find each other and exchange what must be known before
 * they can talk directly. Only holders of the launch secret get in, and what they say is encrypted.
 *
 * @module
 */
import { withDeadline } from "./deadline.ts";
import { readReport } from "./failure.ts";
import type { Beat, GroupWatch } from "./watch.ts";
import {
  challenge,
  concat,
  importSecret,
  SecureChannel,
  setNoDelay,
  STORE_LABEL,
  tryClose,
} from "./auth.ts";
import {
  type Answer,
  ANSWERS,
  type Bytes,
  decode,
  encode,
  type Op,
  parseExchange,
  parseRequest,
  type Request,
} from "./store_messages.ts";

const MAX_ENTRIES = 1 << 16;
/** Connections that have not proven anything yet; when there are more, the one that took longest is closed. */
const MAX_STRANGERS = 256;
/** Longest time in which a peer must take an answer, in milliseconds. */
const SEND_MS = 10_000;

/** Where a store listens. */
export interface StoreAddress {
  /** Name or number of the machine. */
  readonly hostname: string;
  /** 0 takes a free one. */
  readonly port: number;
}

/** Who speaks on a connection, once it has said so with a heartbeat. */
interface Member {
  rank: number | undefined;
}

/** The table itself, on one rank. */
export class StoreServer {
  /** Where it listens. */
  readonly address: StoreAddress;
  #listener: Deno.Listener;
  #key: CryptoKey;
  #table = new Map<string, Bytes>();
  #waiting = new Map<string, Set<(value: Bytes) => void>>();
  #conns = new Set<Deno.Conn>();
  /** In the order of their arrival. */
  #strangers = new Set<Deno.Conn>();
  #watch: GroupWatch | undefined;

  private constructor(listener: Deno.Listener, key: CryptoKey, watch: GroupWatch | undefined) {
    this.#watch = watch;
    this.#listener = listener;
    this.#key = key;
    const { hostname, port } = listener.addr as Deno.NetAddr;
    this.address = { hostname, port };
  }

  /**
   * Starts to listen.
   *
   * @param secret At least 16 characters; the same on all ranks
   * @param watch Takes the heartbeats and the failures of the ranks; without it they are errors
   * @throws {RangeError} If the secret is missing or short
   * @throws {Error} If the port is taken
   */
  static async listen(
    address: StoreAddress,
    secret: string,
    watch?: GroupWatch,
  ): Promise<StoreServer> {
    const key = await importSecret(secret);
    let listener;
    try {
      listener = Deno.listen({ transport: "tcp", ...address });
    } catch (cause) {
      const where = `${address.hostname}:${address.port}`;
      const why = cause instanceof Deno.errors.AddrInUse
        ? "the port is taken"
        : cause instanceof Deno.errors.AddrNotAvailable
        ? "this machine has no such address; MASTER_ADDR must be one of the machine of rank 0"
        : (cause as Error).message;
      throw new Error(`Cannot open the rendezvous at ${where}: ${why}`, { cause });
    }
    const server = new StoreServer(listener, key, watch);
    server.#accept();
    return server;
  }

  /** Stops listening and closes all connections. */
  close(): void {
    tryClose(this.#listener);
    for (const conn of this.#conns) tryClose(conn);
  }

  async #accept(): Promise<void> {
    try {
      for await (const conn of this.#listener) {
        if (this.#strangers.size >= MAX_STRANGERS) {
          const [oldest] = this.#strangers;
          this.#strangers.delete(oldest);
          tryClose(oldest);
        }
        this.#conns.add(conn);
        this.#strangers.add(conn);
        this.#serve(conn).catch(() => {}).finally(() => {
          this.#conns.delete(conn);
          tryClose(conn);
        });
      }
    } catch {
      // the listener was closed
    }
  }

  async #serve(conn: Deno.Conn): Promise<void> {
    setNoDelay(conn);
    let session;
    try {
      session = (await challenge(conn, this.#key, [STORE_LABEL])).session;
    } finally {
      this.#strangers.delete(conn);
    }
    const channel = await SecureChannel.open(conn, session, true);
    const member: Member = { rank: undefined };
    try {
      for (let message; (message = await channel.receive()) !== undefined;) {
        let answer: Answer = "error";
        let value: Bytes = new Uint8Array();
        try {
          [answer, value] = await this.#answer(parseRequest(message), member);
        } catch (error) {
          value = encode((error as Error).message);
        }
        const text = concat(new Uint8Array([ANSWERS.indexOf(answer)]), value);
        await withDeadline(SEND_MS, "peer to take its answer", () => channel.send(text));
      }
    } finally {
      if (member.rank !== undefined) this.#watch?.broken(member.rank);
    }
  }

  async #answer(
    { op, key, seconds, value }: Request,
    member: Member,
  ): Promise<[Answer, Bytes]> {
    const present = this.#table.get(key);
    const handlers: Record<Op, () => [Answer, Bytes] | Promise<[Answer, Bytes]>> = {
      set: () => {
        this.#put(key, value);
        return ["value", new Uint8Array()];
      },
      get: () => present === undefined ? ["nothing", new Uint8Array()] : ["value", present],
      wait: async () => {
        if (present !== undefined) return ["value", present];
        const found = await this.#wait(key, seconds);
        return found === undefined ? ["late", new Uint8Array()] : ["value", found];
      },
      add: () => {
        const sum = Number(present === undefined ? 0 : decode(present)) + Number(decode(value));
        if (!Number.isSafeInteger(sum)) {
          throw new TypeError(`Cannot add to "${key}": it holds no whole number`);
        }
        this.#put(key, encode(String(sum)));
        return ["value", encode(String(sum))];
      },
      compareAndSet: () => {
        const { expected, desired } = parseExchange(value);
        if (!sameBytes(present, expected)) {
          return present === undefined ? ["nothing", new Uint8Array()] : ["value", present];
        }
        this.#put(key, desired);
        return ["value", desired];
      },
      remove: () => {
        this.#table.delete(key);
        return present === undefined ? ["nothing", new Uint8Array()] : ["value", present];
      },
      beat: async () => {
        const beat = JSON.parse(decode(value)) as Beat;
        member.rank = beat.rank;
        const news = await this.#watching().beat(beat, seconds * 1000);
        if (news === undefined) return ["late", new Uint8Array()];
        return ["value", encode(JSON.stringify(news))];
      },
      report: async () => {
        const failure = await this.#watching().report(readReport(JSON.parse(decode(value))));
        return ["value", encode(JSON.stringify(failure))];
      },
      bye: () => {
        this.#watching().left(Number(decode(value)));
        return ["value", new Uint8Array()];
      },
    };
    return await handlers[op]();
  }

  #watching(): GroupWatch {
    if (this.#watch === undefined) throw new TypeError("Cannot watch ranks: this store does not");
    return this.#watch;
  }

  #put(key: string, value: Bytes): void {
    if (!this.#table.has(key) && this.#table.size >= MAX_ENTRIES) {
      throw new RangeError(`Cannot set "${key}": the store holds ${MAX_ENTRIES} entries already`);
    }
    this.#table.set(key, value);
    for (const wake of this.#waiting.get(key) ?? []) wake(value);
    this.#waiting.delete(key);
  }

  #wait(key: string, seconds: number): Promise<Bytes | undefined> {
    return new Promise((done) => {
      const waiters = this.#waiting.get(key) ?? new Set();
      this.#waiting.set(key, waiters);
      const wake = (value?: Bytes) => {
        clearTimeout(timer);
        waiters.delete(wake);
        done(value);
      };
      const timer = setTimeout(wake, seconds * 1000);
      waiters.add(wake);
    });
  }
}

function sameBytes(a: Bytes | undefined, b: Bytes | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}
