/**
 * All-reduce of float32 over the ranks of a launch, one JSON line:
 * `deno run -A launch/launch.ts --num-processes 2 bench/allreduce_bench.ts [--megabytes 100] [--seconds 3]`.
 *
 * `gigabytes_per_second` is the size of the data over the median time; in a ring each rank sends and receives
 * 2 (n - 1) / n times that.
 */
import { parseArgs } from "@std/cli/parse-args";
import { initComm } from "../core/dist/comm.ts";

const flags = parseArgs(Deno.args, { string: ["megabytes", "seconds"] });
const megabytes = Number(flags.megabytes ?? 100);
const seconds = Number(flags.seconds ?? 3);
if (!(megabytes > 0 && seconds > 0)) {
  console.error("Cannot run: --megabytes and --seconds must be positive numbers");
  Deno.exit(2);
}

const comm = initComm();
const length = Math.ceil(megabytes * 1e6 / 4);
const data = new Float32Array(new SharedArrayBuffer(4 * length)).fill(1);
const times: number[] = [];
const more = new Int32Array(1);
for (let spent = 0; more[0] !== 0 || times.length < 4;) {
  comm.barrier();
  const begin = performance.now();
  comm.allReduce(data, "mean").wait();
  const ms = performance.now() - begin;
  times.push(ms);
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
    gigabytes_per_second: Number((length * 4 / median / 1e6).toFixed(3)),
  }));
}
comm.close();
