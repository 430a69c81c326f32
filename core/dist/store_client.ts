/** The side of a rank that asks the store. */
import {
  importSecret,
  prove,
  Refused,
  SecureChannel,
  setNoDelay,
  STORE_LABEL,
  tryClose,
} from "./auth.ts";
import { sleep, TimedOut, withDeadline } from "./deadline.ts";
import { type Failure, type FailureReport, readFailure } from "./failure.ts";
import type { StoreAddress } from "./store.ts";
import type { Beat } from "./watch.ts";
import {
  type Answer,
  ANSWERS,
  type Bytes,
  decode,
  encode,
  formatExchange,
  formatRequest,
  type Op,
} from "./store_messages.ts";

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
        const session = await prove(conn, key, STORE_LABEL);
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
   * Sets a key to `desired` if it still holds `expected`; `undefined` expects that it is not set.
   *
   * @returns What the key holds now: `desired` if the exchange took place, otherwise what was there
   */
  compareAndSet(
    key: string,
    expected: string | Bytes | undefined,
    desired: string | Bytes,
  ): Promise<Bytes | undefined> {
    const bytes = (value: string | Bytes) => typeof value === "string" ? encode(value) : value;
    const old = expected === undefined ? undefined : bytes(expected);
    return this.#call("compareAndSet", key, formatExchange(old, bytes(desired)));
  }

  /** Removes a key and returns what it held. */
  remove(key: string): Promise<Bytes | undefined> {
    return this.#call("remove", key);
  }

  /**
   * Says that this rank is alive, and waits for a failure of the group.
   *
   * @param patience Seconds beyond `seconds` after which the main rank is taken for lost
   * @returns The failure; `undefined` when there was none for so many seconds; `"closed"` when the main rank has left
   */
  async beat(
    beat: Beat,
    seconds: number,
    patience: number,
  ): Promise<Failure | "closed" | undefined> {
    try {
      const value = await this.#call(
        "beat",
        "beat",
        encode(JSON.stringify(beat)),
        seconds,
        patience,
      );
      const news = JSON.parse(decode(value!));
      return news === "closed" ? news : readFailure(news);
    } catch (error) {
      if (error instanceof TimedOut && !this.#broken) return undefined;
      throw error;
    }
  }

  /** Reports a failure and returns the one that the group has agreed on. */
  async report(report: FailureReport, seconds: number): Promise<Failure> {
    const value = encode(JSON.stringify(report));
    return readFailure(JSON.parse(decode((await this.#call("report", "report", value, seconds))!)));
  }

  /** Says that the end of a rank's connections is no failure. */
  async bye(rank: number): Promise<void> {
    await this.#call("bye", "bye", encode(String(rank)), 1);
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
    patience = 2,
  ): Promise<Bytes | undefined> {
    const request = formatRequest({ op, key, seconds, value });
    const run = async () => {
      if (this.#broken) throw new Error(`Cannot ask the store for "${key}": ${this.#broken}`);
      try {
        return await withDeadline(
          (seconds + patience) * 1000,
          `store's answer about "${key}"`,
          () => {
            return this.#exchange(request, key, seconds);
          },
        );
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
