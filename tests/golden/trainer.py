"""Writes trainer.json: losses of each epoch as pytorch-accelerated's own Trainer reports them, for tests/trainer_golden_test.ts to reproduce.

    python trainer.py        (pytorch-accelerated 54b2dbf and accelerate 1.15 on the path, PyTorch 2.13 on the CPU; deterministic, a few seconds)

Every case is run by that library. Where it is wrong, `losses` are those of the same run with the one mistake mended, and `original` keeps what it says:

- accumulation: it reports the loss divided by the number of micro-batches, and divides a partial last window by the full number. The gradient of a
  window is that of the mean loss over its samples, so the run must equal one whose batches are the windows: batches of 8 instead of 4 x 2.
- cosine: its step counter starts at -1, so the first two optimizer steps use one rate and every later one lags by one; and the cosine is left at
  step `n - w` of n instead of at the end, `w` (the warm-up) steps early, with a jump to the least rate. Mended: step k of n (from 0)
  uses `start + (base - start) k / w` for k < w, else `min + (base - min) (1 + cos(pi (k - w) / (n - w))) / 2`.
- ema: it averages once an epoch. Mended: after every optimizer step t (from 0) with decay `min(0.9, (1 + t) / (10 + t))`.
- clipNorm: it can only clip by value; clipping by norm is the override that its documentation shows.
"""
import json
import math
import os
import sys

import torch
from torch import nn

from make_golden import uniform
from pytorch_accelerated import Trainer
from pytorch_accelerated.callbacks import ModelEmaCallback
from pytorch_accelerated.schedulers import CosineLrScheduler
from pytorch_accelerated.utils import ModelEma

HERE = os.path.dirname(os.path.abspath(__file__))
EPOCHS, BATCH, TRAIN, EVAL, FEATURES, CLASSES = 5, 8, 42, 19, 8, 4
STEPS = math.ceil(TRAIN / BATCH)
SEED = 7


def data(n, number):
    x = uniform((n, FEATURES), SEED, number, 0.0, 1.5)
    y = (x[:, 0] > 0).long() + 2 * (x[:, 1] * x[:, 2] > x[:, 3] * 0.3).long()
    return torch.utils.data.TensorDataset(x, y)


train_data, eval_data = data(TRAIN, 1), data(EVAL, 2)


def make_model(batch_norm):
    # A bias before a norm has no effect and a gradient of rounding noise, which Adam would make steps of.
    layers = [nn.Linear(FEATURES, 16, bias=not batch_norm), *([nn.BatchNorm1d(16)] if batch_norm else []), nn.Tanh(), nn.Linear(16, CLASSES)]
    model = nn.Sequential(*layers)
    with torch.no_grad():
        for i, module in enumerate(m for m in model if isinstance(m, nn.Linear)):
            k = 1 / math.sqrt(module.in_features)
            module.weight.copy_(uniform(tuple(module.weight.shape), SEED, 10 + 2 * i, 0.0, k))
            if module.bias is not None:
                module.bias.copy_(uniform(tuple(module.bias.shape), SEED, 11 + 2 * i, 0.0, k))
    return model


# Every epoch has an order of its own, which the fixture holds.
orders = [torch.randperm(TRAIN, generator=torch.Generator().manual_seed(100 + e)).tolist() for e in range(EPOCHS)]


class Orders(torch.utils.data.Sampler):
    def __init__(self):
        self.epoch = 0

    def __len__(self):
        return TRAIN

    def __iter__(self):
        self.epoch += 1
        return iter(orders[self.epoch - 1])


class ByNorm(Trainer):
    def _clip_gradients(self):
        self._accelerator.clip_grad_norm_(self.model.parameters(), self.run_config.gradient_clip_value)


