import { assert, assertEquals, assertRejects } from "@std/assert";
import { TimedOut } from "../core/dist/deadline.ts";
import { StoreServer } from "../core/dist/store.ts";
import { StoreClient } from "../core/dist/store_client.ts";
import { MAX_KEY, MAX_VALUE } from "../core/dist/store_messages.ts";

const SECRET = "a secret of a launch, 32 bytes..";

async function withStore(
  clients: number,
  body: (clients: StoreClient[], server: StoreServer) => Promise<void>,
): Promise<void> {
  const server = await StoreServer.listen({ hostname: "127.0.0.1", port: 0 }, SECRET);
  const connected = await Promise.all(
    Array.from({ length: clients }, () => StoreClient.connect(server.address, SECRET, 5)),
  );
  try {
    await body(connected, server);
  } finally {
    for (const client of connected) client.close();
    server.close();
    // sockets close in the background
    await new Promise((go) => setTimeout(go, 20));
  }
}

const text = (bytes: Uint8Array | undefined) => bytes && new TextDecoder().decode(bytes);

Deno.test("store: set, get, wait, add", async () => {
  await withStore(2, async ([a, b]) => {
    assertEquals(await b.get("x"), undefined);
    const waiting = b.wait("x");
    await a.set("x", "one");
    assertEquals(text(await waiting), "one");
    await a.set("x", new Uint8Array([1, 0, 255]));
    assertEquals(await b.get("x"), new Uint8Array([1, 0, 255]));
    assertEquals(await Promise.all([a.add("n", 2), a.add("n", 3)]), [2, 5]);
    assertEquals(await b.add("n", -10), -5);
    await assertRejects(() => b.add("x", 1), Error, 'Cannot add to "x": it holds no whole number');
    // the connection has survived the error
    assertEquals(await b.waitText("n"), "-5");
  });
});

Deno.test("store: compare and set lets one of many win", async () => {
  await withStore(8, async (clients) => {
    const [a] = clients;
    const won = await Promise.all(clients.map(async (client, i) => {
      return text(await client.compareAndSet("leader", undefined, `rank ${i}`)) === `rank ${i}`;
    }));
    assertEquals(won.filter((w) => w).length, 1);
    const leader = await a.waitText("leader");
    assertEquals(text(await a.compareAndSet("leader", "somebody else", "me")), leader);
    assertEquals(text(await a.compareAndSet("leader", leader, "me")), "me");
    assertEquals(await a.compareAndSet("nothing there", "something", "me"), undefined);
    assertEquals(text(await a.remove("leader")), "me");
    assertEquals(await a.get("leader"), undefined);
    // counting by compare and set loses nothing
    await Promise.all(clients.map(async (client) => {
      for (let done = 0; done < 5;) {
        const old = text(await client.get("n"));
        const next = String(Number(old ?? 0) + 1);
        const now = text(await client.compareAndSet("n", old, next));
        // a loser may see the same number, set by the winner: each number counts once
        if (now === next && (await client.add(`won ${next}`, 1)) === 1) done++;
      }
    }));
    assertEquals(await a.waitText("n"), "40");
  });
});

Deno.test("store: every wait has a deadline", async () => {
  await withStore(2, async ([a, b]) => {
    await assertRejects(() => a.wait("never", 0.1), TimedOut, 'wait longer for "never"');
    await assertRejects(() => b.barrier("lonely", 2, 0.1), TimedOut, "barrier/lonely/0");
    assertEquals(await a.get("still there"), undefined);
  });
  const unused = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = unused.addr;
  unused.close();
  await assertRejects(
    () => StoreClient.connect({ hostname: "127.0.0.1", port }, SECRET, 0.2),
    TimedOut,
    `Cannot reach the rendezvous at 127.0.0.1:${port} in 0.2 s`,
  );
});

Deno.test("store: barrier, several times", async () => {
  await withStore(4, async (clients) => {
    let arrived = 0;
    for (let round = 1; round <= 3; round++) {
      await Promise.all(clients.map(async (client, i) => {
        await new Promise((go) => setTimeout(go, i * 10));
        arrived++;
        await client.barrier("epoch", 4);
        assertEquals(arrived, 4 * round);
      }));
    }
  });
});

Deno.test("store: lengths are limited on both sides", async () => {
  await withStore(1, async ([a]) => {
    await a.set("k".repeat(MAX_KEY), new Uint8Array(MAX_VALUE));
    assertEquals((await a.get("k".repeat(MAX_KEY)))!.length, MAX_VALUE);
    const set = (key: string, n: number) => a.set(key, new Uint8Array(n));
    await assertRejects(() => set("k".repeat(MAX_KEY + 1), 1), RangeError, "257 bytes");
    await assertRejects(() => set("", 1), RangeError, "0 bytes");
    await assertRejects(() => set("k", MAX_VALUE + 1), RangeError, "1048577 bytes");
  });
});

Deno.test("store: who does not know the secret gets nothing and delays nobody", async () => {
  await withStore(1, async ([a], server) => {
    await a.set("x", "private");
    await assertRejects(
      () => StoreClient.connect(server.address, "another secret, long enough", 5),
      Error,
      "PTA_LAUNCH_SECRET differs",
    );
    await assertRejects(() => StoreClient.connect(server.address, "short", 5), RangeError);
    const conns = [];
    for (const garbage of [new Uint8Array(0), new Uint8Array(5e6).fill(7)]) {
      const conn = await Deno.connect(server.address);
      conns.push(conn);
      // the server closes as soon as it has read a wrong proof
      await conn.write(garbage).catch(() => {});
    }
    const begin = performance.now();
    assertEquals(await a.waitText("x"), "private");
    assert(performance.now() - begin < 1000);
    for (const conn of conns) conn.close();
  });
});

Deno.test("store: a recorded handshake cannot be replayed, and nothing passes in clear", async () => {
  await withStore(0, async (_, server) => {
    // a proxy that records what the client says
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
    const client = await StoreClient.connect(
      { hostname: "127.0.0.1", port: proxy.addr.port },
      SECRET,
      5,
    );
    await client.set("the key", "the value");
    client.close();
    await relay;
    proxy.close();

    const recorded = new Uint8Array(await new Blob(said).arrayBuffer());
    const heard = new TextDecoder("latin1").decode(recorded);
    for (const word of [SECRET, "the key", "the value"]) assert(!heard.includes(word), word);

    const thief = await Deno.connect(server.address);
    const hello = new Uint8Array(36);
    await thief.read(hello);
    await thief.write(recorded);
    const answer = await thief.read(new Uint8Array(100)).catch(() => null);
    assertEquals(answer, null);
    thief.close();
  });
});

Deno.test("store: a taken port is named", async () => {
  await withStore(0, async (_, server) => {
    await assertRejects(
      () => StoreServer.listen(server.address, SECRET),
      Error,
      `Cannot open the rendezvous at 127.0.0.1:${server.address.port}: the port is taken`,
    );
  });
});
