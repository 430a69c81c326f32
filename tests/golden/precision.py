"""Writes fixtures/precision.json.gz: what PyTorch's autocast and GradScaler do. Weights and batches are those of make_golden.py.

    python precision.py        (PyTorch 2.13 on the CPU; deterministic, a minute)

`operators`: {list, operator, arguments, keywords, wanted}: every operator of torch.testing._internal.autocast_test_lists, in the list `cpu` or `gpu`, with
the types of its arguments and the type of its result in a region of bfloat16. Results of the list `cpu` were computed; no GPU is at hand for the
others, which are what the list itself demands.
`losses`: {name: {bfloat16, float32}}: 20 steps of three networks.
`float8`: numbers rounded to eight bits.
`scaling`: runs of 100 steps with overflows in the loss of chosen micro-batches; see `scaled_run`.
"""
import gzip
import json
import os

import samples  # stands in for expecttest
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.testing._internal.autocast_test_lists import AutocastCPUTestLists, AutocastTestLists

import make_golden as G

NAMES = {torch.float32: "float32", torch.float16: "float16", torch.bfloat16: "bfloat16", torch.bool: "bool",
         torch.int64: "int64", torch.int32: "int32", torch.float64: "float64"}
STEPS = 20


# ---- the type of each operator

def describe(value):
    if isinstance(value, torch.Tensor):
        out = {"shape": list(value.shape), "dtype": NAMES[value.dtype]}
        if not value.dtype.is_floating_point:
            out["data"] = value.reshape(-1).tolist()
        return out
    if isinstance(value, (list, tuple)):
        return [describe(v) for v in value]
    if isinstance(value, dict):
        return {k: describe(v) for k, v in value.items()}
    return value


def types(value):
    """The type of a result, or of the first of several."""
    if isinstance(value, torch.Tensor):
        return NAMES[value.dtype]
    if isinstance(value, (list, tuple)):
        return types(value[0])
    return type(value).__name__


def find(name):
    if name.startswith("__"):
        return getattr(torch.Tensor, name)
    for module in (torch, torch._C._nn, torch._C._linalg, torch.nn.functional):
        if hasattr(module, name):
            return getattr(module, name)
    return getattr(torch.Tensor, name)


def parts(row):
    arguments = row[1] if isinstance(row[1], tuple) else row[1:]
    keywords = row[2] if len(row) > 2 and isinstance(row[2], dict) else {}
    return arguments, keywords


def operators():
    rows = []
    torch.manual_seed(0)
    lists = AutocastCPUTestLists("cpu")
    for name in ["torch_expect_builtin_promote", "methods_expect_builtin_promote", "torch_16", "torch_fp32", "nn_16", "nn_fp32",
                 "torch_need_autocast_promote"]:
        for row in getattr(lists, name):
            arguments, keywords = parts(row)
            if row[0] in ("conv_tbc", "_addmm_activation", "_native_multi_head_attention", "__div__"):
                rows.append({"list": "cpu", "operator": row[0], "arguments": None, "keywords": {}, "wanted": None})
                continue
            with torch.amp.autocast("cpu", dtype=torch.bfloat16):
                result = find(row[0])(*arguments, **keywords)
            rows.append({"list": "cpu", "operator": row[0], "arguments": describe(arguments), "keywords": describe(keywords),
                         "wanted": types(result)})
    lists = AutocastTestLists("cpu")
    demanded = {"torch_fp16": "low", "nn_fp16": "low", "linalg_fp16": "low", "methods_fp16": "low",
                "torch_fp32": "float32", "nn_fp32": "float32", "methods_fp32": "float32", "torch_need_autocast_promote": "float32"}
    for name, wanted in demanded.items():
        for row in getattr(lists, name):
            arguments, keywords = parts(row)
            if row[0] == "einsum":
                arguments = row[1:2] + row[2:] if not isinstance(row[1], tuple) else row[1]
                arguments = [row[1], list(row[2])]
            rows.append({"list": "gpu", "operator": row[0], "arguments": describe(arguments), "keywords": describe(keywords),
                         "wanted": wanted})
    for name in ["torch_expect_builtin_promote", "methods_expect_builtin_promote"]:
        for row in getattr(lists, name):
            rows.append({"list": "gpu", "operator": row[0], "arguments": describe(row[1]), "keywords": {},
                         "wanted": "bool" if row[0] == "equal" else NAMES[row[2]]})
    return rows


# ---- 20 steps of three networks

def cnn():
    return nn.Sequential(nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(),
                         nn.MaxPool2d(2), nn.Flatten(), nn.Linear(3136, 10))


def fill(model, seed):
    """Fills the parameters; the rows say how."""
    spreads = G.spread(model)
    for m in model.modules():
        if isinstance(m, nn.Conv2d):
            k = 1 / (m.in_channels * m.kernel_size[0] * m.kernel_size[1]) ** 0.5
            spreads[m.weight], spreads[m.bias] = (0.0, k), (0.0, k)
    rows = []
    for number, (name, p) in enumerate(model.named_parameters()):
        center, k = spreads[p]
        p.data.copy_(G.uniform(p.shape, seed, number, center, k))
        rows.append([name, center, k])
    return rows


