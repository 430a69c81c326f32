"""Samples of module_db: `modules.jsonl.gz`, one line a module.

A line is {name, samples: [{options, positional, state, training, args, kwargs, out, grads, noise, after?}], left_out: [[reason, count]]}. `options` are the
constructor's arguments by name, `positional` those without a default; `grads` belong to the inputs that require them, then to the parameters in the
order of `state`; `after` holds buffers that the forward pass changed.
"""
import argparse, copy, inspect, os, random, warnings
import numpy as np
import samples as S
import torch
from torch.testing._internal.common_modules import module_db

LEFT_OUT = {
    "nn.Lazy": "sizes are stated, not guessed at the first call",
    "nn.LinearCrossEntropyLoss": "experimental in PyTorch; crossEntropy of a linear layer fuses by itself",
}
# Elements of floats in the samples of one module; later samples are left out and counted.
CAP = 10_000
# A sample can be ill-conditioned and PyTorch lucky with it: the noise of a tensor is also how far it moves when all inputs and weights do by one unit in the
# last place, the largest of so many draws.
NUDGES = 4


def remember(cls):
    """Lets a module that is an argument of another say how it was made."""
    init = cls.__init__

    def wrapped(self, *args, **kwargs):
        init(self, *args, **kwargs)
        self.made_with = bound(cls, init, args, kwargs)

    cls.__init__ = wrapped
    wrapped.plain = init


def bound(cls, init, args, kwargs):
    values = inspect.signature(init).bind(None, *args, **kwargs).arguments
    values.pop("self", None)
    values.update(values.pop("kwargs", {}))  # recurrent networks take all by keyword
    return {k: v for k, v in values.items() if k not in ("device", "dtype")}


for name in ("TransformerEncoderLayer", "TransformerDecoderLayer", "LayerNorm"):
    remember(getattr(torch.nn, name))


def encode_options(options):
    out = {}
    for key, value in options.items():
        if isinstance(value, torch.nn.Module):
            out[key] = {"$": "module", "name": f"nn.{type(value).__name__}", "options": encode_options(value.made_with),
                        "positional": positional(type(value))}
        elif value is torch.nn.functional.relu or value is torch.nn.functional.gelu:
            out[key] = value.__name__
        else:
            out[key] = S.encode(value)
    return out


def positional(cls):
    init = getattr(cls.__init__, "plain", cls.__init__)
    empty = inspect.Parameter.empty
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [p.name for p in list(inspect.signature(init).parameters.values())[1:] if p.default is empty and p.kind not in kinds]


def doubled(module, call, with_grads, generator=None):
    """Outputs and gradients in float64, of nudged numbers if a generator is given."""
    module = copy.deepcopy(module).double()
    (args, kwargs), leaves = S.double((list(call.args), dict(call.kwargs)), generator)
    if generator is not None:
        for p in module.parameters():
            p.data = S.nudged(p.data, generator)
    out = S.flat(module(*args, **kwargs))
    return out, S.gradients(out, leaves + list(module.parameters())) if with_grads else []


def run(info, sample, training):
    cls, init = info.module_cls, getattr(info.module_cls.__init__, "plain", info.module_cls.__init__)
    make, call = sample.constructor_input, sample.forward_input
    if "_random_samples" in make.kwargs:  # drawn in float64 whatever the module's dtype
        make.kwargs["_random_samples"] = make.kwargs["_random_samples"].float()
    options = bound(cls, init, make.args, make.kwargs)
    options.pop("options", None)
    module = cls(*make.args, **make.kwargs)
    module.train(training)
    for p in module.parameters():  # zeros and ones would hide mistakes
        if p.numel() and p.requires_grad and p.detach().float().std(correction=0) == 0:
            torch.nn.init.uniform_(p, 0.5, 1.5)
    leaves = []
    line = {
        "options": encode_options(options), "positional": positional(cls), "training": training,
        "state": {k: S.encode(v.detach()) for k, v in module.state_dict().items()},
        "args": S.encode(list(call.args), leaves), "kwargs": S.encode(call.kwargs, leaves),
    }
    before = copy.deepcopy(module)
    out = module(*call.args, **call.kwargs)
    line["out"] = S.encode(out)
    parameters = list(module.parameters())
    grads = S.gradients(S.flat(out), leaves + parameters)
    if grads is not None:
        line["grads"] = [None if g is None else S.encode(g) for g in grads]
    changed = {k: S.encode(v) for k, v in module.named_buffers() if not torch.equal(v, dict(before.named_buffers())[k])}
    if changed:
        line["after"] = changed
    try:
        exact, exact_grads = doubled(before, call, grads is not None)
        noise = S.noise(S.flat(out), exact) + S.noise(grads or [], exact_grads)
        with torch.random.fork_rng(devices=[]):
            for seed in range(NUDGES):
                near, near_grads = doubled(before, call, grads is not None, torch.Generator().manual_seed(seed))
                moved = S.noise(near, exact) + S.noise(near_grads, exact_grads)
                noise = [max(pair) for pair in zip(noise, moved)]
        line["noise"] = noise
    except Exception:  # no float64 kernel
        line["noise"] = []
    return line


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", default=os.path.join(os.path.dirname(os.path.abspath(__file__)), "fixtures"))
    parser.add_argument("--only", help="names that contain this")
    parser.add_argument("--full", action="store_true", help="samples of any size")
    options = parser.parse_args()
    random.seed(options.seed), np.random.seed(options.seed), torch.manual_seed(options.seed)
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    lines = []
    for info in module_db:
        if options.only and options.only not in info.name:
            continue
        why = next((w for start, w in LEFT_OUT.items() if info.name.startswith(start)), None)
        if why is not None:
            lines.append({"name": info.name, "samples": [], "left_out": [[why, 1]]})
            continue
        done, left, size = [], {}, 0
        for training in (True, False) if info.train_and_eval_differ else (True,):
            for sample in info.module_inputs_func(info, device="cpu", dtype=torch.float32, requires_grad=True, training=training):
                try:
                    line = run(info, sample, training)
                    cost = sum(t.numel() for t in S.flat([*sample.forward_input.args, *sample.forward_input.kwargs.values()])) * 2
                    if not options.full and done and size + cost > CAP:
                        left["too large to be committed"] = left.get("too large to be committed", 0) + 1
                        continue
                    size += cost
                    done.append(line)
                except S.Unsupported as e:
                    left[f"holds {e}"] = left.get(f"holds {e}", 0) + 1
                except Exception as e:
                    left[f"PyTorch: {str(e)[:60]}"] = left.get(f"PyTorch: {str(e)[:60]}", 0) + 1
        lines.append({"name": info.name, "samples": done, "left_out": list(left.items())})
    os.makedirs(options.out, exist_ok=True)
    S.write(os.path.join(options.out, "modules.jsonl.gz"), lines)
    print(f"{sum(bool(x['samples']) for x in lines)} modules, {sum(len(x['samples']) for x in lines)} samples")
    for x in lines:
        if x["left_out"]:
            print(x["name"], x["left_out"])


if __name__ == "__main__":
    main()
