/**
 * All-reduce of float32 over the ranks of a launch, one JSON line:
 * `deno run -A launch/launch.ts --num-processes 2 bench/allreduce_bench.ts [--megabytes 100] [--seconds 3]`.
 *
 * Started alone, it launches itself with shared memory and without, and gloo through torch.distributed beside it, in turns:
 * `deno run -A bench/allreduce_bench.ts [--python PATH] [--rounds 3]`.
 *
 * `gigabytes_per_second` is the size of the data over the median time; in a ring each rank sends and receives
 * 2 (n - 1) / n times that.
 */
import { parseArgs } from "@std/cli/parse-args";
import process from "node:process";
import { initComm } from "../core/dist/comm.ts";
import { isLaunched } from "../core/dist/rank.ts";

const flags = parseArgs(Deno.args, { string: ["megabytes", "seconds", "python", "rounds"] });
const megabytes = Number(flags.megabytes ?? 100);
const seconds = Number(flags.seconds ?? 3);
if (!(megabytes > 0 && seconds > 0)) {
  console.error("Cannot run: --megabytes and --seconds must be positive numbers");
  Deno.exit(2);
}
if (!isLaunched()) Deno.exit(await compare());

/** Runs all three in turns and prints the best of each; the machine's other work hits them alike. */
async function compare(): Promise<number> {
  const python = flags.python ?? Deno.env.get("PTA_PYTHON") ?? "python3";
  const sizes = ["--megabytes", String(megabytes), "--seconds", String(seconds)];
  const own = ["run", "-A", "launch/launch.ts", "--cpu", "--num-processes", "2"];
  const launched = [...own, "bench/allreduce_bench.ts", ...sizes];
  const commands: Record<string, Deno.Command> = {
    "pta, shared memory": command(Deno.execPath(), launched, {}),
    "pta, TCP": command(Deno.execPath(), launched, { PTA_SHARED_MEMORY: "0" }),
    "gloo": command(python, ["bench/torch/allreduce.py", ...sizes], {}),
  };
  const best = new Map<string, { rate: number; cpu: number }>();
  for (let round = 0; round < Number(flags.rounds ?? 3); round++) {
    for (const [name, run] of Object.entries(commands)) {
      const { stdout, stderr } = await run.output();
      const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
      const line = /\{.*\}/.exec(decode(stdout))?.[0];
      if (line === undefined) {
        console.error(`${name} failed:\n${decode(stderr)}`);
        return 1;
      }
      const { gigabytes_per_second: rate, cpu_ms_min: cpu } = JSON.parse(line);
      const before = best.get(name) ?? { rate: 0, cpu: Infinity };
      best.set(name, { rate: Math.max(rate, before.rate), cpu: Math.min(cpu, before.cpu) });
    }
  }
  const gloo = best.get("gloo")!;
  for (const [name, { rate, cpu }] of best) {
    const ratio = `${(rate / gloo.rate).toFixed(2)} of gloo`;
    console.log(`${name.padEnd(20)} ${rate.toFixed(3)} GB/s, ${ratio}, processor ${cpu} ms`);
  }
  return 0;
}

function command(program: string, args: string[], env: Record<string, string>): Deno.Command {
  return new Deno.Command(program, {
    args,
    env: { NO_COLOR: "1", ...env },
    cwd: new URL("../", import.meta.url),
    stdout: "piped",
    stderr: "piped",
  });
}

const comm = initComm();
const length = Math.ceil(megabytes * 1e6 / 4);
const data = new Float32Array(new SharedArrayBuffer(4 * length)).fill(1);
const times: number[] = [];
const cpu: number[] = [];
const more = new Int32Array(1);
for (let spent = 0; more[0] !== 0 || times.length < 4;) {
  comm.barrier();
  const begin = performance.now(), cpuBegin = process.cpuUsage();
  comm.allReduce(data, "mean").wait();
  const ms = performance.now() - begin;
  times.push(ms);
  const { user, system } = process.cpuUsage(cpuBegin);
  cpu.push((user + system) / 1000);
  spent += ms;
  // rank 0 decides for all, so that all make the same calls
  more[0] = spent < 1000 * seconds ? 1 : 0;
  comm.broadcast(more).wait();
}
// the first pass touches the memory
const sorted = times.slice(1).sort((a, b) => a - b);
const median = sorted[sorted.length >> 1];
if (!data.every((x) => x === 1)) throw new Error("The mean of ones is not one");
if (comm.rank === 0) {
  console.log(JSON.stringify({
    bench: "allreduce",
    communicator: comm.constructor.name,
    ranks: comm.worldSize,
    megabytes,
    runs: sorted.length,
    ms_median: Number(median.toFixed(3)),
    ms_min: Number(sorted[0].toFixed(3)),
    // processor time of this rank, which a busy machine changes least
    cpu_ms_min: Number(Math.min(...cpu.slice(1)).toFixed(3)),
    gigabytes_per_second: Number((length * 4 / median / 1e6).toFixed(3)),
  }));
}
comm.close();
