"""Weight norm and spectral norm of PyTorch: `parametrizations.json`, one training pass and its gradients for each case."""
import json, os

import torch
from torch import nn
from torch.nn.utils import parametrizations as P


def linear():
    return nn.Linear(3, 2), torch.randn(4, 3)


def conv():
    return nn.Conv2d(2, 3, 2), torch.randn(2, 2, 4, 3)


def conv_transpose():
    return nn.ConvTranspose2d(2, 3, 2), torch.randn(2, 2, 3, 2)


CASES = [(make, norm, options) for make in (linear, conv, conv_transpose) for norm, options in (
    ("weight_norm", {}), ("weight_norm", {"dim": 1}), ("weight_norm", {"dim": None}), ("spectral_norm", {}), ("spectral_norm", {"n_power_iterations": 3}),
)]


def pack(tensors):
    return {k: {"shape": list(t.shape), "data": t.detach().flatten().tolist()} for k, t in tensors.items()}


def main():
    torch.manual_seed(11)
    lines = []
    for make, norm, options in CASES:
        module, x = make()
        getattr(P, norm)(module, "weight", **options)
        before = pack(module.state_dict())
        y = module(x)
        y.square().sum().backward()
        lines.append({
            "layer": type(module).__name__.replace("Parametrized", ""), "norm": norm, "options": options, "state": before, "x": pack({"x": x})["x"],
            "y": pack({"y": y})["y"], "grads": pack({k: p.grad for k, p in module.named_parameters()}), "after": pack(dict(module.named_buffers())),
        })
    with open(os.path.join(os.path.dirname(__file__), "parametrizations.json"), "w") as file:
        file.write("[\n" + ",\n".join(json.dumps(line) for line in lines) + "\n]\n")


if __name__ == "__main__":
    main()
