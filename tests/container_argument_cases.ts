/** Bad arguments of containers, states and modules as a whole. */
import { nn, ones } from "@pta/accelerated";
import { type BadArguments, wrong } from "./bad_argument.ts";

const small = () => new nn.Sequential(new nn.Linear(3, 2));

export const containerArguments: BadArguments = {
  making: {
    "Sequential of a class": [
      () => new nn.Sequential(new nn.ReLU(), wrong(nn.ReLU)),
      "item 1",
      "ReLU",
      "Module",
    ],
    "ModuleList of a number": [() => new nn.ModuleList([wrong(3)]), "item 0", "number", "Module"],
    "ModuleList, no such item": [
      () => new nn.ModuleList([new nn.ReLU()]).at(1),
      "module 1",
      "ModuleList",
      "it has 1",
    ],
    "Sequential, insert": [
      () => new nn.Sequential().insert(2, new nn.ReLU()),
      "Cannot insert at 2",
      "Sequential",
      "it has 0",
    ],
    "ModuleDict of a tensor": [
      () => new nn.ModuleDict({ a: wrong(ones([1])) }),
      "a",
      "Tensor",
      "Module",
    ],
    "ModuleDict, no such key": [
      () => new nn.ModuleDict({ a: new nn.ReLU() }).get("b"),
      '"b"',
      "ModuleDict",
      "a",
    ],
    "ModuleDict, key with a dot": [
      () => new nn.ModuleDict({ "a.b": new nn.ReLU() }),
      "a.b",
      "dot",
    ],
    "ParameterList of a tensor": [
      () => new nn.ParameterList([wrong("w")]),
      "0",
      "string",
    ],
    "a state without a key": [
      () => small().loadStateDict({ "0.weight": ones([2, 3]) }),
      "Sequential",
      "missing keys: 0.bias",
    ],
    "a state with another key": [
      () => small().loadStateDict({ ...small().stateDict(), "1.weight": ones([1]) }),
      "Sequential",
      "unexpected keys: 1.weight",
    ],
    "a state of other shapes": [
      () => small().loadStateDict({ ...small().stateDict(), "0.weight": ones([3, 2]) }),
      "0.weight",
      "[3, 2]",
      "[2, 3]",
    ],
    "a state of numbers": [
      () => small().loadStateDict({ ...small().stateDict(), "0.weight": wrong(3) }),
      "Sequential",
      "0.weight",
      "Tensor",
    ],
    "no state": [() => small().loadStateDict(wrong(null)), "Sequential", "not tensors by name"],
    "a buffer with a dot": [
      () => new nn.ReLU().registerBuffer("a.b", ones([1])),
      "buffer",
      "a.b",
      "dot",
    ],
    "a module in an integer dtype": [
      () => new nn.Linear(2, 2).to("int32"),
      "int32",
      "floating",
    ],
    "a module on a device": [
      () => new nn.Linear(2, 2).to(wrong("cuda")),
      "cuda",
      "floating dtype",
      "where they are made",
    ],
  },
  calling: {
    "ModuleList": [() => new nn.ModuleList(), [ones([1])], "ModuleList", "loop"],
  },
};
