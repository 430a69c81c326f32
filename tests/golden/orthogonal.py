"""`torch.nn.utils.parametrizations.orthogonal`: `orthogonal.json`, for each map and shape the weight at the start, the state dict, the weight and the gradient of the original after a step away from the start."""
import json, os

import torch
from torch.nn.utils.parametrizations import orthogonal


def pack(t):
    return {"shape": list(t.shape), "data": t.detach().flatten().tolist()}


def main():
    torch.manual_seed(19)
    lines = []
    for rows, columns in ((3, 3), (5, 3), (2, 4)):
        for name in (None, "matrix_exp", "cayley", "householder"):
            for trivial in (True, False):
                if not trivial and name in (None, "matrix_exp", "cayley"):
                    continue  # no inverse
                module = torch.nn.Linear(columns, rows, bias=False)
                start = pack(module.weight)
                orthogonal(module, "weight", name, use_trivialization=trivial)
                first = pack(module.weight)
                original = module.parametrizations.weight.original
                with torch.no_grad():
                    original.add_(torch.randn(rows, columns).tril(-1) * 0.3)
                (module.weight * torch.arange(rows * columns).reshape(rows, columns)).sum().backward()
                lines.append(json.dumps({
                    "map": name, "trivial": trivial, "start": start, "first": first, "state": {k: pack(v) for k, v in module.state_dict().items()},
                    "weight": pack(module.weight), "gradient": pack(original.grad),
                }, separators=(",", ":")))
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "orthogonal.json"), "w") as file:
        file.write("[\n" + ",\n".join(lines) + "\n]\n")


if __name__ == "__main__":
    main()