def follow(make, seed, optimizer_of, batch, dtype):
    model = make()
    rows = fill(model, seed)
    optimizer, losses = optimizer_of(model.parameters()), []
    for step in range(STEPS):
        x, y = batch(step)
        optimizer.zero_grad()
        with torch.amp.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == "bfloat16"):
            out = model(x)
        loss = F.cross_entropy(out.float().reshape(-1, out.shape[-1]), y.reshape(-1))
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return rows, losses


def gpt_batch(step):
    tokens = G.integers((4, 65), 2, 1000 + step, 96)
    return tokens[:, :-1], tokens[:, 1:]


def losses():
    runs = {
        "mlp": (lambda: nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10)), 1,
                lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9),
                lambda s: (G.uniform((32, 784), 1, 1000 + s % 4, 0.5, 0.5), G.integers((32,), 1, 2000 + s % 4, 10))),
        "cnn": (cnn, 5, lambda p: torch.optim.AdamW(p, lr=1e-3),
                lambda s: (G.uniform((8, 1, 28, 28), 5, 1000 + s % 4, 0.5, 0.5), G.integers((8,), 5, 2000 + s % 4, 10))),
        "gpt": (G.GPT, 2, lambda p: torch.optim.AdamW(p, lr=3e-4, betas=(0.9, 0.95), weight_decay=0.1), gpt_batch),
    }
    out = {}
    for name, (make, seed, optimizer_of, batch) in runs.items():
        rows, low = follow(make, seed, optimizer_of, batch, "bfloat16")
        _, exact = follow(make, seed, optimizer_of, batch, "float32")
        out[name] = {"seed": seed, "parameters": rows, "bfloat16": low, "float32": exact}
        print(name, low[0], "...", low[-1], "bfloat16 against float32:", max(abs(a - b) / b for a, b in zip(low, exact)))
    return out


# ---- eight bits

def float8():
    """Numbers of every binade, ties among them, and what PyTorch makes of them within the range of the format."""
    out = {}
    for name, dtype in [("e4m3", torch.float8_e4m3fn), ("e5m2", torch.float8_e5m2)]:
        every = torch.arange(256, dtype=torch.uint8).view(dtype).float()
        every = every[every.isfinite()].sort().values
        middles = (every[1:] + every[:-1]) / 2
        drawn = G.uniform((200,), 8, 1, 0.0, 1.0) * 2.0 ** (torch.arange(200) % 30 - 18)
        x = torch.cat([every, middles, drawn])
        out[name] = {"x": G.single(x), "rounded": G.single(x.to(dtype).float())}
    return out


# ---- loss scaling

def scaled_run(ranks, accumulation, name):
    """
    100 steps of 8-16-4 with ReLU and without bias (which PyTorch adds before it rounds), mean squared error, float16 autocast; gradients are means over ranks and micro-batches. At some steps the loss of
    one micro-batch of one rank is multiplied by infinity or NaN. The scale doubles every 7 good steps, so that it also overflows by itself.
    """
    model = nn.Sequential(nn.Linear(8, 16, bias=False), nn.ReLU(), nn.Linear(16, 4, bias=False))
    fill(model, 6)
    make = {"SGD": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, dampening=0.1),
            "AdamW": lambda p: torch.optim.AdamW(p, lr=0.01)}[name]
    optimizer = make(model.parameters())
    scaler = torch.amp.GradScaler("cpu", growth_interval=7)
    planted, scales, skipped, weights = {0: float("inf"), 1: float("nan"), 23: float("inf"), 50: float("-inf"), 51: float("inf"), 77: float("nan")}, [], [], []
    for step in range(100):
        before = scaler.get_scale()
        for rank in range(ranks):
            for micro in range(accumulation):
                number = (step * ranks + rank) * accumulation + micro
                x, y = G.uniform((4, 8), 6, 1000 + number, 0.0, 1.0), G.uniform((4, 4), 6, 9000 + number, 0.0, 1.0)
                with torch.amp.autocast("cpu", dtype=torch.float16):
                    out = model(x)
                loss = F.mse_loss(out.float(), y) / accumulation
                if step in planted and rank == ranks - 1 and micro == accumulation // 2:
                    loss = loss * planted[step]
                scaler.scale(loss).backward()
        for p in model.parameters():
            p.grad.div_(ranks)
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()
        scales.append(scaler.get_scale())
        skipped.append(int(scaler.get_scale() < before))
        if step % 20 == 19:
            weights.append([G.single(p.detach()) for p in model.parameters()])
    print(name, ranks, accumulation, "skipped", sum(skipped), "scales", min(scales), max(scales))
    return {"optimizer": name, "ranks": ranks, "accumulation": accumulation, "planted": {str(k): str(v) for k, v in planted.items()},
            "scales": scales, "skipped": skipped, "weights": weights}


if __name__ == "__main__":
    torch.set_num_threads(2)
    scaling = [scaled_run(r, a, o) for o in ["SGD", "AdamW"] for r in [1, 2] for a in [1, 4]]
    out = {"torch": torch.__version__.split("+")[0], "operators": operators(), "losses": losses(), "scaling": scaling, "float8": float8()}
    path = os.path.join(G.HERE, "fixtures", "precision.json.gz")
    with gzip.GzipFile(path, "wb", mtime=0) as f:
        f.write(json.dumps(out, separators=(",", ":")).encode())
    print(os.path.getsize(path), "bytes")
