"""What PyTorch's sample databases leave out: `windows.json`, pooling with places and its inverse, and modules without samples. Each case: inputs, outputs, and the gradient of the first input for the cotangents of `samples.py`."""
import json, os

import samples as S
import torch
from torch import nn
from torch.nn import functional as F


def pooled(n):
    """Maxima and their places, to be put back."""
    x = torch.randn(2, 3, *([6] * n), dtype=torch.float64)
    return getattr(F, f"max_pool{n}d")(x, 2, return_indices=True)


def cases():
    draw = lambda *shape: torch.randn(*shape, dtype=torch.float64)
    for n in (1, 2, 3):
        yield f"adaptiveMaxPool{n}dWithIndices", [draw(2, 3, *([7] * n)), 3], getattr(F, f"adaptive_max_pool{n}d_with_indices")
        values, indices = pooled(n)
        yield f"MaxUnpool{n}d", [values, indices], getattr(nn, f"MaxUnpool{n}d")(2)
    yield "maxPool3dWithIndices", [draw(2, 3, 5, 5, 5), 2], F.max_pool3d_with_indices
    ratios = torch.rand(2, 3, 3, dtype=torch.float64)
    yield "fractionalMaxPool3dWithIndices", [draw(2, 3, 7, 7, 7), ratios], lambda x, r: F.fractional_max_pool3d_with_indices(x, 2, output_size=3, _random_samples=r)
    yield "lpPool1d", [draw(2, 3, 8).abs(), 3, 2], F.lp_pool1d
    yield "lpPool3d", [draw(2, 3, 4, 4, 4).abs(), 3, 2], F.lp_pool3d
    yield "PixelUnshuffle", [draw(2, 3, 4, 6)], nn.PixelUnshuffle(2)
    yield "UpsamplingBilinear2d", [draw(2, 3, 4, 5)], nn.UpsamplingBilinear2d(scale_factor=2)
    yield "UpsamplingNearest2d", [draw(2, 3, 4, 5)], nn.UpsamplingNearest2d(size=(7, 9))


def pack(v):
    return {"shape": list(v.shape), "dtype": S.DTYPES[v.dtype], "data": v.detach().flatten().tolist()} if isinstance(v, torch.Tensor) else v


def main():
    torch.manual_seed(13)
    lines = []
    for name, inputs, fn in cases():
        x = inputs[0].detach().requires_grad_()
        out = S.flat(fn(x, *inputs[1:]))
        line = {"name": name, "inputs": [pack(v) for v in inputs], "outputs": [pack(v) for v in out], "gradient": pack(S.gradients(out, [x])[0])}
        lines.append(json.dumps(line, separators=(",", ":")))
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "windows.json"), "w") as file:
        file.write("[\n" + ",\n".join(lines) + "\n]\n")


if __name__ == "__main__":
    main()
