/** Bad arguments of losses. */
import { nn, ones, tensor, zeros } from "@pta/accelerated";
import { type BadArguments, indices } from "./bad_argument.ts";

export const lossArguments: BadArguments = {
  making: {
    "CrossEntropyLoss, smoothing": [
      () => new nn.CrossEntropyLoss({ labelSmoothing: 1.5 }),
      "CrossEntropyLoss",
      "labelSmoothing 1.5",
    ],
    "HuberLoss": [() => new nn.HuberLoss({ delta: 0 }), "HuberLoss", "delta 0"],
    "SmoothL1Loss": [() => new nn.SmoothL1Loss({ beta: -1 }), "SmoothL1Loss", "beta -1"],
    "MultiMarginLoss": [() => new nn.MultiMarginLoss({ p: 3 }), "MultiMarginLoss", "p 3", "1 or 2"],
    "TripletMarginLoss": [
      () => new nn.TripletMarginLoss({ margin: -1 }),
      "TripletMarginLoss",
      "margin -1",
    ],
  },
  calling: {
    "CrossEntropyLoss, rows": [
      () => new nn.CrossEntropyLoss(),
      [ones([2, 3]), indices(0, 1, 2)],
      "[2, 3]",
      "[3]",
    ],
    "CrossEntropyLoss, weights": [
      () => new nn.CrossEntropyLoss({ weight: ones([2]) }),
      [ones([2, 3]), indices(0, 1)],
      "weight",
      "[2]",
      "3",
    ],
    "NLLLoss, floats": [() => new nn.NLLLoss(), [ones([2, 3]), ones([2])], "float32", "int"],
    "MSELoss": [() => new nn.MSELoss(), [ones([2, 3]), ones([2])], "[2, 3]", "[2]"],
    "BCELoss": [() => new nn.BCELoss(), [ones([2]), ones([3])], "[2]", "[3]"],
    "KLDivLoss": [() => new nn.KLDivLoss(), [ones([2, 3]), ones([4])], "[2, 3]", "[4]"],
    "CosineEmbeddingLoss": [
      () => new nn.CosineEmbeddingLoss(),
      [ones([2, 3]), ones([2, 3]), ones([3])],
      "[3]",
      "[2]",
    ],
    "CTCLoss": [
      () => new nn.CTCLoss(),
      [zeros([5, 2, 4]), tensor([[1, 2], [2, 3]], { dtype: "int64" }), [5, 5, 5], [2, 2]],
      "inputLengths",
      "3",
      "2",
    ],
  },
};
