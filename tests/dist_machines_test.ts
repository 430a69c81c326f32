/** Several machines: one that dies, a slow link, a partition that heals and one that does not. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { alive, finish, type LaunchResult } from "./launcher.ts";
import { machineKind, Machines } from "./machines.ts";

const kind = machineKind();
const hasLink = kind === "network namespaces";
const script = (steps: number, floats: number, pause: number) => [
  "tests/fixtures/machine_rank.ts",
  ...[steps, floats, pause].map(String),
];

/** The output of a launcher while it runs. */
class Watched {
  text = "";
  readonly #child: Deno.ChildProcess;
  readonly #reading: Promise<void>;
  #changed = Promise.withResolvers<void>();

  constructor(child: Deno.ChildProcess) {
    this.#child = child;
    this.#reading = Promise.all([this.#read(child.stdout), this.#read(child.stderr)]).then(
      () => {},
    );
  }

  async until(pattern: RegExp): Promise<void> {
    while (!pattern.test(this.text)) {
      const ended = await Promise.race([
        this.#changed.promise,
        this.#reading.then(() => !pattern.test(this.text)),
      ]);
      if (ended) throw new Error(`Ended before ${pattern}:\n${this.text}`);
    }
  }

  /** Kills the launcher and its ranks. */
  killAll(): void {
    this.#child.kill("SIGKILL");
    for (const pid of alive(this.text)) Deno.kill(pid, "SIGKILL");
  }

  async end(limit: number): Promise<number> {
    const timer = setTimeout(() => this.killAll(), 1000 * limit);
    const { code } = await this.#child.status;
    clearTimeout(timer);
    await this.#reading;
    return code;
  }

  async #read(stream: ReadableStream<Uint8Array>): Promise<void> {
    for await (const part of stream.pipeThrough(new TextDecoderStream())) {
      this.text += part;
      this.#changed.resolve();
      this.#changed = Promise.withResolvers();
    }
  }
}

const port = () => 20_000 + Math.floor(Math.random() * 10_000);

Deno.test(`machines (${kind}): four ranks on two of them`, async () => {
  using machines = Machines.create();
  const options = { ranks: 4, port: port() };
  const args = ["tests/fixtures/comm_rank.ts", "open"];
  const results: LaunchResult[] = await Promise.all(
    ([0, 1] as const).map((m) => finish(machines.launch(m, args, {}, options), 60)),
  );
  for (const { code, err } of results) assertEquals([code, err], [0, ""]);
  assertMatch(results[1].out, /rank 3 of 4: open ok/);
});

Deno.test(`machines (${kind}): one that is not there is named in time`, async () => {
  using machines = Machines.create();
  // nobody has this address: packets vanish, or are refused
  const main = hasLink ? machines.addresses[0].replace(/\d+$/, "77") : "127.0.0.77";
  const options = { port: port(), main };
  const env = { PTA_COMM_TIMEOUT: "4" };
  const child = machines.launch(1, script(1, 10, 0), env, options);
  const { code, err, seconds } = await finish(child, 60);
  assertEquals(code, 1);
  assert(seconds < 30, `${seconds} s`);
  assertMatch(err, new RegExp(`Cannot reach the rendezvous at ${main}:${options.port} in 4 s`));
});

Deno.test(`machines (${kind}): one that dies is named, by the heartbeat when no word gets through`, async () => {
  using machines = Machines.create();
  const options = { port: port() };
  const env = { PTA_HEARTBEAT_TIMEOUT: "4" };
  const [first, second] = ([0, 1] as const).map((m) =>
    new Watched(machines.launch(m, script(10_000, 1000, 20), env, options))
  );
  await Promise.all([first.until(/step 3 /), second.until(/step 3 /)]);
  // no farewell passes a cut link
  if (hasLink) machines.setLink(false, []);
  const begin = performance.now();
  second.killAll();
  const code = await first.end(40);
  const seconds = (performance.now() - begin) / 1000;
  assertEquals(code, 1, first.text);
  assertMatch(
    first.text,
    /Lost rank 1 in allReduce.*: (no heartbeat for \d|its connection is closed)/,
  );
  assertMatch(first.text, /^Rank 1 of 2 stopped answering/m);
  assert(seconds < 20, `${seconds} s`);
  await second.end(10);
  assertEquals(alive(first.text + second.text), []);
});

Deno.test({
  name: `machines (${kind}): a partition that does not heal ends both sides`,
  ignore: !hasLink,
  fn: async () => {
    using machines = Machines.create();
    const options = { port: port() };
    const env = { PTA_HEARTBEAT_TIMEOUT: "4" };
    const both = ([0, 1] as const).map((m) =>
      new Watched(machines.launch(m, script(10_000, 1000, 20), env, options))
    );
    await Promise.all(both.map((one) => one.until(/step 3 /)));
    machines.setLink(false, alive(both[1].text));
    const codes = await Promise.all(both.map((one) => one.end(40)));
    assertEquals(codes, [1, 1]);
    assertMatch(both[0].text, /Lost rank 1 in allReduce/);
    assertMatch(both[1].text, /Lost rank 0 in allReduce.*: no answer for \d/);
    assertEquals(alive(both[0].text + both[1].text), []);
  },
});

Deno.test(`machines (${kind}): a partition that heals is waited for`, async () => {
  using machines = Machines.create();
  const options = { port: port() };
  const both = ([0, 1] as const).map((m) =>
    new Watched(machines.launch(m, script(200, 1000, 20), {}, options))
  );
  await Promise.all(both.map((one) => one.until(/step 3 /)));
  const pids = alive(both[1].text);
  machines.setLink(false, pids);
  await new Promise((go) => setTimeout(go, 3000));
  machines.setLink(true, pids);
  const codes = await Promise.all(both.map((one) => one.end(60)));
  assertEquals(codes, [0, 0], both[0].text);
  const longest = Math.max(
    ...[...both[0].text.matchAll(/took (\d+) ms/g)].map((m) => Number(m[1])),
  );
  assert(longest > 2000, `the link was never down: ${longest} ms at most`);
  for (const one of both) assertMatch(one.text, /^done$/m);
});

Deno.test({
  name: `machines (${kind}): a slow link is no failure, however long it takes`,
  ignore: !hasLink,
  fn: async () => {
    using machines = Machines.create();
    machines.setRate(16);
    const options = { port: port() };
    // 12 MB each way at 2 MB/s take longer than the longest standstill
    const env = { PTA_COMM_TIMEOUT: "3", PTA_HEARTBEAT_TIMEOUT: "4" };
    const results = await Promise.all(
      ([0, 1] as const).map((m) => finish(machines.launch(m, script(1, 3e6, 0), env, options), 80)),
    );
    assertEquals(results.map(({ code }) => code), [0, 0], results[0].err);
    const took = Number(/step 0 took (\d+) ms/.exec(results[0].out)?.[1]);
    assert(took > 3500, `the link was not slow: ${took} ms`);
  },
});
