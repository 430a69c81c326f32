"""Runs of optimizers and schedulers: `optimizers.jsonl.gz`, one line an optimizer of optim_db, and `schedulers.jsonl.gz`, one line a scheduler.

An optimizer line is {name, closure, params, data, samples: [{options, after: [[step, params]], state?, noise?}], left_out: [[reason, count]]}: `data` are the gradients
of all steps, one tensor [steps, ...] a parameter, or with `closure` the goals and curvatures of a bowl; then, and for Muon, `noise`
has PyTorch's own rounding errors, one number a tensor of `after`. A scheduler line is {name, samples: [{make, optimizer,
lr, metrics?, lrs, momenta?}]}: `make` is [name, arguments, keyword arguments], nested for schedulers that take schedulers.
"""
import argparse, os, warnings
import samples as S
import torch
from torch.optim import lr_scheduler
from torch.optim.swa_utils import SWALR
from torch.testing._internal.common_optimizers import optim_db

STEPS, EVERY, NUDGES = 20, 5, 8
SHAPES = [[10, 5], [10], [3, 4, 2]]
# Other ways to run the same arithmetic.
IMPLEMENTATION = {"foreach", "fused", "capturable", "differentiable"}
LEFT_OUT = {"SparseAdam": "needs sparse layouts"}


def options(kwargs):
    """Keyword arguments, a learning rate in a tensor as a number."""
    return {k: v.item() if isinstance(v, torch.Tensor) else v for k, v in kwargs.items()}


def bowl(params, goals, curvatures):
    """A function that no step of LBFGS solves exactly."""
    return sum((c * (p - g) ** 2).sum() + 0.1 * (p - g).pow(4).sum() for p, g, c in zip(params, goals, curvatures))


def draw(info):
    """First parameters, and the gradients of all steps or a bowl, for all samples of one optimizer."""
    shapes = [s for s in SHAPES if len(s) == 2] + [[5, 10]] if info.optim_cls.__name__ == "Muon" else SHAPES
    size = 2 if info.step_requires_closure else STEPS
    data = [torch.randn([size, *s]) for s in shapes]
    if info.step_requires_closure:
        for d in data:
            d[1] = torch.rand(d[1].shape) + 0.5
    return [torch.randn(s) for s in shapes], data


def follow(info, kwargs, starts, data):
    """The optimizer after all steps, and the parameters after some."""
    params = [p.clone().requires_grad_() for p in starts]
    optimizer = info.optim_cls(params, **kwargs)

    def closure():
        optimizer.zero_grad()
        loss = bowl(params, [d[0] for d in data], [d[1] for d in data])
        loss.backward()
        return loss

    after = []
    for step in range(1, STEPS + 1):
        if info.step_requires_closure:
            optimizer.step(closure)
        else:
            for p, d in zip(params, data):
                p.grad = d[step - 1].clone()
            optimizer.step()
        if step % EVERY == 0:
            after.append([step, [p.detach().clone() for p in params]])
    return optimizer, after


def run(info, kwargs, starts, data):
    optimizer, after = follow(info, kwargs, starts, data)
    line = {"options": S.encode(options(kwargs)), "after": S.encode(after)}
    if info.optim_cls is torch.optim.Muon:
        # One number on the other side of a rounding to bfloat16 moves a whole matrix, and sums in another order move numbers that far: what PyTorch makes of
        # gradients that differ in their 18th bit.
        worst = 0
        for seed in range(NUDGES):
            generator = torch.Generator().manual_seed(seed)
            _, near = follow(info, kwargs, starts, [S.nudged(d.double(), generator, 2.0**-18).float() for d in data])
            worst = max(worst, *(x for (_, got), (_, wanted) in zip(near, after) for x in S.noise(got, wanted)))
        line["noise"] = [[worst] * len(ps) for _, ps in after]  # rare: when and where it happens is chance
    if not info.step_requires_closure:
        line["state"] = {k: {n: S.encode(v) for n, v in s.items() if isinstance(v, torch.Tensor)} for k, s in optimizer.state_dict()["state"].items()}
        return line
    # Hundreds of iterations, each of which depends on differences of the last gradients: PyTorch's own rounding errors grow.
    _, exact = follow(info, kwargs, [p.double() for p in starts], [d.double() for d in data])
    line["noise"] = [S.noise(got, wanted) for (_, got), (_, wanted) in zip(after, exact)]
    return line


