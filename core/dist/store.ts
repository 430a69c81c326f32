/**
 * The rendezvous: a small table on the main rank by which ranks find each other and exchange what must be known before
 * they can talk directly. Only holders of the launch secret get in, and what they say is encrypted.
 *
 * @module
 */
import { challenge, concat, importSecret, prove, Refused, SecureChannel } from "./auth.ts";
import { sleep, TimedOut, withDeadline } from "./deadline.ts";

const LABEL = "store";
/** Longest key, in bytes of UTF-8. */
export const MAX_KEY = 256;
/** Longest value, in bytes. */
export const MAX_VALUE = 1 << 20;
const MAX_ENTRIES = 1 << 16;
const MAX_STRANGERS = 256;

type Op = "set" | "get" | "wait" | "add";
const OPS: Op[] = ["set", "get", "wait", "add"];
type Answer = "value" | "nothing" | "late" | "error";
const ANSWERS: Answer[] = ["value", "nothing", "late", "error"];
type Bytes = Uint8Array<ArrayBuffer>;

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
      session = (await challenge(conn, this.#key, [LABEL])).session;
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

/** One rank's connection to the store. Calls are answered one after the other. */
export class StoreClient {
  readonly #conn: Deno.TcpConn;
  readonly #channel: SecureChannel;
  readonly #seconds: number;
  #queue: Promise<unknown> = Promise.resolve();
  #broken = "";

  private constructor(conn: Deno.TcpConn, channel: SecureChannel, seconds: number) {
    this.#conn = conn;
    this.#channel = channel;
    this.#seconds = seconds;
  }

  /**
   * Connects, and tries again while nobody listens yet.
   *
   * @param seconds Deadline of this call, and the default of all later ones
   * @throws {Error} If the store does not answer in time or has another secret
   */
  static async connect(
    address: StoreAddress,
    secret: string,
    seconds: number,
  ): Promise<StoreClient> {
    const key = await importSecret(secret);
    const end = Date.now() + seconds * 1000;
    const where = `${address.hostname}:${address.port}`;
    for (let last = "nobody listens";;) {
      let conn: Deno.TcpConn | undefined;
      const left = end - Date.now();
      try {
        if (left <= 0) throw new TimedOut(last);
        conn = await withDeadline(left, "connection", () => Deno.connect(address));
        setNoDelay(conn);
        const session = await prove(conn, key, LABEL);
        return new StoreClient(conn, await SecureChannel.open(conn, session, false), seconds);
      } catch (error) {
        if (conn) tryClose(conn);
        if (error instanceof Refused || error instanceof Deno.errors.NotCapable) throw error;
        if (Date.now() >= end) {
          throw new TimedOut(
            `Cannot reach the rendezvous at ${where} in ${seconds} s: ${last}`,
          );
        }
        last = (error as Error).message;
        await sleep(30);
      }
    }
  }

  /** This side's own address, by which the host of the store can be reached from here. */
  get localHostname(): string {
    return (this.#conn.localAddr as Deno.NetAddr).hostname;
  }

  /** Sets a value of at most 1 MiB. */
  async set(key: string, value: string | Bytes): Promise<void> {
    await this.#call("set", key, typeof value === "string" ? encode(value) : value);
  }

  /** The value of a key, or `undefined` when it is not set. */
  get(key: string): Promise<Bytes | undefined> {
    return this.#call("get", key);
  }

  /**
   * Waits until a key is set.
   *
   * @throws {TimedOut} If it is not set in time
   */
  async wait(key: string, seconds = this.#seconds): Promise<Bytes> {
    return (await this.#call("wait", key, undefined, seconds))!;
  }

  /** `wait` for a value that is text. */
  async waitText(key: string, seconds = this.#seconds): Promise<string> {
    return decode(await this.wait(key, seconds));
  }

  /** Adds to a whole number (0 when not set) and returns the sum. */
  async add(key: string, amount: number): Promise<number> {
    return Number(decode((await this.#call("add", key, encode(String(amount))))!));
  }

  /**
   * Waits until `count` callers have called it with this name; may be used again with the same name.
   *
   * @throws {TimedOut} If they do not come in time
   */
  async barrier(name: string, count: number, seconds = this.#seconds): Promise<void> {
    const arrived = await this.add(`barrier/${name}`, 1);
    const gate = `barrier/${name}/${Math.floor((arrived - 1) / count)}`;
    if (arrived % count === 0) await this.set(gate, "open");
    await this.wait(gate, seconds);
  }

  /** Closes the connection. */
  close(): void {
    this.#broken ||= "it is closed";
    tryClose(this.#conn);
  }

  #call(
    op: Op,
    key: string,
    value: Bytes = new Uint8Array(),
    seconds = this.#seconds,
  ): Promise<Bytes | undefined> {
    const request = formatRequest({ op, key, seconds, value });
    const run = async () => {
      if (this.#broken) throw new Error(`Cannot ask the store for "${key}": ${this.#broken}`);
      try {
        return await withDeadline(seconds * 1000 + 2000, `store's answer about "${key}"`, () => {
          return this.#exchange(request, key, seconds);
        });
      } catch (error) {
        // an answer that comes late would be taken for that of the next call
        if (!(error instanceof StoreError)) {
          this.#broken ||= "the connection is lost";
          tryClose(this.#conn);
        }
        if (error instanceof StoreError && error.late) throw new TimedOut(error.message);
        throw error;
      }
    };
    const result = this.#queue.then(run);
    this.#queue = result.catch(() => {});
    return result;
  }

  async #exchange(request: Bytes, key: string, seconds: number): Promise<Bytes | undefined> {
    await this.#channel.send(request);
    const message = await this.#channel.receive();
    if (message === undefined) {
      throw new Error(`Cannot ask the store for "${key}": the main rank has closed it`);
    }
    const value = message.slice(1);
    const answers: Record<Answer, () => Bytes | undefined> = {
      value: () => value,
      nothing: () => undefined,
      late: () => {
        throw new StoreError(`Cannot wait longer for "${key}": not set in ${seconds} s`, true);
      },
      error: () => {
        throw new StoreError(decode(value), false);
      },
    };
    return answers[ANSWERS[message[0]]]();
  }
}

/** The store has answered with an error; the connection is in order. */
class StoreError extends Error {
  constructor(message: string, readonly late: boolean) {
    super(message);
  }
}

interface Request {
  readonly op: Op;
  readonly key: string;
  readonly seconds: number;
  readonly value: Bytes;
}

// op (1), length of the key (2), seconds (8), key, value
const HEAD = 11;

function formatRequest({ op, key, seconds, value }: Request): Bytes {
  const name = encode(key);
  if (name.length === 0 || name.length > MAX_KEY) {
    throw new RangeError(`Cannot use a key of ${name.length} bytes: wanted 1 to ${MAX_KEY}`);
  }
  if (value.length > MAX_VALUE) {
    throw new RangeError(
      `Cannot set "${key}" to ${value.length} bytes: at most ${MAX_VALUE}`,
    );
  }
  const head = new DataView(new ArrayBuffer(HEAD));
  head.setUint8(0, OPS.indexOf(op));
  head.setUint16(1, name.length);
  head.setFloat64(3, seconds);
  return concat(new Uint8Array(head.buffer), name, value);
}

function parseRequest(message: Bytes): Request {
  if (message.length < HEAD) throw new SyntaxError("Cannot read the request: too short");
  const head = new DataView(message.buffer);
  const op = OPS[head.getUint8(0)];
  const length = head.getUint16(1);
  const seconds = head.getFloat64(3);
  if (op === undefined || length > MAX_KEY || HEAD + length > message.length) {
    throw new SyntaxError("Cannot read the request: malformed");
  }
  if (!(seconds >= 0 && seconds <= 1e6)) {
    throw new RangeError(`Cannot wait ${seconds} s: wanted 0 to 1000000`);
  }
  const key = decode(message.slice(HEAD, HEAD + length));
  const value = message.slice(HEAD + length);
  if (value.length > MAX_VALUE) throw new RangeError(`Cannot set "${key}": value too long`);
  return { op, key, seconds, value };
}

function encode(text: string): Bytes {
  return new TextEncoder().encode(text);
}

function decode(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}

/** Small messages must not wait for larger ones. */
export function setNoDelay(conn: Deno.Conn): void {
  if ("setNoDelay" in conn) (conn as Deno.TcpConn).setNoDelay(true);
}

/** Closes what may be closed already. */
export function tryClose(resource: { close(): void }): void {
  try {
    resource.close();
  } catch {
    // closed before
  }
}
