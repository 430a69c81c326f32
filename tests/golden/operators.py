"""Samples of op_db: `operators.jsonl.gz`, one line an operator variant.

A line is {name, variant, samples: [{input, args, kwargs, out, grads, noise, random?}], left_out: [[reason, count]]}.
"""
import argparse, os, random, warnings
import numpy as np
import samples as S
import torch
from torch.testing._internal.common_methods_invocations import op_db

# Elements of floats that one operator may take in a fixture that is committed; later samples are left out and counted.
CAP = 19_000

# Names that have no counterpart here, by the start of the name, and why.
LEFT_OUT = {
    "fft.": "needs complex numbers", "stft": "needs complex numbers", "istft": "needs complex numbers", "view_as_": "needs complex numbers",
    "complex": "needs complex numbers", "polar": "needs complex numbers", "cdouble": "needs complex numbers", "cfloat": "needs complex numbers",
    "chalf": "needs complex numbers", "imag": "needs complex numbers", "linalg.eigvals": "needs complex numbers", "linalg.eig": "needs complex numbers",
    "sparse.": "needs sparse layouts", "to_sparse": "needs sparse layouts", "jiterator": "compiles CUDA text", "torch._scaled": "fp8",
    "native_": "an internal form of a function that is here", "_native_": "an internal form of a function that is here",
    "_batch_norm_with": "an internal form of a function that is here", "max_pool2d_with_indices_backward": "an internal form of a gradient",
    "nn.functional.linear_cross_entropy": "experimental in PyTorch", "_softmax_backward": "an internal form of a gradient",
    "torch.ops.": "internal", "hash_tensor": "internal", "_unsafe": "internal", "grid_sampler_3d": "one sample has 1.4 million elements",
    "resize_": "changes a tensor's storage", "as_strided": "exposes memory layout", "new_empty_strided": "exposes memory layout",
    "empty_strided": "exposes memory layout", "empty_permuted": "exposes memory layout",
}
KEPT = {"linalg.eigh", "linalg.eigvalsh"}
# Results that depend on the random numbers drawn: only shapes and dtypes are compared.
RANDOM = {
    "cauchy", "exponential", "geometric", "log_normal", "normal", "uniform", "bernoulli", "multinomial", "rand_like", "randn", "randn_like", "randint",
    "randint_like", "empty", "empty_like", "new_empty", "nn.functional.dropout", "nn.functional.dropout2d", "nn.functional.dropout3d",
    "nn.functional.alpha_dropout", "nn.functional.feature_alpha_dropout", "nn.functional.rrelu", "nn.functional.fractional_max_pool2d",
    "nn.functional.fractional_max_pool3d", "nn.functional.multi_head_attention_forward", "svd_lowrank", "pca_lowrank",
}

# Vectors are free up to their sign: which output holds them, and along which dimension.
SIGNS = {"svd": {0: -2, 2: -2}, "linalg.svd": {0: -2, 2: -1}, "linalg.eigh": {1: -2}}


def reason(name):
    if name in KEPT:
        return None
    return next((why for start, why in LEFT_OUT.items() if name.startswith(start)), None)


def run(op, sample):
    """One sample as JSON, or Unsupported."""
    leaves = []
    line = {
        "input": S.encode(sample.input, leaves),
        "args": S.encode(list(sample.args), leaves),
        "kwargs": S.encode(sample.kwargs, leaves),
    }
    # Fresh leaves: samples may share memory, and views are no leaves.
    out = op.op(sample.input, *sample.args, **sample.kwargs)
    line["out"] = S.encode(out)
    drops = sample.kwargs.get("dropout_p", 0)
    if op.name in RANDOM or drops:
        line["random"] = True
        return line
    grads = None
    if op.supports_autograd and leaves:
        try:
            grads = S.gradients(S.flat(out), leaves)
        except (RuntimeError, NotImplementedError) as e:
            line["no_grad"] = str(e)[:80]
    if grads is not None:
        line["grads"] = [None if g is None else S.encode(g) for g in grads]
    line["noise"] = noise(op, sample, S.flat(out), grads)
    return line


def noise(op, sample, out, grads):
    """PyTorch's own rounding errors: of the outputs, then of the gradients."""
    try:
        (input, args, kwargs), leaves = S.double((sample.input, list(sample.args), dict(sample.kwargs)))
        exact = S.flat(op.op(input, *args, **kwargs))
        for i, dim in SIGNS.get(op.name, {}).items():
            along = (exact[i] * out[i]).sum(dim, keepdim=True).detach()
            exact[i] = torch.where(along < 0, -exact[i], exact[i])
        errors = S.noise(out, exact)
        if grads is None:
            return errors
        return errors + S.noise(grads, S.gradients(exact, leaves) or [None] * len(leaves))
    except Exception:  # no float64 kernel
        return []


def variant(op, dtype, cap):
    lines, left, size = [], {}, 0
    torch.manual_seed(run.seed)
    for sample in op.sample_inputs("cpu", dtype, requires_grad=op.supports_autograd and dtype.is_floating_point):
        try:
            line = run(op, sample)
        except S.Unsupported as e:
            left[f"holds {e}"] = left.get(f"holds {e}", 0) + 1
            continue
        except Exception as e:  # a sample that PyTorch itself refuses on this machine
            left[f"PyTorch: {str(e)[:60]}"] = left.get(f"PyTorch: {str(e)[:60]}", 0) + 1
            continue
        cost = sum(t.numel() for t in S.flat([sample.input, *sample.args, *sample.kwargs.values()])) * 2
        if cap and lines and size + cost > cap:
            left["too large to be committed"] = left.get("too large to be committed", 0) + 1
            continue
        size += cost
        lines.append(line)
    return {"name": op.name, "variant": op.variant_test_name, "dtype": S.DTYPES[dtype], "samples": lines, "left_out": list(left.items())}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", default=os.path.join(os.path.dirname(os.path.abspath(__file__)), "fixtures"))
    parser.add_argument("--only", help="names that contain this")
    parser.add_argument("--full", action="store_true", help="samples of any size")
    options = parser.parse_args()
    run.seed = options.seed
    random.seed(options.seed), np.random.seed(options.seed)
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    lines = []
    for op in op_db:
        if options.only and options.only not in op.name:
            continue
        why = reason(op.name)
        if why is not None:
            lines.append({"name": op.name, "variant": op.variant_test_name, "dtype": "", "samples": [], "left_out": [[why, 1]]})
            continue
        dtype = next((d for d in (torch.float32, torch.int64, torch.bool) if d in op.dtypes), None)
        if dtype is None:
            lines.append({"name": op.name, "variant": op.variant_test_name, "dtype": "", "samples": [], "left_out": [["no real dtype", 1]]})
            continue
        lines.append(variant(op, dtype, 0 if options.full else CAP))
    os.makedirs(options.out, exist_ok=True)
    S.write(os.path.join(options.out, "operators.jsonl.gz"), lines)
    print(f"{sum(bool(x['samples']) for x in lines)} variants of {len({x['name'] for x in lines if x['samples']})} operators, "
          f"{sum(len(x['samples']) for x in lines)} samples, {sum(n for x in lines for _, n in x['left_out'])} left out")


if __name__ == "__main__":
    main()
