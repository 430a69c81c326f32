"""Writes dtypes.json: PyTorch's result dtypes, as tests/dtype_test.ts expects them. Run: python tests/golden/dtypes.py"""
import json
from pathlib import Path

import torch

names = ["float32", "float64", "float16", "bfloat16", "int32", "int64", "uint8", "bool"]


def name(t):
    return str(t.dtype).split(".")[1]


def result(fn):
    try:
        return name(fn())
    except RuntimeError:
        return None


def wide(n):
    return torch.ones(2, dtype=getattr(torch, n))


def scalar(n):
    return torch.ones((), dtype=getattr(torch, n))


table = {
    "tensors": {a: {b: result(lambda: wide(a) + wide(b)) for b in names} for a in names},
    "withScalarTensor": {a: {b: result(lambda: wide(a) + scalar(b)) for b in names} for a in names},
    "withWhole": {a: result(lambda: wide(a) + 2) for a in names},
    "withFraction": {a: result(lambda: wide(a) + 2.5) for a in names},
    "div": {a: {b: result(lambda: wide(a) / wide(b)) for b in names} for a in names},
    "lt": {a: result(lambda: wide(a) < wide(a)) for a in names},
    "exp": {a: result(lambda: wide(a).exp()) for a in names},
    "sum": {a: result(lambda: wide(a).sum()) for a in names},
    "prod": {a: result(lambda: wide(a).prod()) for a in names},
    "amax": {a: result(lambda: wide(a).amax()) for a in names},
    "argmax": {a: result(lambda: wide(a).argmax()) for a in names if a != "bool"},
    "cat": {a: {b: result(lambda: torch.cat([wide(a), wide(b)])) for b in names} for a in names},
    "where": {a: {b: result(lambda: torch.where(torch.tensor([True, False]), wide(a), wide(b))) for b in names} for a in names},
}
Path(__file__).with_suffix(".json").write_text(json.dumps(table, indent=1) + "\n")
