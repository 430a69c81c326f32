"""Turns samples of PyTorch's own databases into compact fixtures that other languages can read."""
import base64, gzip, json, math, os, sys, types

if "expecttest" not in sys.modules:
    try:
        import expecttest  # noqa: F401
    except ImportError:  # the databases import it, but only for tests of their own
        stub = types.ModuleType("expecttest")
        stub.TestCase = __import__("unittest").TestCase
        sys.modules["expecttest"] = stub

import torch

DTYPES = {
    torch.float32: "float32", torch.float64: "float64", torch.float16: "float16", torch.bfloat16: "bfloat16",
    torch.int32: "int32", torch.int64: "int64", torch.uint8: "uint8", torch.bool: "bool", torch.int8: "int8", torch.int16: "int16",
}


class Unsupported(Exception):
    """A value that has no counterpart: complex numbers, callables, sparse layouts."""


def pack(t):
    """Raw little-endian bytes; int64 that fits goes as int8 or int32, which compresses better."""
    name = DTYPES[t.dtype]
    t = t.detach().contiguous()
    if t.dtype is torch.bfloat16:
        return name, "int16", t.view(torch.int16).numpy().tobytes()
    stored = name
    if t.dtype is torch.int64 and t.numel():
        for small, kind in ((torch.int8, "int8"), (torch.int32, "int32")):
            info = torch.iinfo(small)
            if t.min() >= info.min and t.max() <= info.max:
                t, stored = t.to(small), kind
                break
    return name, stored, t.numpy().tobytes()


def encode(v, leaves=None):
    """JSON for a value. Tensors that require gradients are appended to `leaves`."""
    if isinstance(v, torch.Tensor):
        if v.layout is not torch.strided or v.dtype not in DTYPES or v.is_quantized:
            raise Unsupported(f"{v.dtype} {v.layout}")
        out = {"$": "t", "s": list(v.shape)}
        name, stored, raw = pack(v)
        out["t"] = name
        if stored != name:
            out["as"] = stored
        out["d"] = base64.b64encode(raw).decode()
        if leaves is not None and v.requires_grad:
            # A tensor that is given twice is one leaf.
            known = next((i for i, leaf in enumerate(leaves) if leaf is v), None)
            out["g"] = len(leaves) if known is None else known
            if known is None:
                leaves.append(v)
        return out
    if v is None or isinstance(v, (bool, str)):
        return v
    if isinstance(v, int):
        return v if abs(v) < 2**53 else {"$": "n", "v": str(v)}
    if isinstance(v, float):
        return v if math.isfinite(v) else {"$": "n", "v": str(v)}
    if isinstance(v, torch.dtype):
        if v not in DTYPES:
            raise Unsupported(str(v))
        return DTYPES[v]
    if isinstance(v, slice):
        return {"$": "slice", "v": [encode(x) for x in (v.start, v.stop, v.step)]}
    if v is Ellipsis:
        return "..."
    if isinstance(v, (tuple, list, torch.Size)):
        return [encode(x, leaves) for x in v]
    if isinstance(v, dict):
        return {k: encode(x, leaves) for k, x in v.items()}
    if isinstance(v, (torch.device, torch.layout, torch.memory_format)):
        return str(v)
    raise Unsupported(type(v).__name__)


def flat(v):
    """The tensors of a result, in order."""
    if isinstance(v, torch.Tensor):
        return [v]
    if isinstance(v, (tuple, list)):
        return [t for x in v for t in flat(x)]
    if isinstance(v, dict):
        return [t for x in v.values() for t in flat(x)]
    return []


def cotangent(shape):
    """The gradient fed to each output: ((37 i) mod 17 - 8) / 8 for element i, exact in every float dtype."""
    n = math.prod(shape)
    return (((torch.arange(n) * 37) % 17 - 8) / 8).reshape(shape)


def gradients(outputs, leaves):
    """Gradients of the leaves for the cotangents above; None where nothing flows."""
    outs = [o for o in outputs if o.requires_grad and o.dtype.is_floating_point]
    if not outs or not leaves:
        return None
    seeds = [cotangent(o.shape).to(o.dtype) for o in outs]
    return torch.autograd.grad(outs, leaves, seeds, allow_unused=True)


def nudged(t, generator, share=2.0**-23):
    """A float64 tensor, each element moved up or down by a share of itself: by one unit in the last place of float32."""
    signs = torch.randint(0, 2, t.shape, generator=generator) * 2 - 1
    return t * (1 + signs * share)


def double(v, generator=None):
    """The same value with floats in float64, nudged if a generator is given; tensors that require gradients become fresh leaves, listed in the order of `encode`."""
    leaves, made = [], {}

    def go(x):
        if isinstance(x, torch.Tensor):
            if not x.dtype.is_floating_point:
                return x
            if x.requires_grad and id(x) in made:
                return made[id(x)]
            y = x.detach().double()
            y = (y if generator is None else nudged(y, generator)).requires_grad_(x.requires_grad)
            if x.requires_grad:
                leaves.append(y)
                made[id(x)] = y
            return y
        if isinstance(x, (tuple, list)):
            return type(x)(*map(go, x)) if hasattr(x, "_fields") else type(x)(map(go, x))
        if isinstance(x, dict):
            return {k: go(y) for k, y in x.items()}
        return torch.float64 if x is torch.float32 else x

    return go(v), leaves


def noise(got, exact):
    """Largest error of a float32 result against float64, for each tensor: what rounding does to PyTorch itself. 0 where the two took different branches."""
    out = []
    for a, b in zip(got, exact):
        if a is None or b is None or not a.dtype.is_floating_point or a.shape != b.shape or a.numel() == 0:
            out.append(0)
            continue
        a, b = a.detach().double(), b.detach().double()
        error = (a - b).abs()[torch.isfinite(a) & torch.isfinite(b)]
        size = b[torch.isfinite(b)].abs()
        worst = error.max().item() if error.numel() else 0
        out.append(float(f"{worst:.2e}") if worst <= 1e-3 * max(size.max().item() if size.numel() else 0, 0.1) else 0)
    return out


def write(path, lines):
    """One JSON value a line, compressed; the same bytes for the same input."""
    text = "\n".join(json.dumps(x, separators=(",", ":")) for x in lines) + "\n"
    with open(path + ".new", "wb") as f, gzip.GzipFile(filename="", fileobj=f, mode="wb", compresslevel=9, mtime=0) as z:
        z.write(text.encode())
    os.replace(path + ".new", path)