def optimizer_lines(seed):
    for info in optim_db:
        name = info.optim_cls.__name__
        if name in LEFT_OUT:
            yield {"name": name, "samples": [], "left_out": [[LEFT_OUT[name], len(info.optim_inputs_func(device="cpu"))]]}
            continue
        torch.manual_seed(seed)
        inputs = info.optim_inputs_func(device="cpu")
        wanted = [x.kwargs for x in inputs if not IMPLEMENTATION & set(x.kwargs)]
        left = [["another way to run the same arithmetic", len(inputs) - len(wanted)]] if len(wanted) < len(inputs) else []
        starts, data = draw(info)
        line = {"name": name, "closure": info.step_requires_closure, "params": S.encode(starts), "data": S.encode(data)}
        yield {**line, "samples": [run(info, kwargs, starts, data) for kwargs in wanted], "left_out": left}


# Factors that are known by name on both sides.
LAMBDAS = {"decay": lambda epoch: 0.95 ** epoch, "warm": lambda epoch: min(1, (epoch + 1) / 7), "shrink": lambda epoch: 0.9 + 0.001 * epoch, "half": lambda x: 1 / (1 + x)}
F = lambda name: {"lambda": name}
SGD, ADAM = ("SGD", {"momentum": 0.9}), ("Adam", {})
METRICS = [1.0, 0.9, 0.8, 0.79995, 0.8, 0.8, 0.81, 0.7, 0.7, 0.7, 0.7, 0.7, 0.7, 0.7, 0.7, 0.69, 0.69, 0.69, 0.69, 0.69, 0.69, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3]
WARM, COSINE = ["LinearLR", [], {"start_factor": 0.1, "total_iters": 6}], ["CosineAnnealingLR", [20], {"eta_min": 0.001}]
SCHEDULERS = [
    (["LambdaLR", [F("decay")], {}], SGD), (["LambdaLR", [[F("decay"), F("warm")]], {}], SGD), (["MultiplicativeLR", [F("shrink")], {}], SGD),
    (["StepLR", [7], {}], SGD), (["StepLR", [4], {"gamma": 0.5}], SGD), (["MultiStepLR", [[5, 9, 9, 20]], {"gamma": 0.3}], SGD),
    (["ConstantLR", [], {}], SGD), (["ConstantLR", [], {"factor": 0.5, "total_iters": 11}], SGD), (["LinearLR", [], {}], SGD),
    (["LinearLR", [], {"start_factor": 0.25, "end_factor": 0.5, "total_iters": 12}], SGD), (["ExponentialLR", [0.9], {}], SGD),
    (COSINE, SGD), (["CosineAnnealingLR", [7], {}], ADAM), (["CosineAnnealingWarmRestarts", [5], {}], SGD),
    (["CosineAnnealingWarmRestarts", [3], {"T_mult": 2, "eta_min": 0.01}], SGD), (["PolynomialLR", [], {"total_iters": 25, "power": 2.0}], SGD),
    (["PolynomialLR", [], {}], SGD), (["CyclicLR", [0.01, 0.2], {"step_size_up": 5}], SGD),
    (["CyclicLR", [[0.01, 0.02], [0.2, 0.3]], {"step_size_up": 4, "step_size_down": 7, "mode": "triangular2", "base_momentum": 0.7, "max_momentum": 0.99}], SGD),
    (["CyclicLR", [0.01, 0.2], {"step_size_up": 5, "mode": "exp_range", "gamma": 0.97}], ADAM),
    (["CyclicLR", [0.01, 0.2], {"step_size_up": 5, "scale_fn": F("half"), "scale_mode": "iterations", "cycle_momentum": False}], ("Adagrad", {})),
    (["OneCycleLR", [0.3], {"total_steps": 31}], SGD), (["OneCycleLR", [0.3], {"epochs": 4, "steps_per_epoch": 8, "three_phase": True, "pct_start": 0.4}], ADAM),
    (["OneCycleLR", [[0.3, 0.1]], {"total_steps": 40, "anneal_strategy": "linear", "div_factor": 10.0, "final_div_factor": 100.0, "base_momentum": 0.6, "max_momentum": 0.8}], ("RMSprop", {})),
    (["OneCycleLR", [0.3], {"total_steps": 31, "cycle_momentum": False}], ("Adagrad", {})),
    (["ReduceLROnPlateau", [], {"patience": 2}], SGD), (["ReduceLROnPlateau", [], {"patience": 1, "cooldown": 3, "factor": 0.5, "threshold": 0.01, "threshold_mode": "abs", "min_lr": [0.02, 0.001]}], SGD),
    (["ReduceLROnPlateau", [], {"mode": "max", "patience": 3, "factor": 0.7}], SGD), (["ReduceLROnPlateau", [], {"mode": "max", "patience": 2, "threshold_mode": "abs", "threshold": 0.5}], SGD),
    (["ChainedScheduler", [[["ConstantLR", [], {"factor": 0.1, "total_iters": 4}], ["ExponentialLR", [0.9], {}]]], {}], SGD),
    (["ChainedScheduler", [[WARM, ["StepLR", [10], {}], ["MultiplicativeLR", [F("shrink")], {}]]], {}], SGD),
    (["SequentialLR", [[WARM, COSINE], [6]], {}], SGD), (["SequentialLR", [[["ConstantLR", [], {}], ["ExponentialLR", [0.9], {}], ["PolynomialLR", [], {"total_iters": 8}]], [5, 15]], {}], SGD),
    (["SequentialLR", [[["ChainedScheduler", [[WARM, ["ExponentialLR", [0.97], {}]]], {}], ["CosineAnnealingWarmRestarts", [4], {}]], [10]], {}], SGD),
    (["SequentialLR", [[WARM, ["OneCycleLR", [0.3], {"total_steps": 30}]], [6]], {}], SGD),
    (["SWALR", [0.05], {}], SGD), (["SWALR", [[0.05, 0.3]], {"anneal_epochs": 6, "anneal_strategy": "linear"}], SGD), (["SWALR", [0.05], {"anneal_epochs": 0}], SGD),
]


