"""Arguments, device setup, training steps, timing and the JSON line of the PyTorch side of the benchmark."""
import argparse
import contextlib
import json
import os
import platform
import statistics
import sys
import time

sys.dont_write_bytecode = True


def arguments(batch=32, **extra):
    """Parses the flags and sets up PyTorch; returns (flags, torch). Tensors are made on the device of the flags."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--batch", type=int, default=batch)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--mode", choices=["eager", "compile", "graphs"], default="eager")
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--channels-last", action="store_true")
    for name, default in extra.items():
        parser.add_argument("--" + name, type=type(default), default=default)
    flags = parser.parse_args()
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):  # before torch starts its pools
        os.environ[name] = str(flags.threads)
    import torch

    torch.set_num_threads(flags.threads)
    torch.set_default_device(flags.device)
    torch.manual_seed(1)
    return flags, torch


def training(model, optimizer, batches, loss, flags):
    """A step over the batches in turn. `compile` compiles model and loss, `graphs` replays a CUDA graph of the whole step."""
    import torch

    if flags.channels_last:
        model.to(memory_format=torch.channels_last)
        batches = [(x.to(memory_format=torch.channels_last), y) for x, y in batches]

    def forward(x, y):
        low = flags.dtype == "bfloat16"
        context = torch.autocast(flags.device, torch.bfloat16) if low else contextlib.nullcontext()
        with context:
            return loss(model(x), y)

    if flags.mode == "compile":
        forward = torch.compile(forward)
    count = 0

    def plain(x, y):
        optimizer.zero_grad(set_to_none=True)
        forward(x, y).backward()
        optimizer.step()

    if flags.mode == "graphs":
        static_x, static_y = batches[0][0].clone(), batches[0][1].clone()
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                plain(static_x, static_y)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            plain(static_x, static_y)

        def go(x, y):
            static_x.copy_(x)
            static_y.copy_(y)
            graph.replay()
    else:
        go = plain

    def step():
        nonlocal count
        x, y = batches[count % len(batches)]
        count += 1
        go(x, y)

    return step


def run(workload, step, flags, **more):
    """Runs step() for about flags.seconds in blocks of about 0.2 s; prints one JSON line with the median over the blocks."""
    import torch

    wait = torch.cuda.synchronize if flags.device.startswith("cuda") else lambda: None
    start, count = time.perf_counter(), 0
    while count < 3 or time.perf_counter() - start < min(0.5, flags.seconds / 4):
        step()
        wait()
        count += 1
    start, probe = time.perf_counter(), min(count, 50)
    for _ in range(probe):
        step()
    wait()
    one = (time.perf_counter() - start) / probe
    per_block = max(1, round(min(0.2, flags.seconds / 5) / one))
    blocks, start = [], time.perf_counter()
    while len(blocks) < 3 or time.perf_counter() - start < flags.seconds:
        at = time.perf_counter()
        for _ in range(per_block):
            step()
        wait()
        blocks.append((time.perf_counter() - at) / per_block * 1e3)
    ms = statistics.median(blocks)
    print(json.dumps({
        "workload": workload, "batch": flags.batch, "threads": flags.threads, "mode": flags.mode, "dtype": flags.dtype,
        "ms_per_step": round(ms, 5), "steps_per_s": round(1e3 / ms, 2), **more,
        "blocks": len(blocks), "steps_per_block": per_block,
        "device": torch.cuda.get_device_name() if flags.device.startswith("cuda") else flags.device,
        "torch": torch.__version__, "python": platform.python_version(), "machine": platform.machine(),
    }), flush=True)
