"""A chain of pointwise work, gelu(x + b) * m, on `--size` squared float32 numbers, under no_grad."""
from common import arguments, run

flags, torch = arguments(batch=1, size=1024)
F = torch.nn.functional
n = flags.size ** 2
x, b, m = torch.randn(n), torch.randn(n), torch.rand(n)


def step():
    with torch.no_grad():
        return F.gelu(x + b) * m


run("pointwise", step, flags, batch=n, size=flags.size)
