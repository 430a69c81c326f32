/** The store among strangers: whoever does not know the secret gets nothing, changes nothing and delays nobody. */
import { assert, assertEquals } from "@std/assert";
import { tryClose } from "../core/dist/auth.ts";
import { StoreServer } from "../core/dist/store.ts";
import { StoreClient } from "../core/dist/store_client.ts";

const SECRET = "a secret of a launch, 32 bytes..";
const CLIENTS = 64;
/** What a stranger may delay a rank by, in milliseconds. */
const DELAY_MS = 1000;

type Conn = Deno.TcpConn;
type Bytes = Uint8Array<ArrayBuffer>;
interface Attack {
  /** Runs until `stop.now`, and returns how many bytes the strangers have read beyond the greeting. */
  run(server: StoreServer, stop: { now: boolean }, recorded: Bytes): Promise<number>;
}

/** Everything that the peer sends until it closes. */
async function drain(conn: Conn): Promise<Uint8Array> {
  const parts: Uint8Array<ArrayBuffer>[] = [];
  const part = new Uint8Array(4096);
  try {
    for (let n; (n = await conn.read(part)) !== null;) parts.push(part.slice(0, n));
  } catch {
    // closed by force
  }
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}

const GREETING = 36;
const beyond = (bytes: Uint8Array) => Math.max(0, bytes.length - GREETING);

/** What an honest client says in its handshake and after it. */
async function record(server: StoreServer): Promise<Bytes> {
  const proxy = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const said: Uint8Array<ArrayBuffer>[] = [];
  const relay = (async () => {
    const client = await proxy.accept();
    const upstream = await Deno.connect(server.address);
    const tap = new TransformStream<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>>({
      transform(chunk, to) {
        said.push(chunk.slice());
        to.enqueue(chunk);
      },
    });
    await Promise.allSettled([
      client.readable.pipeThrough(tap).pipeTo(upstream.writable),
      upstream.readable.pipeTo(client.writable),
    ]);
  })();
  const address = { hostname: "127.0.0.1", port: proxy.addr.port };
  const client = await StoreClient.connect(address, SECRET, 20);
  await client.set("guarded", "recorded");
  client.close();
  await relay;
  proxy.close();
  return new Uint8Array(await new Blob(said).arrayBuffer());
}

const GIGABYTE = 1 << 30;

const attacks: Record<string, Attack> = {
  "without the secret": {
    async run(server, stop) {
      while (!stop.now) {
        const refused = await StoreClient.connect(
          server.address,
          "another secret, just as long",
          20,
        )
          .then((client) => (client.close(), false), () => true);
        if (!refused) return 1;
      }
      return 0;
    },
  },
  "with a recorded handshake": {
    async run(server, stop, recorded) {
      let got = 0;
      while (!stop.now) {
        const conn = await Deno.connect(server.address);
        await conn.write(recorded).catch(() => {});
        got += beyond(await drain(conn));
        conn.close();
      }
      return got;
    },
  },
  "with a gigabyte": {
    async run(server, stop) {
      const chunk = new Uint8Array(1 << 20).fill(7);
      let got = 0;
      while (!stop.now) {
        const conn = await Deno.connect(server.address);
        const answer = drain(conn);
        try {
          for (let sent = 0; sent < GIGABYTE; sent += await conn.write(chunk));
          throw new RangeError("the store has taken a gigabyte");
        } catch (error) {
          // the store hangs up after the first 64 bytes
          if (error instanceof RangeError) throw error;
        }
        got += beyond(await answer);
        tryClose(conn);
      }
      return got;
    },
  },
  "with silence": {
    async run(server, stop) {
      // more of them than the store will listen to
      const conns: Conn[] = [];
      const drains: Promise<Uint8Array>[] = [];
      while (!stop.now) {
        const conn = await Deno.connect(server.address);
        conns.push(conn);
        drains.push(drain(conn));
        if (conns.length > 400) tryClose(conns.shift()!);
      }
      conns.forEach(tryClose);
      return (await Promise.all(drains)).reduce((sum, bytes) => sum + beyond(bytes), 0);
    },
  },
};

/** Each client sets, gets and waits; returns the longest time of one call. */
async function work(clients: StoreClient[], rounds: number): Promise<number> {
  let longest = 0;
  await Promise.all(clients.map(async (client, i) => {
    for (let round = 0; round < rounds; round++) {
      const begin = performance.now();
      await client.set(`rank ${i}`, `${round}`);
      assertEquals(await client.waitText(`rank ${i}`), `${round}`);
      longest = Math.max(longest, performance.now() - begin);
    }
  }));
  return longest;
}

for (const [name, attack] of Object.entries(attacks)) {
  Deno.test(`store: a stranger ${name} gets nothing while ${CLIENTS} ranks work`, async () => {
    const server = await StoreServer.listen({ hostname: "127.0.0.1", port: 0 }, SECRET);
    const clients = await Promise.all(
      Array.from({ length: CLIENTS }, () => StoreClient.connect(server.address, SECRET, 30)),
    );
    await work(clients, 2);
    const alone = await work(clients, 5);
    // the recording itself is an honest client
    const recorded = await record(server);
    assertEquals(await clients[0].waitText("guarded"), "recorded");
    await clients[0].set("guarded", "untouched");

    const stop = { now: false };
    const attackers = Array.from({ length: 2 }, () => attack.run(server, stop, recorded));
    const begin = performance.now();
    const late = await StoreClient.connect(server.address, SECRET, 30);
    const joined = performance.now() - begin;
    late.close();
    const attacked = await work(clients, 5);
    stop.now = true;
    const got = await Promise.all(attackers);

    assertEquals(got, [0, 0]);
    assertEquals(await clients[0].waitText("guarded"), "untouched");
    const text = `alone ${alone} ms, attacked ${attacked} ms, a late rank joins in ${joined} ms`;
    assert(attacked - alone < DELAY_MS && joined < DELAY_MS + alone, text);
    for (const client of clients) client.close();
    server.close();
    await new Promise((go) => setTimeout(go, 50));
  });
}
