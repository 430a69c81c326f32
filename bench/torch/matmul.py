"""Product of two square float32 matrices into a third."""
from common import arguments, run

flags, torch = arguments(batch=1, size=1024)
n = flags.size
a, b, out = torch.rand(n, n), torch.rand(n, n), torch.empty(n, n)
run("matmul", lambda: torch.mm(a, b, out=out), flags, batch=n, size=n, gflop_per_step=round(2 * n**3 / 1e9, 4))
