"""All-reduce of float32 over two gloo ranks on loopback, one JSON line; the twin of bench/allreduce_bench.ts.

python bench/torch/allreduce.py [--megabytes 100] [--seconds 3] [--ranks 2]
"""

import argparse
import json
import os
import socket
import time

import torch
import torch.distributed as dist
import torch.multiprocessing as mp


def run(rank: int, args: argparse.Namespace, port: int) -> None:
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), GLOO_SOCKET_IFNAME="lo")
    torch.set_num_threads(1)
    dist.init_process_group("gloo", rank=rank, world_size=args.ranks)
    data = torch.ones(int(args.megabytes * 1e6 / 4))
    more, times, cpu, spent = torch.ones(1, dtype=torch.int32), [], [], 0.0
    while more.item() or len(times) < 4:
        dist.barrier()
        begin, cpu_begin = time.perf_counter(), time.process_time()
        # gloo has no mean; the division is part of what the other side does
        dist.all_reduce(data)
        data /= args.ranks
        ms = 1000 * (time.perf_counter() - begin)
        times.append(ms)
        cpu.append(1000 * (time.process_time() - cpu_begin))
        spent += ms
        more[0] = int(spent < 1000 * args.seconds)
        dist.broadcast(more, 0)
    assert bool((data == 1).all())
    times = sorted(times[1:])
    median = times[len(times) // 2]
    if rank == 0:
        print(json.dumps({
            "bench": "allreduce",
            "communicator": "gloo",
            "ranks": args.ranks,
            "megabytes": args.megabytes,
            "runs": len(times),
            "ms_median": round(median, 3),
            "ms_min": round(times[0], 3),
            "cpu_ms_min": round(min(cpu[1:]), 3),
            "gigabytes_per_second": round(data.numel() * 4 / median / 1e6, 3),
        }))
    dist.destroy_process_group()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--megabytes", type=float, default=100)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--ranks", type=int, default=2)
    args = parser.parse_args()
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    mp.spawn(run, (args, port), args.ranks)
