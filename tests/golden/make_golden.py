"""Writes mlp.json, gpt.json, optimizers.json and layers.json: what PyTorch computes, for the tests to reproduce. README.md describes the files.

    python make_golden.py        (PyTorch 2.13 on the CPU, NumPy; deterministic, a few seconds)
"""
import json
import math
import os

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

HERE = os.path.dirname(os.path.abspath(__file__))
STEPS, SAMPLES, FULL = 10, 64, 640
torch.set_num_threads(1)
torch.use_deterministic_algorithms(True)


def philox(n, seed, number):
    """First words of Philox 4x32-10 for the counters (0..n-1, 0, 0, 0) and the key (seed, number)."""
    low, shift = np.uint64(0xFFFFFFFF), np.uint64(32)
    c = [np.arange(n, dtype=np.uint64)] + [np.zeros(n, np.uint64) for _ in range(3)]
    k0, k1 = seed, number
    for _ in range(10):
        p0, p1 = c[0] * np.uint64(0xD2511F53), c[2] * np.uint64(0xCD9E8D57)
        c = [(p1 >> shift) ^ c[1] ^ np.uint64(k0), p1 & low, (p0 >> shift) ^ c[3] ^ np.uint64(k1), p0 & low]
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return c[0]


assert philox(1, 0, 0)[0] == 0x6627E8D5


def uniform(shape, seed, number, center, k):
    """center + k * (2 u - 1) in float64, then rounded to float32; u = (word >> 8) * 2^-24."""
    u = (philox(math.prod(shape), seed, number) >> np.uint64(8)).astype(np.float64) * 2.0**-24
    return torch.from_numpy((center + k * (2 * u - 1)).astype(np.float32).reshape(shape))


def integers(shape, seed, number, n):
    return torch.from_numpy((philox(math.prod(shape), seed, number) % np.uint64(n)).astype(np.int64).reshape(shape))


def single(values):
    """The shortest decimals that give the same float32."""
    return [float(str(np.float32(v))) for v in np.asarray(values).reshape(-1)]


# ---- ten steps of two networks

class Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x):
        b, t, c = x.shape
        q, k, v = (z.view(b, t, self.heads, c // self.heads).transpose(1, 2) for z in self.qkv(x).split(c, 2))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.proj(y.transpose(1, 2).reshape(b, t, c))


class MLP(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        return self.fc2(F.gelu(self.fc1(x), approximate="tanh"))


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.ln1, self.attn = nn.LayerNorm(width, eps=1e-5), Attention(width, heads)
        self.ln2, self.mlp = nn.LayerNorm(width, eps=1e-5), MLP(width)

    def forward(self, x):
        x = x + self.attn(self.ln1(x))
        return x + self.mlp(self.ln2(x))


class GPT(nn.Module):
    def __init__(self, layers=4, heads=4, width=128, context=64, vocabulary=96):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(vocabulary, width), nn.Embedding(context, width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.ln_f = nn.LayerNorm(width, eps=1e-5)

    def forward(self, x):
        h = self.wte(x) + self.wpe.weight[: x.shape[1]]
        for block in self.blocks:
            h = block(h)
        return self.ln_f(h) @ self.wte.weight.t()


def spread(module):
    """{parameter: (center, k)}: biases and weights about as large as PyTorch's own, none of them constant."""
    out = {}
    for m in module.modules():
        if isinstance(m, nn.Linear):
            k = 1 / math.sqrt(m.in_features)
            out[m.weight], out[m.bias] = (0.0, k), (0.0, k)
        elif isinstance(m, nn.Embedding):
            out[m.weight] = (0.0, 0.05)
        elif isinstance(m, nn.LayerNorm):
            out[m.weight], out[m.bias] = (1.0, 0.1), (0.0, 0.1)
    return out


def seeded(module, seed):
    """Fills the parameters; returns their rows of the file."""
    rows, spreads = [], spread(module)
    for number, (name, p) in enumerate(module.named_parameters()):
        center, k = spreads[p]
        p.data.copy_(uniform(p.shape, seed, number, center, k))
        rows.append({"name": name, "shape": list(p.shape), "number": number, "center": center, "k": k})
    return rows


def ten_steps(model, optimizer, loss_of):
    losses, grads = [], None
    for step in range(STEPS):
        optimizer.zero_grad()
        loss = loss_of(step)
        loss.backward()
        if grads is None:
            grads = [p.grad.double().numpy().reshape(-1).copy() for p in model.parameters()]
        losses.append(loss.item())
        optimizer.step()
    return losses, grads


def with_gradients(rows, grads, seed):
    for row, g in zip(rows, grads):
        row["gradientNorm"] = float(np.linalg.norm(g))
        if g.size > FULL:
            at = (philox(SAMPLES, seed, 3000 + row["number"]) % np.uint64(g.size)).astype(np.int64)
            row["gradientAt"] = at.tolist()
            g = g[at]
        row["gradient"] = single(g)
    return rows


def write_run(name, seed, make, loss_of, optimizer_of, facts):
    model = make()
    rows = seeded(model, seed)
    losses, grads = ten_steps(model, optimizer_of(model), lambda s: loss_of(model, s, torch.float32))
    model = make()                       # float64, as a measure of what rounding does to the float32 run
    seeded(model, seed)
    model = model.double()
    exact, exact_grads = ten_steps(model, optimizer_of(model), lambda s: loss_of(model, s, torch.float64))
    print(name, "losses", losses[0], "...", losses[-1], "float32 against float64:",
          max(abs(a - b) / b for a, b in zip(losses, exact)),
          "gradients:", max(float(np.linalg.norm(a - b) / np.linalg.norm(b)) for a, b in zip(grads, exact_grads)
                            if np.linalg.norm(b) > 1e-9))
    parameters = with_gradients(rows, grads, seed)
    out = {"seed": seed, "torch": torch.__version__.split("+")[0], **facts, "losses": losses, "losses64": exact, "parameters": parameters}
    write(name, out)


def mlp_loss(model, step, dtype):
    x = uniform((32, 784), 1, 1000 + step, 0.5, 0.5).to(dtype)
    return F.cross_entropy(model(x), integers((32,), 1, 2000 + step, 10))


def gpt_loss(model, step, dtype):
    tokens = integers((16, 65), 2, 1000 + step, 96)
    return F.cross_entropy(model(tokens[:, :-1]).reshape(-1, 96), tokens[:, 1:].reshape(-1))


def write(name, value):
    """JSON with one line for each element of the longest list, so that differences can be read."""
    lines = []
    for key, v in value.items():
        if isinstance(v, list) and v and isinstance(v[0], dict):
            v = "[\n" + ",\n".join("  " + json.dumps(x, separators=(",", ":")) for x in v) + "\n]"
        else:
            v = json.dumps(v)
        lines.append(f"{json.dumps(key)}: {v}")
    with open(os.path.join(HERE, name + ".json"), "w") as f:
        f.write("{\n" + ",\n".join(lines) + "\n}\n")


# ---- optimizers

def optimizers():
    seed, shapes, steps = 3, [(2, 3), (4,)], 20
    start = [uniform(s, seed, i, 0.0, 1.0) for i, s in enumerate(shapes)]
    grads = [[uniform(s, seed, 100 * (i + 1) + t, 0.1, 1.0) for i, s in enumerate(shapes)] for t in range(steps)]
    table = [
        ("SGD", {"lr": 0.1}),
        ("SGD", {"lr": 0.1, "momentum": 0.9}),
        ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.3}),
        ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
        ("SGD", {"lr": 0.1, "weight_decay": 0.05}),
        ("SGD", {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.05, "nesterov": True}),
        ("SGD", {"lr": 0.1, "momentum": 0.9, "maximize": True}),
        ("Adam", {}),
        ("Adam", {"lr": 0.01, "betas": (0.8, 0.95), "eps": 1e-6}),
        ("Adam", {"lr": 0.01, "weight_decay": 0.1}),
        ("Adam", {"lr": 0.01, "amsgrad": True}),
        ("Adam", {"lr": 0.01, "amsgrad": True, "weight_decay": 0.1, "maximize": True}),
        ("AdamW", {}),
        ("AdamW", {"lr": 0.01, "betas": (0.9, 0.95), "weight_decay": 0.1}),
        ("AdamW", {"lr": 0.01, "amsgrad": True}),
        ("AdamW", {"lr": 0.01, "maximize": True}),
    ]
    camel = {"weight_decay": "weightDecay"}
    cases = []
    for name, options in table:
        params = [p.double().requires_grad_() for p in start]
        optimizer = getattr(torch.optim, name)(params, **options)
        after = []
        for t in range(steps):
            for p, g in zip(params, grads[t]):
                p.grad = g.double()
            optimizer.step()
            after.append([p.detach().reshape(-1).tolist() for p in params])
        cases.append({"optimizer": name, "options": {camel.get(k, k): v for k, v in options.items()}, "after": after})
    write("optimizers", {
        "torch": torch.__version__.split("+")[0],
        "shapes": shapes,
        "start": [single(p) for p in start],
        "gradients": [[single(g) for g in row] for row in grads],
        "cases": cases,
    })


# ---- layers and losses

def layers():
    """Every case: inputs in float32, everything else computed from them in float64; gradients of sum(output * gradOutput)."""
    cases, count = [], [0]

    def draw(shape, center=0.0, k=2.0):
        count[0] += 1
        return uniform(shape, 4, count[0], center, k)

    def number(values):
        return [float(v) for v in values.detach().reshape(-1).tolist()]

    def case(op, fn, inputs, options=None, classes=None):
        """`inputs`: float32 tensors with gradients; `classes`: integer tensors."""
        leaves = {k: v.double().requires_grad_() for k, v in inputs.items()}
        out = fn(**leaves, **(classes or {}))
        weight = draw(out.shape, 0.0, 1.0) if out.ndim else torch.tensor(1.0)
        grads = torch.autograd.grad((out * weight.double()).sum(), list(leaves.values()), allow_unused=True)
        row = {"op": op, "options": options or {}}
        row["inputs"] = {k: {"shape": list(v.shape), "dtype": "float32", "data": single(v)} for k, v in inputs.items()}
        row["inputs"].update({k: {"shape": list(v.shape), "dtype": "int64", "data": v.reshape(-1).tolist()}
                              for k, v in (classes or {}).items()})
        row["output"] = {"shape": list(out.shape), "data": number(out)}
        row["gradOutput"] = single(weight)
        row["gradients"] = {k: number(g) for k, g in zip(leaves, grads) if g is not None}
        cases.append(row)

    for shape in [(4,), (3, 4), (2, 3, 4)]:
        case("linear", lambda input, weight, bias: F.linear(input, weight, bias),
             {"input": draw(shape), "weight": draw((5, 4)), "bias": draw((5,))})
    case("linear", lambda input, weight: F.linear(input, weight), {"input": draw((3, 4)), "weight": draw((5, 4))})
    for approximate in ["none", "tanh"]:
        case("gelu", lambda input: F.gelu(input, approximate=approximate), {"input": draw((3, 7), 0.0, 6.0)},
             {"approximate": approximate})
    case("tanh", torch.tanh, {"input": draw((3, 7), 0.0, 6.0)})
    case("relu", F.relu, {"input": draw((3, 7))})
    case("softmax", lambda input: F.softmax(input, -1), {"input": draw((3, 7), 0.0, 20.0)}, {"dim": -1})
    case("logSoftmax", lambda input: F.log_softmax(input, 1), {"input": draw((2, 5, 3), 0.0, 20.0)}, {"dim": 1})
    for shape, normalized in [((6,), (6,)), ((4, 6), (6,)), ((2, 3, 4), (3, 4))]:
        case("layerNorm", lambda input, weight, bias: F.layer_norm(input, normalized, weight, bias, 1e-5),
             {"input": draw(shape, 3.0), "weight": draw(normalized), "bias": draw(normalized)},
             {"normalizedShape": normalized, "eps": 1e-5})
    case("layerNorm", lambda input: F.layer_norm(input, (6,), eps=1e-3), {"input": draw((4, 6))},
         {"normalizedShape": [6], "eps": 1e-3})
    index = torch.tensor([[1, 4, 1], [0, 0, 6]])
    case("embedding", lambda weight, input: F.embedding(input, weight), {"weight": draw((7, 3))}, classes={"input": index})
    case("embedding", lambda weight, input: F.embedding(input, weight, padding_idx=1), {"weight": draw((7, 3))},
         {"paddingIdx": 1}, {"input": index})

    target, deep = torch.tensor([0, 3, 4, 3, 1, 2]), torch.tensor([[0, 3, 4], [2, 3, 1]])
    for reduction in ["mean", "sum", "none"]:
        for extra in [{}, {"ignoreIndex": 3}, {"labelSmoothing": 0.1}, {"ignoreIndex": 3, "labelSmoothing": 0.2}]:
            for weighted in [False, True]:
                inputs = {"input": draw((6, 5), 0.0, 4.0)}
                if weighted:
                    inputs["weight"] = draw((5,), 1.0, 0.5)
                keys = {"ignore_index": extra.get("ignoreIndex", -100), "label_smoothing": extra.get("labelSmoothing", 0.0)}
                case("crossEntropy", lambda input, target, weight=None: F.cross_entropy(
                    input, target, weight=None if weight is None else weight.detach(), reduction=reduction, **keys),
                     inputs, {"reduction": reduction, **extra}, {"target": target})
        case("crossEntropy", lambda input, target: F.cross_entropy(input, target, reduction=reduction),
             {"input": draw((2, 5, 3), 0.0, 4.0)}, {"reduction": reduction}, {"target": deep})
        for smoothing in [0.0, 0.1]:
            for weighted in [False, True]:
                inputs = {"input": draw((4, 5), 0.0, 4.0), "target": draw((4, 5), 0.5, 0.5).softmax(1)}
                if weighted:
                    inputs["weight"] = draw((5,), 1.0, 0.5)
                case("crossEntropy", lambda input, target, weight=None: F.cross_entropy(
                    input, target, weight=None if weight is None else weight.detach(), reduction=reduction,
                    label_smoothing=smoothing),
                     inputs, {"reduction": reduction, "labelSmoothing": smoothing, "probabilities": True})
        case("mseLoss", lambda input, target: F.mse_loss(input, target, reduction=reduction),
             {"input": draw((3, 4)), "target": draw((3, 4))}, {"reduction": reduction})
        case("nllLoss", lambda input, target: F.nll_loss(input, target, reduction=reduction),
             {"input": draw((6, 5))}, {"reduction": reduction}, {"target": target})
    case("crossEntropy", lambda input, target: F.cross_entropy(input, target),
         {"input": draw((5,), 0.0, 4.0)}, {"reduction": "mean"}, {"target": torch.tensor(2)})
    case("crossEntropy", lambda input, target: F.cross_entropy(input, target),
         {"input": draw((6, 5), 0.0, 300.0)}, {"reduction": "mean"}, {"target": target})
    for causal in [False, True]:
        case("scaledDotProductAttention",
             lambda query, key, value: F.scaled_dot_product_attention(query, key, value, is_causal=causal),
             {"query": draw((2, 2, 5, 4)), "key": draw((2, 2, 5, 4)), "value": draw((2, 2, 5, 3))}, {"isCausal": causal})
    write("layers", {"torch": torch.__version__.split("+")[0], "cases": cases})


if __name__ == "__main__":
    write_run("mlp", 1,
              lambda: nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10)),
              mlp_loss, lambda m: torch.optim.SGD(m.parameters(), lr=0.01, momentum=0.9), {"batch": 32})
    write_run("gpt", 2, GPT, gpt_loss,
              lambda m: torch.optim.AdamW(m.parameters(), lr=3e-4, betas=(0.9, 0.95), weight_decay=0.1),
              {"layers": 4, "heads": 4, "width": 128, "context": 64, "vocabulary": 96, "batch": 16})
    optimizers()
    layers()
