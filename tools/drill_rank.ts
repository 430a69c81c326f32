/** One rank of `deno task drill launch`: takes part in collectives until the moment at which it, or another one, is to fail. */
import { type Comm, initComm } from "../core/dist/comm.ts";

/** What a rank is told. */
export interface RankOrder {
  /** A row of the table below. */
  readonly fault: FaultName;
  /** Which rank it happens on; -1: on all. */
  readonly culprit: number;
  /** After how many steps. */
  readonly step: number;
}

const block = (ms: number) => void Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
const HOUR = 3_600_000;
const signal = (name: Deno.Signal) => () => {
  Deno.kill(Deno.pid, name);
  block(HOUR);
};
const f32 = (n: number) => new Float32Array(n);

type Fault = (comm: Comm) => void | Promise<void>;

/** What goes wrong, at a step that every rank has reached. */
const faults = {
  none: () => {},
  SIGKILL: signal("SIGKILL"),
  SIGTERM: signal("SIGTERM"),
  SIGINT: signal("SIGINT"),
  SIGHUP: signal("SIGHUP"),
  SIGQUIT: signal("SIGQUIT"),
  SIGABRT: signal("SIGABRT"),
  SIGILL: signal("SIGILL"),
  // a signal from outside is not the same: V8 looks where the fault was
  badPointer: () => void new Deno.UnsafePointerView(Deno.UnsafePointer.create(8n)!).getInt32(),
  SIGSTOP: signal("SIGSTOP"),
  throw: () => {
    throw new RangeError("the loss went up");
  },
  throwLater: async () => {
    await new Promise((go) => setTimeout(go, 20));
    throw new TypeError("this batch has no labels");
  },
  throwInTimer: () =>
    void setTimeout(() => {
      throw new Error("a timer has failed");
    }, 0),
  rejection: () => void Promise.reject(new Error("nobody caught this")),
  throwText: () => {
    throw "only a text";
  },
  throwLong: () => {
    throw new Error("long ".repeat(200_000));
  },
  nan: () => {
    const loss = Math.log(-1);
    if (Number.isNaN(loss)) throw new RangeError("Cannot go on: the loss is NaN");
  },
  stackOverflow: () => {
    const deeper = (n: number): number => 1 + deeper(n + 1);
    deeper(0);
  },
  badImport: async () => void await import(`./no_such_${crypto.randomUUID()}.ts`),
  denied: () => void Deno.readTextFileSync("/no/such/file"),
  exit1: () => Deno.exit(1),
  exit77: () => Deno.exit(77),
  exitLate: () => {
    Deno.exitCode = 5;
    Deno.exit();
  },
  // good order, but too early
  leave: (comm) => {
    comm.close();
    block(HOUR);
  },
  abort: (comm) => {
    comm.abort("enough is enough");
    Deno.exit(4);
  },
  heapLimit: () => {
    const kept: number[][] = [];
    while (true) kept.push(new Array(1 << 16).fill(kept.length + 0.5));
  },
  addressLimit: () => {
    const { code } = new Deno.Command("prlimit", {
      args: ["--pid", String(Deno.pid), "--as=40000000000"],
    }).outputSync();
    if (code !== 0) throw new RangeError("prlimit failed");
    const kept: ArrayBuffer[] = [];
    while (true) kept.push(new ArrayBuffer(2 ** 31));
  },
  endlessLoop: () => {
    for (let i = 0;; i = (i + 1) % 7);
  },
  sleep: () => block(HOUR),
  idle: () => new Promise(() => setInterval(() => {}, 1000)),
  shape: (comm) => comm.allReduce(f32(1001)).wait(),
  dtype: (comm) => comm.allReduce(new Float64Array(1000)).wait(),
  reduceOp: (comm) => comm.allReduce(f32(1000), "max").wait(),
  kind: (comm) => comm.allGather(f32(1000), f32(1000 * comm.worldSize)).wait(),
  order: (comm) => {
    comm.barrier();
    comm.allReduce(f32(1000)).wait();
  },
  extra: (comm) => comm.broadcast(f32(10)).wait(),
  root: (comm) => comm.broadcast(f32(1000), 1).wait(),
  manyUnderWay: (comm) => {
    const works = [1000, 1000, 999, 1000].map((n) => comm.allReduce(f32(n)));
    for (const work of works) work.wait();
  },
  skip: () => {},
} satisfies Record<string, Fault>;

/** Name of a fault. */
export type FaultName = keyof typeof faults | `early:${keyof typeof faults}` | "portTaken";

if (import.meta.main) {
  const { fault, culprit, step } = JSON.parse(Deno.args[0]) as RankOrder;
  const own = Number(Deno.env.get("RANK"));
  const isCulprit = culprit === -1 || own === culprit;
  console.log(`pid=${Deno.pid} rank=${own} port=${Deno.env.get("MASTER_PORT")}`);
  if (fault.startsWith("early:") && isCulprit) {
    console.log("fault");
    const name = fault.slice("early:".length) as keyof typeof faults;
    await (faults[name] as Fault)(undefined as unknown as Comm);
  }
  if (fault === "portTaken" && own === 0) {
    console.log("fault");
    Deno.listen({
      hostname: Deno.env.get("MASTER_ADDR")!,
      port: Number(Deno.env.get("MASTER_PORT")),
    });
  }
  const comm = initComm();
  console.log(`ready rank=${own}`);
  for (let i = 0;; i++) {
    const isNow = i === step && isCulprit && Object.hasOwn(faults, fault);
    if (isNow) {
      console.log("fault");
      await (faults[fault as keyof typeof faults] as Fault)(comm);
    }
    if (!isNow || fault !== "skip") comm.allReduce(f32(1000)).wait();
    comm.broadcast(f32(1000)).wait();
    if (i % 4 === 0) comm.barrier();
    // timers and rejections have their turn
    await new Promise((go) => setTimeout(go, 10));
  }
}
