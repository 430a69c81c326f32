"""LayerNorm over 768 features, forward and backward, `--batch` rows, float32, eager."""
from common import arguments, run

flags, torch = arguments(batch=4096)
layer = torch.nn.LayerNorm(768)
x, g = torch.randn(flags.batch, 768, requires_grad=True), torch.randn(flags.batch, 768)


def step():
    x.grad = layer.weight.grad = layer.bias.grad = None
    layer(x).backward(g)


run("layer_norm", step, flags)
