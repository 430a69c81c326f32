"""Scaled dot-product attention of 8 heads, 256 positions, 64 features, forward and backward, float32, eager."""
from common import arguments, run

flags, torch = arguments(batch=8)
q, k, v = (torch.randn(flags.batch, 8, 256, 64, requires_grad=True) for _ in range(3))
g = torch.randn(flags.batch, 8, 256, 64)


def step():
    q.grad = k.grad = v.grad = None
    torch.nn.functional.scaled_dot_product_attention(q, k, v).backward(g)


run("attention", step, flags)
