/**
 * The rendezvous: a small table on the main rank by which ranks find each other and exchange what must be known before
 * they can talk directly. Only holders of the launch secret get in, and what they say is encrypted.
 *
 * @module
 */
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
  parseRequest,
  type Request,
} from "./store_messages.ts";

const MAX_ENTRIES = 1 << 16;
const MAX_STRANGERS = 256;

/** Where a store listens. */
export interface StoreAddress {
  readonly hostname: string;
  readonly port: number;
}

/** The table itself, on one rank. */
export class StoreServer {
  readonly address: StoreAddress;
  #listener: Deno.Listener;
  #key: CryptoKey;
  #table = new Map<string, Bytes>();
  #waiting = new Map<string, Set<(value: Bytes) => void>>();
  #conns = new Set<Deno.Conn>();
  #strangers = 0;

  private constructor(listener: Deno.Listener, key: CryptoKey) {
    this.#listener = listener;
    this.#key = key;
    const { hostname, port } = listener.addr as Deno.NetAddr;
    this.address = { hostname, port };
  }

  /**
   * Starts to listen.
   *
   * @param secret At least 16 characters; the same on all ranks
   * @throws {RangeError} If the secret is missing or short
   * @throws {Error} If the port is taken
   */
  static async listen(address: StoreAddress, secret: string): Promise<StoreServer> {
    const key = await importSecret(secret);
    let listener;
    try {
      listener = Deno.listen({ transport: "tcp", ...address });
    } catch (cause) {
      const where = `${address.hostname}:${address.port}`;
      const why = cause instanceof Deno.errors.AddrInUse
        ? "the port is taken"
        : (cause as Error).message;
      throw new Error(`Cannot open the rendezvous at ${where}: ${why}`, { cause });
    }
    const server = new StoreServer(listener, key);
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
        if (this.#strangers >= MAX_STRANGERS) {
          tryClose(conn);
          continue;
        }
        this.#conns.add(conn);
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
    this.#strangers++;
    let session;
    try {
      session = (await challenge(conn, this.#key, [STORE_LABEL])).session;
    } finally {
      this.#strangers--;
    }
    const channel = await SecureChannel.open(conn, session, true);
    for (let message; (message = await channel.receive()) !== undefined;) {
      let answer: Answer = "error";
      let value: Bytes = new Uint8Array();
      try {
        [answer, value] = await this.#answer(parseRequest(message));
      } catch (error) {
        value = encode((error as Error).message);
      }
      await channel.send(concat(new Uint8Array([ANSWERS.indexOf(answer)]), value));
    }
  }

  async #answer({ op, key, seconds, value }: Request): Promise<[Answer, Bytes]> {
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
    };
    return await handlers[op]();
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
