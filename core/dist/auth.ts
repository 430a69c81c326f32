/**
 * Who may talk to a rank: a mutual HMAC-SHA256 challenge with the launch secret, which itself is never sent. The labels
 * and both nonces are part of every proof, so a recorded handshake opens nothing.
 */
import { withDeadline } from "./deadline.ts";

/** Label of connections to the store. */
export const STORE_LABEL = "store";
const NONCE = 32;
const PROOF = 32;
const MAGIC = new TextEncoder().encode("pta1");
/** Longest time that an unproven peer may take, in milliseconds. */
export const HANDSHAKE_MS = 5000;

/** Largest encrypted message, in bytes. */
export const MAX_MESSAGE = (1 << 20) + 1024;

/** Imports the launch secret for the calls below. */
export function importSecret(secret: string): Promise<CryptoKey> {
  if (secret.length < 16) {
    return Promise.reject(
      new RangeError(
        secret === ""
          ? "Cannot join the ranks: PTA_LAUNCH_SECRET is not set; start them with @pta/launch, or set the same random text on all"
          : "Cannot join the ranks: PTA_LAUNCH_SECRET is shorter than 16 characters",
      ),
    );
  }
  const raw = new TextEncoder().encode(secret);
  return crypto.subtle.importKey("raw", raw, { name: "HMAC", hash: "SHA-256" }, false, [
    "sign",
    "verify",
  ]);
}

/** What a completed handshake leaves: material for the keys of one connection. */
export interface Session {
  readonly keyBytes: ArrayBuffer;
}

/**
 * The accepting side of the challenge. Several labels may be acceptable; the proof says which one it is.
 *
 * @returns The session and the label that the peer proved
 * @throws {Error} If the peer does not prove that it knows the secret and one of the labels
 */
export async function challenge(
  conn: Deno.Conn,
  key: CryptoKey,
  labels: readonly string[],
): Promise<{ session: Session; label: string }> {
  return await withDeadline(HANDSHAKE_MS, "handshake", async () => {
    const mine = crypto.getRandomValues(new Uint8Array(NONCE));
    await writeAll(conn, concat(MAGIC, mine));
    const answer = new Uint8Array(NONCE + PROOF);
    await readFull(conn, answer);
    const theirs = answer.slice(0, NONCE);
    for (const label of labels) {
      const text = transcript("client", label, mine, theirs);
      if (!await crypto.subtle.verify("HMAC", key, answer.slice(NONCE), text)) continue;
      await writeAll(conn, await sign(key, transcript("server", label, mine, theirs)));
      return { session: await session(key, label, mine, theirs), label };
    }
    throw new Error("Cannot admit the peer: its proof is wrong");
  });
}

/**
 * The connecting side of the challenge.
 *
 * @throws {Error} If the peer is not the one looked for, or has another secret
 */
export async function prove(conn: Deno.Conn, key: CryptoKey, label: string): Promise<Session> {
  return await withDeadline(HANDSHAKE_MS, "handshake", async () => {
    const hello = new Uint8Array(MAGIC.length + NONCE);
    await readFull(conn, hello);
    if (MAGIC.some((byte, i) => hello[i] !== byte)) {
      throw new Error("Cannot join: something else answers at that address");
    }
    const theirs = hello.slice(MAGIC.length);
    const mine = crypto.getRandomValues(new Uint8Array(NONCE));
    const proof = await sign(key, transcript("client", label, theirs, mine));
    await writeAll(conn, concat(mine, proof));
    const answer = new Uint8Array(PROOF);
    try {
      await readFull(conn, answer);
    } catch {
      throw new Refused("Cannot join: the peer refused the proof; PTA_LAUNCH_SECRET differs");
    }
    const text = transcript("server", label, theirs, mine);
    if (!await crypto.subtle.verify("HMAC", key, answer, text)) {
      throw new Refused("Cannot join: the peer's own proof is wrong; PTA_LAUNCH_SECRET differs");
    }
    return await session(key, label, theirs, mine);
  });
}

