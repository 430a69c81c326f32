"""`torch.nn.AdaptiveLogSoftmaxWithLoss`, which PyTorch's sample databases leave out: `adaptive_softmax.json`, the state, one pass with its gradients, all log probabilities and predictions for each case."""
import json, os

import torch

CASES = [([3], {}), ([2, 5], {"div_value": 2.0}), ([4, 6, 9], {"div_value": 1.5, "head_bias": True})]


def pack(t):
    return {"shape": list(t.shape), "data": t.detach().flatten().tolist()}


def main():
    torch.manual_seed(17)
    lines = []
    for cutoffs, options in CASES:
        module = torch.nn.AdaptiveLogSoftmaxWithLoss(8, 12, cutoffs, **options)
        x, target = torch.randn(12, 8, requires_grad=True), torch.randperm(12)
        output, loss = module(x, target)
        (loss + output.square().sum()).backward()
        lines.append(json.dumps({
            "cutoffs": cutoffs, "divValue": options.get("div_value", 4), "headBias": options.get("head_bias", False),
            "state": {k: pack(v) for k, v in module.state_dict().items()}, "x": pack(x), "target": target.tolist(), "output": pack(output), "loss": loss.item(),
            "grads": {**{k: pack(p.grad) for k, p in module.named_parameters()}, "x": pack(x.grad)},
            "logProb": pack(module.log_prob(x)), "predict": module.predict(x).tolist(),
        }, separators=(",", ":")))
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "adaptive_softmax.json"), "w") as file:
        file.write("[\n" + ",\n".join(lines) + "\n]\n")


if __name__ == "__main__":
    main()
