"""Arguments, thread setup, timing and the JSON line of the PyTorch side of the benchmark."""
import argparse
import json
import os
import platform
import statistics
import sys
import time

sys.dont_write_bytecode = True


def arguments(batch=32, **extra):
    """Parses the flags and sets up PyTorch; returns (flags, torch)."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--batch", type=int, default=batch)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=3.0)
    for name, default in extra.items():
        parser.add_argument("--" + name, type=type(default), default=default)
    flags = parser.parse_args()
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):  # before torch starts its pools
        os.environ[name] = str(flags.threads)
    import torch

    torch.set_num_threads(flags.threads)
    torch.manual_seed(1)
    return flags, torch


def run(workload, step, flags, **more):
    """Runs step() for about flags.seconds in blocks of about 0.2 s; prints one JSON line with the median over the blocks."""
    import torch

    start, count = time.perf_counter(), 0
    while count < 3 or time.perf_counter() - start < min(0.5, flags.seconds / 4):
        step()
        count += 1
    one = (time.perf_counter() - start) / count
    per_block = max(1, round(min(0.2, flags.seconds / 5) / one))
    blocks, start = [], time.perf_counter()
    while len(blocks) < 3 or time.perf_counter() - start < flags.seconds:
        at = time.perf_counter()
        for _ in range(per_block):
            step()
        blocks.append((time.perf_counter() - at) / per_block * 1e3)
    ms = statistics.median(blocks)
    print(json.dumps({
        "workload": workload, "batch": flags.batch, "threads": flags.threads,
        "ms_per_step": round(ms, 5), "steps_per_s": round(1e3 / ms, 2), **more,
        "blocks": len(blocks), "steps_per_block": per_block,
        "device": "cpu", "torch": torch.__version__, "python": platform.python_version(), "machine": platform.machine(),
    }), flush=True)