/** The handshake failed for good; trying again is of no use. */
export class Refused extends Error {}

/** Messages of one connection, encrypted and numbered in each direction (AES-256-GCM). */
export class SecureChannel {
  #conn: Deno.Conn;
  #key: CryptoKey;
  #sendSide: number;
  #sent = 0;
  #received = 0;

  private constructor(conn: Deno.Conn, key: CryptoKey, sendSide: number) {
    this.#conn = conn;
    this.#key = key;
    this.#sendSide = sendSide;
  }

  /** Makes the channel of a completed handshake. */
  static async open(conn: Deno.Conn, session: Session, isServer: boolean): Promise<SecureChannel> {
    const key = await crypto.subtle.importKey("raw", session.keyBytes, "AES-GCM", false, [
      "encrypt",
      "decrypt",
    ]);
    return new SecureChannel(conn, key, isServer ? 1 : 0);
  }

  async send(message: Uint8Array<ArrayBuffer>): Promise<void> {
    const iv = nonce(this.#sendSide, this.#sent++);
    const body = await crypto.subtle.encrypt({ name: "AES-GCM", iv }, this.#key, message);
    const frame = new Uint8Array(4 + body.byteLength);
    new DataView(frame.buffer).setUint32(0, body.byteLength);
    frame.set(new Uint8Array(body), 4);
    await writeAll(this.#conn, frame);
  }

  /**
   * Waits for the next message. Once its first bytes are there, the rest must follow within five seconds.
   *
   * @returns The message, or `undefined` when the peer has closed between two messages
   * @throws {RangeError} If the message is too long
   * @throws {Error} If it was not made by the peer
   */
  async receive(): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const head = new Uint8Array(4);
    const first = await this.#conn.read(head);
    if (first === null) return undefined;
    return await withDeadline(HANDSHAKE_MS, "message", async () => {
      await readFull(this.#conn, head.subarray(first));
      const length = new DataView(head.buffer).getUint32(0);
      if (length > MAX_MESSAGE) {
        throw new RangeError(`Cannot read a message of ${length} bytes: at most ${MAX_MESSAGE}`);
      }
      const body = new Uint8Array(length);
      await readFull(this.#conn, body);
      const iv = nonce(1 - this.#sendSide, this.#received++);
      try {
        return new Uint8Array(
          await crypto.subtle.decrypt({ name: "AES-GCM", iv }, this.#key, body),
        );
      } catch {
        throw new Error("Cannot read the message: it was not made by the peer");
      }
    });
  }
}

/** Reads exactly as many bytes as `into` holds. */
export async function readFull(conn: Deno.Conn, into: Uint8Array): Promise<void> {
  for (let at = 0; at < into.length;) {
    const n = await conn.read(into.subarray(at));
    if (n === null) throw new Deno.errors.UnexpectedEof("Connection closed");
    at += n;
  }
}

/** Writes all bytes. */
export async function writeAll(conn: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await conn.write(bytes.subarray(at));
}

function transcript(role: string, label: string, server: Uint8Array, client: Uint8Array) {
  return concat(new TextEncoder().encode(`pta ${role}\0${label}\0`), server, client);
}

async function sign(key: CryptoKey, text: Uint8Array<ArrayBuffer>) {
  return new Uint8Array(await crypto.subtle.sign("HMAC", key, text));
}

async function session(key: CryptoKey, label: string, server: Uint8Array, client: Uint8Array) {
  const text = transcript("session", label, server, client);
  return { keyBytes: await crypto.subtle.sign("HMAC", key, text) };
}

/** Side and message number: a key never sees the same nonce twice. */
function nonce(side: number, count: number): Uint8Array<ArrayBuffer> {
  const iv = new Uint8Array(12);
  iv[0] = side;
  new DataView(iv.buffer).setBigUint64(4, BigInt(count));
  return iv;
}

/** The parts, one after the other. */
export function concat(...parts: Uint8Array[]): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(parts.reduce((n, p) => n + p.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
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