class EmaEveryStep(Trainer):
    """Averages after every optimizer step, and evaluates the averages after every epoch."""

    def training_run_start(self):
        self.ema, self.updates, self.ema_losses = ModelEma(self.get_model()), 0, []

    def optimizer_step(self):
        super().optimizer_step()
        self.ema.decay = min(0.9, (1 + self.updates) / (10 + self.updates))
        # Its own update multiplies the count of batches, a whole number: only what is real is averaged here.
        with torch.no_grad():
            for average, now in zip(self.ema.module.state_dict().values(), self.get_model().state_dict().values()):
                average.copy_(self.ema.update_fn(average, now) if average.is_floating_point() else now)
        self.updates += 1

    def training_run_epoch_end(self):
        x, y = eval_data.tensors
        with torch.no_grad():
            self.ema_losses.append(nn.functional.cross_entropy(self.ema.module(x), y).item())


def run(name, make_optimizer, *, trainer_class=Trainer, batch=BATCH, batch_norm=True, callbacks=(), **options):
    model = make_model(batch_norm)
    trainer = trainer_class(model, nn.CrossEntropyLoss(), make_optimizer(model.parameters()), callbacks=callbacks)
    trainer.train(
        train_data,
        num_epochs=EPOCHS,
        eval_dataset=eval_data,
        per_device_batch_size=batch,
        train_dataloader_kwargs={"sampler": Orders(), "num_workers": 0},
        eval_dataloader_kwargs={"num_workers": 0},
        **options,
    )
    history = trainer.run_history
    losses = {
        "train": [float(x) for x in history.get_metric_values("train_loss_epoch")],
        "eval": [float(x) for x in history.get_metric_values("eval_loss_epoch")],
    }
    if hasattr(trainer, "ema_losses"):
        losses["ema"] = trainer.ema_losses
    names = history.get_metric_names()
    if "ema_model_eval_loss_epoch" in names:
        losses["ema"] = [float(x) for x in history.get_metric_values("ema_model_eval_loss_epoch")]
    return losses


def sgd(parameters):
    return torch.optim.SGD(parameters, lr=0.1, momentum=0.9)


def adamw(parameters):
    return torch.optim.AdamW(parameters, lr=0.02)


def mended_cosine(optimizer):
    n, w, base, start, low = EPOCHS * STEPS, STEPS, 0.02, 1e-6, 1e-6

    def rate(k):
        if k < w:
            return (start + (base - start) * k / w) / base
        return (low + (base - low) * (1 + math.cos(math.pi * min(1, (k - w) / (n - w)))) / 2) / base

    return torch.optim.lr_scheduler.LambdaLR(optimizer, rate)


def original_cosine(optimizer):
    return CosineLrScheduler(optimizer, total_num_epochs=EPOCHS, num_update_steps_per_epoch=STEPS, num_warmup_epochs=1)


def main():
    sys.stdout = open(os.devnull, "w")
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    accumulation = {"batch": BATCH // 4, "gradient_accumulation_steps": 4}
    cases = {
        "plain": {"losses": run("plain", sgd)},
        "clipValue": {"losses": run("clipValue", sgd, gradient_clip_value=0.02)},
        "clipNorm": {"losses": run("clipNorm", sgd, trainer_class=ByNorm, gradient_clip_value=0.1)},
        "cosine": {
            "losses": run("cosine", adamw, create_scheduler_fn=mended_cosine),
            "original": run("cosine", adamw, create_scheduler_fn=original_cosine),
        },
        "accumulation": {
            "losses": run("accumulation", sgd, batch_norm=False),
            "original": run("accumulation", sgd, batch_norm=False, **accumulation),
        },
        "ema": {
            "losses": run("ema", adamw, trainer_class=EmaEveryStep),
            "original": run("ema", adamw, callbacks=[ModelEmaCallback(decay=0.9, save_path=os.devnull)]),
        },
    }
    model = make_model(False)
    fixture = {
        "epochs": EPOCHS,
        "batch": BATCH,
        "orders": orders,
        "weights": {key: value.flatten().tolist() for key, value in model.state_dict().items()},
        "train": [t.flatten().tolist() for t in train_data.tensors],
        "eval": [t.flatten().tolist() for t in eval_data.tensors],
        "cases": cases,
    }
    with open(os.path.join(HERE, "trainer.json"), "w") as file:
        json.dump(fixture, file, separators=(",", ":"))
        file.write("\n")
    print(json.dumps(cases, indent=1), file=sys.stderr)


if __name__ == "__main__":
    main()
