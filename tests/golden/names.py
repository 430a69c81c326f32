"""PyTorch's public names by namespace: `fixtures/names.json`, {version, namespaces: {namespace: {name: kind}}, samples: {name: op_db name}}.

Kept are functions and classes that a training script may use. Left out are names with an underscore in front, what is imported from elsewhere,
and INTERNAL: twins of one vendor's library, pieces of the compiler and the quantizer's steps, that only PyTorch itself calls. `samples` says under which
of op_db's names a function is sampled, aliases included.
"""
import argparse, inspect, json, os, re, typing, warnings

import samples  # stands in for expecttest
import torch
from torch.testing._internal.common_methods_invocations import op_db

NAMESPACES = [
    "torch", "torch.linalg", "torch.special", "torch.nn", "torch.nn.functional", "torch.nn.init", "torch.nn.utils", "torch.nn.utils.parametrize",
    "torch.nn.utils.parametrizations", "torch.optim", "torch.optim.lr_scheduler",
]
INTERNAL = re.compile(
    r"^(cudnn_|miopen_|mkldnn_|fbgemm_|native_|quantized_|sym_|fused_|unsafe_|parse_|import_ir_|batch_norm_(backward|elemt|gather|stats|update))|^(has_torch_function)|_copy$"
    r"|^(q_|fake_quantize|quantize_|choose_qparams|int_repr|dequantize|empty_quantized)"
    r"|autocast_|_autocast|_anomaly|^(is_vulkan|is_distributed|is_same_size|is_storage|thread_safe|unify|merge_type|classproperty|typename)"
    r"|^(handle_torch_function|boolean_dispatch|assert_int_or_pair|prepare_multiprocessing|profiler_|init_num_threads|get_file_path)"
    r"|^(convolution|grid_sampler|grid_sampler_[23]d|affine_grid_generator|constant_pad_nd|embedding_renorm_|slice_inverse|norm_except_dim)$"
    r"|^(lstm|gru|rnn_relu|rnn_tanh)(_cell)?$|^(compiled_with_cxx11_abi|fork|wait|hash_tensor|feature_dropout_?|is_inference|factory_kwargs)$"
    r"|^(swap_in_optimizer|type_before_param|transfer_param|DType|ScalingType|SwizzleType|Container|NLLLoss2d|CrossMapLRN2d|RNNBase|RNNCellBase)"
)
# Classes of `torch` that scripts name; the other two hundred are the compiler's, or one for each dtype.
CLASSES = {
    "Event", "Generator", "GradScaler", "Size", "Stream", "Tensor", "autocast", "device", "dtype", "enable_grad", "finfo", "iinfo", "inference_mode",
    "layout", "memory_format", "no_grad", "set_grad_enabled",
}


def kind(value):
    if inspect.isclass(value):
        return "class"
    return "function" if callable(value) else None


def own(value):
    """Whether a value is PyTorch's: not imported from Python's library, not a type variable."""
    if isinstance(value, typing.TypeVar) or typing.get_origin(value) is not None:
        return False
    module = getattr(value, "__module__", None)
    return module is None or module.split(".")[0] in ("torch", "builtins")


def names(namespace):
    module = __import__(namespace, fromlist=["x"])
    open_ended = namespace in ("torch", "torch.nn.functional")
    listed = set(dir(module)) if open_ended else set(getattr(module, "__all__", None) or dir(module))
    found = {}
    for name in sorted(listed):
        value = getattr(module, name, None)
        if name.startswith("_") or inspect.ismodule(value) or kind(value) is None or not own(value) or INTERNAL.search(name):
            continue
        if kind(value) == "class" and (name not in CLASSES if namespace == "torch" else open_ended):
            continue
        found[name] = kind(value)
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", default=os.path.join(os.path.dirname(__file__), "fixtures"))
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    sampled = {}
    for op in op_db:
        sampled.setdefault(op.name, op.name)
        for alias in op.aliases:
            sampled.setdefault(alias.name, op.name)
    result = {
        "version": torch.__version__.split("+")[0],
        "namespaces": {n: names(n) for n in NAMESPACES},
        "samples": {k: v for k, v in sorted(sampled.items())},
    }
    with open(os.path.join(args.out, "names.json"), "w") as file:
        json.dump(result, file, indent=1)
        file.write("\n")
    print(" ".join(f"{n}={len(found)}" for n, found in result["namespaces"].items()))


if __name__ == "__main__":
    main()