def make(optimizer, described):
    name, args, kwargs = described

    def real(v):
        if isinstance(v, dict):
            return LAMBDAS[v["lambda"]]
        if isinstance(v, list) and v and isinstance(v[0], str):
            return make(optimizer, v)
        return [real(x) for x in v] if isinstance(v, list) else v
    args, kwargs = [real(a) for a in args], {k: real(v) for k, v in kwargs.items()}
    if name == "ChainedScheduler":
        return lr_scheduler.ChainedScheduler(*args)
    return SWALR(optimizer, *args, **kwargs) if name == "SWALR" else getattr(lr_scheduler, name)(optimizer, *args, **kwargs)


def scheduler_lines():
    lines = {}
    for described, (kind, kwargs) in SCHEDULERS:
        rates = [0.1, 0.25]
        optimizer = getattr(torch.optim, kind)([{"params": [torch.zeros(1, requires_grad=True)], "lr": lr} for lr in rates], **kwargs)
        scheduler = make(optimizer, described)
        momentum = lambda: [g["betas"][0] if "betas" in g else g.get("momentum", 0) for g in optimizer.param_groups]
        lrs, momenta = [[g["lr"] for g in optimizer.param_groups]], [momentum()]
        plateau = described[0] == "ReduceLROnPlateau"
        for step in range(30):
            optimizer.step()
            scheduler.step(METRICS[step]) if plateau else scheduler.step()
            lrs.append([g["lr"] for g in optimizer.param_groups])
            momenta.append(momentum())
            if scheduler.get_last_lr() != lrs[-1]:
                raise AssertionError(f"{described}: get_last_lr says something else")
        sample = {"make": described, "optimizer": [kind, kwargs], "lr": rates, "lrs": lrs, "momenta": momenta}
        if plateau:
            sample["metrics"] = METRICS
        lines.setdefault(described[0], []).append(sample)
    return [{"name": name, "samples": samples, "left_out": []} for name, samples in lines.items()]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", default=os.path.join(os.path.dirname(os.path.abspath(__file__)), "fixtures"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    os.makedirs(arguments.out, exist_ok=True)
    for name, lines in (("optimizers", list(optimizer_lines(arguments.seed))), ("schedulers", scheduler_lines())):
        S.write(os.path.join(arguments.out, f"{name}.jsonl.gz"), lines)
        print(f"{sum(bool(x['samples']) for x in lines)} {name}, {sum(len(x['samples']) for x in lines)} samples, {sum(n for x in lines for _, n in x['left_out'])} left out")


if __name__ == "__main__":
    main()
