/**
 * Two machines on one: network namespaces with a link of their own where they are permitted (Linux, root), otherwise two addresses of the
 * loopback, between which no link can be cut.
 */
const root = new URL("../", import.meta.url).pathname;

/** `PTA_TEST_MACHINES=loopback` tests what happens where namespaces are not permitted. */
const wantsLoopback = Deno.env.get("PTA_TEST_MACHINES") === "loopback";

/** What stands for the machines. */
export type MachineKind = "network namespaces" | "loopback addresses";

/** Two machines, numbers 0 and 1. */
export class Machines implements Disposable {
  readonly #names: readonly [string, string] | undefined;
  /** Address of each, as the other one sees it. */
  readonly addresses: readonly [string, string];
  /** What stands for them. */
  readonly kind: MachineKind;

  private constructor(
    names: readonly [string, string] | undefined,
    addresses: readonly [string, string],
  ) {
    this.#names = names;
    this.addresses = addresses;
    this.kind = names === undefined ? "loopback addresses" : "network namespaces";
  }

  /** Makes both, with a link between them. */
  static create(): Machines {
    const id = `${Deno.pid % 10000}${Math.floor(Math.random() * 1000)}`;
    const names = [`pta${id}a`, `pta${id}b`] as const;
    const net = `10.${100 + Deno.pid % 100}.${Math.floor(Math.random() * 250)}`;
    const addresses = [`${net}.1`, `${net}.2`] as const;
    const made = !wantsLoopback && names.every((name) => ip("netns", "add", name)) &&
      ip(
        "link",
        "add",
        `v${id}a`,
        "netns",
        names[0],
        "type",
        "veth",
        "peer",
        "name",
        `v${id}b`,
        "netns",
        names[1],
      ) &&
      names.every((name, i) => {
        const device = `v${id}${"ab"[i]}`;
        return ip("-n", name, "link", "set", device, "name", "eth0") &&
          ip("-n", name, "addr", "add", `${addresses[i]}/24`, "dev", "eth0") &&
          ip("-n", name, "link", "set", "lo", "up") &&
          ip("-n", name, "link", "set", "eth0", "up");
      });
    if (made) return new Machines(names, addresses);
    if (!wantsLoopback) { for (const name of names) ip("netns", "del", name); }
    return new Machines(undefined, ["127.0.0.2", "127.0.0.3"]);
  }

  /** Starts the launcher on a machine; both must be started. */
  launch(
    machine: 0 | 1,
    script: readonly string[],
    env: Readonly<Record<string, string>> = {},
    { ranks = 2, port = 29500, main = this.addresses[0] } = {},
  ): Deno.ChildProcess {
    const where = ["--num-machines", "2", "--machine-rank", String(machine)];
    const meeting = ["--main-process-ip", main, "--main-process-port", String(port)];
    const own = ["run", "-A", "launch/launch.ts", "--cpu", "--num-processes", String(ranks)];
    const words = [Deno.execPath(), ...own, ...where, ...meeting, ...script];
    const all = this.#names === undefined
      ? words
      : ["ip", "netns", "exec", this.#names[machine], ...words];
    return new Deno.Command(all[0], {
      args: all.slice(1),
      cwd: root,
      env: {
        NO_COLOR: "1",
        PTA_LAUNCH_SECRET: "what both machines were told before",
        // one machine would go round the link
        PTA_SHARED_MEMORY: "0",
        ...env,
      },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
  }

  /** Cuts the link, or mends it. Where there is none, the processes of machine 1 stand still meanwhile. */
  setLink(isUp: boolean, processes: readonly number[]): void {
    if (this.#names === undefined) {
      for (const pid of processes) Deno.kill(pid, isUp ? "SIGCONT" : "SIGSTOP");
      return;
    }
    run("ip", "-n", this.#names![1], "link", "set", "eth0", isUp ? "up" : "down");
  }

  /** Limits the link in both directions. */
  setRate(megabits: number): void {
    if (this.#names === undefined) throw new Error("Cannot change the link: there is none");
    for (const name of this.#names!) {
      const limit = ["rate", `${megabits}mbit`, "burst", "64kb", "latency", "100ms"];
      run("tc", "-n", name, "qdisc", "add", "dev", "eth0", "root", "tbf", ...limit);
    }
  }

  /** Takes the namespaces away. */
  [Symbol.dispose](): void {
    for (const name of this.#names ?? []) ip("netns", "del", name);
  }
}

/** Whether there are links that can be cut, found out by making one. */
export function machineKind(): MachineKind {
  using machines = Machines.create();
  return machines.kind;
}

function ip(...args: string[]): boolean {
  try {
    return new Deno.Command("ip", { args, stdout: "null", stderr: "null" }).outputSync().success;
  } catch {
    return false;
  }
}

function run(program: string, ...args: string[]): void {
  const { success, stderr } = new Deno.Command(program, { args }).outputSync();
  if (!success) {
    throw new Error(`${program} ${args.join(" ")}: ${new TextDecoder().decode(stderr)}`);
  }
}
