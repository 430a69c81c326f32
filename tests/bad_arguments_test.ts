/** A bad argument to a module: the message names the module's path, the argument, what it got and what it wants. One table: its length is the number of its rows. */
import { assert, assertThrows } from "@std/assert";
import { nn, ones, type Tensor, tensor, zeros } from "@pta/accelerated";

/** A model as users write it; the layer under test is `features.1`. */
class Net extends nn.Module {
  readonly features: nn.Sequential;
  constructor(layer: nn.Module) {
    super();
    this.features = new nn.Sequential(new nn.Identity(), layer);
  }
  override forward(...inputs: unknown[]): unknown {
    if (inputs.length === 1) return this.features.forward(inputs[0] as Tensor);
    return this.features.at(1).forward(...inputs);
  }
}

/** A constructor that must throw, and what its message says: the class, the argument, what it got, what it wants. */
type Making = readonly [make: () => unknown, ...says: string[]];
/** A layer, inputs it cannot take, and what the message says after the path of the layer. */
type Calling = readonly [layer: () => nn.Module, inputs: readonly unknown[], ...says: string[]];

/** What a message must not be: the engine's own words. */
const engineWords = /undefined|\[object|NaN|is not a function|Cannot read prop|is not iterable/;

/** A value of the wrong type, as JavaScript users can pass one. */
const wrong = (value: unknown) => value as never;
const indices = (...values: number[]) => tensor(values, { dtype: "int64" });

const small = () => new nn.Sequential(new nn.Linear(3, 2));

const making: Record<string, Making> = {
  "Linear, no inputs": [() => new nn.Linear(0, 4), "Linear", "inFeatures 0", "at least 1"],
  "Linear, half an output": [() => new nn.Linear(3, 2.5), "Linear", "outFeatures 2.5", "whole"],
  "Bilinear": [() => new nn.Bilinear(3, -1, 2), "Bilinear", "in2Features -1", "at least 1"],
  "LayerNorm": [() => new nn.LayerNorm([4, 0]), "LayerNorm", "normalizedShape", "0"],
  "LayerNorm, empty": [() => new nn.LayerNorm([]), "LayerNorm", "normalizedShape", "[]"],
  "RMSNorm": [() => new nn.RMSNorm(-2), "RMSNorm", "normalizedShape", "-2"],
  "GroupNorm": [() => new nn.GroupNorm(3, 8), "GroupNorm", "numChannels 8", "numGroups 3"],
  "GroupNorm, no groups": [() => new nn.GroupNorm(0, 8), "GroupNorm", "numGroups 0", "at least 1"],
  "BatchNorm1d": [() => new nn.BatchNorm1d(0), "BatchNorm1d", "numFeatures 0", "at least 1"],
  "BatchNorm2d, eps": [() => new nn.BatchNorm2d(3, { eps: -1 }), "BatchNorm2d", "eps -1"],
  "BatchNorm2d, momentum": [
    () => new nn.BatchNorm2d(3, { momentum: 2 }),
    "BatchNorm2d",
    "momentum 2",
  ],
  "InstanceNorm3d": [() => new nn.InstanceNorm3d(1.5), "InstanceNorm3d", "numFeatures 1.5"],
  "LocalResponseNorm": [() => new nn.LocalResponseNorm(0), "LocalResponseNorm", "size 0"],
  "Embedding": [() => new nn.Embedding(0, 4), "Embedding", "numEmbeddings 0", "at least 1"],
  "Embedding, padding": [
    () => new nn.Embedding(10, 4, { paddingIdx: 10 }),
    "Embedding",
    "paddingIdx 10",
    "-10",
  ],
  "EmbeddingBag, mode": [
    () => new nn.EmbeddingBag(10, 4, { mode: wrong("median") }),
    "EmbeddingBag",
    "mode",
    "median",
    "sum",
  ],
  "EmbeddingBag, padding": [
    () => new nn.EmbeddingBag(10, 4, { paddingIdx: -11 }),
    "EmbeddingBag",
    "paddingIdx -11",
  ],
  "RNN": [() => new nn.RNN(0, 4), "RNN", "inputSize 0", "at least 1"],
  "RNN, nonlinearity": [
    () => new nn.RNN(3, 4, { nonlinearity: wrong("gelu") }),
    "RNN",
    "nonlinearity",
    "gelu",
    "tanh",
  ],
  "LSTM, layers": [() => new nn.LSTM(3, 4, { numLayers: 0 }), "LSTM", "numLayers 0"],
  "LSTM, projection": [() => new nn.LSTM(3, 4, { projSize: 4 }), "LSTM", "projSize 4", "4"],
  "GRU, dropout": [() => new nn.GRU(3, 4, { dropout: 1.5 }), "GRU", "dropout 1.5", "0"],
  "GRUCell": [() => new nn.GRUCell(3, 0), "GRUCell", "hiddenSize 0", "at least 1"],
  "MultiheadAttention": [
    () => new nn.MultiheadAttention(10, 3),
    "MultiheadAttention",
    "embedDim 10",
    "numHeads 3",
  ],
  "MultiheadAttention, dropout": [
    () => new nn.MultiheadAttention(8, 2, { dropout: -0.1 }),
    "MultiheadAttention",
    "dropout -0.1",
  ],
  "TransformerEncoderLayer": [
    () => new nn.TransformerEncoderLayer(10, 4),
    "10",
    "numHeads 4",
    "multiple",
  ],
  "TransformerEncoder": [
    () => new nn.TransformerEncoder(new nn.TransformerEncoderLayer(8, 2), 0),
    "TransformerEncoder",
    "numLayers 0",
  ],
  "Transformer": [
    () => new nn.Transformer({ dModel: 8, nhead: 2, numEncoderLayers: -1 }),
    "numEncoderLayers -1",
  ],
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
  "Dropout": [() => new nn.Dropout(1.5), "Dropout", "p 1.5", "0"],
  "Dropout2d": [() => new nn.Dropout2d(-0.5), "Dropout2d", "p -0.5", "1"],
  "AlphaDropout": [() => new nn.AlphaDropout(2), "AlphaDropout", "p 2"],
  "RReLU": [() => new nn.RReLU(0.5, 0.1), "RReLU", "0.5", "0.1"],
  "PReLU": [() => new nn.PReLU(0), "PReLU", "numParameters 0", "at least 1"],
  "Hardtanh": [() => new nn.Hardtanh(2, 1), "Hardtanh", "minVal 2", "maxVal 1"],
  "GELU": [
    () => new nn.GELU({ approximate: wrong("fast") }),
    "GELU",
    "approximate",
    "fast",
    "tanh",
  ],
  "Softshrink": [() => new nn.Softshrink(-1), "Softshrink", "lambd -1", "0"],
  "Upsample, neither": [() => new nn.Upsample({}), "Upsample", "size", "scaleFactor"],
  "Upsample, mode": [
    () => new nn.Upsample({ scaleFactor: 2, mode: wrong("lanczos") }),
    "Upsample",
    "mode",
    "lanczos",
    "nearest",
  ],
  "ZeroPad2d": [() => new nn.ZeroPad2d([1, 2, 3]), "ZeroPad2d", "padding", "[1, 2, 3]", "4"],
  "ReflectionPad1d": [() => new nn.ReflectionPad1d(0.5), "ReflectionPad1d", "padding", "0.5"],
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
  "PixelShuffle": [() => new nn.PixelShuffle(0), "PixelShuffle", "upscaleFactor 0"],
  "Conv2d": [() => new nn.Conv2d(0, 4, 3), "Conv2d", "inChannels 0", "at least 1"],
  "Conv2d, groups": [
    () => new nn.Conv2d(3, 4, 3, { groups: 2 }),
    "Conv2d",
    "inChannels 3",
    "groups 2",
  ],
  "Conv1d, groups": [
    () => new nn.Conv1d(4, 6, 3, { groups: 4 }),
    "Conv1d",
    "outChannels 6",
    "groups 4",
  ],
  "Conv2d, three sizes": [
    () => new nn.Conv2d(3, 4, [3, 3, 3]),
    "Conv2d",
    "kernelSize [3, 3, 3]",
    "2 numbers",
  ],
  "Conv3d, stride": [() => new nn.Conv3d(3, 4, 3, { stride: 0 }), "Conv3d", "stride [0", "1"],
  "Conv2d, padding": [
    () => new nn.Conv2d(3, 4, 3, { padding: wrong("full") }),
    "Conv2d",
    "padding",
    "full",
    "same",
  ],
  "Conv2d, same with a stride": [
    () => new nn.Conv2d(3, 4, 3, { padding: "same", stride: 2 }),
    "Conv2d",
    "stride [2, 2]",
    "must be 1",
  ],
  "Conv2d, padding mode": [
    () => new nn.Conv2d(3, 4, 3, { paddingMode: wrong("mirror") }),
    "Conv2d",
    "paddingMode mirror",
    "reflect",
  ],
  "ConvTranspose2d, groups": [
    () => new nn.ConvTranspose2d(4, 6, 3, { groups: 4 }),
    "ConvTranspose2d",
    "outChannels 6",
    "groups 4",
  ],
  "ConvTranspose1d, dilation": [
    () => new nn.ConvTranspose1d(4, 6, 3, { dilation: 0 }),
    "ConvTranspose1d",
    "dilation [0]",
    "at least 1",
  ],
  "MaxPool2d": [() => new nn.MaxPool2d(0), "MaxPool2d", "kernelSize [0, 0]", "at least 1"],
  "MaxPool2d, padding": [
    () => new nn.MaxPool2d(2, { padding: 2 }),
    "MaxPool2d",
    "padding [2, 2]",
    "half",
  ],
  "AvgPool2d, divisor": [
    () => new nn.AvgPool2d(2, { divisorOverride: 0 }),
    "AvgPool2d",
    "divisorOverride 0",
  ],
  "LPPool2d": [
    () => new nn.LPPool2d(2, [2, 2, 2]),
    "LPPool2d",
    "kernelSize [2, 2, 2]",
    "2 numbers",
  ],
  "AdaptiveAvgPool2d": [
    () => new nn.AdaptiveAvgPool2d(-1),
    "AdaptiveAvgPool2d",
    "outputSize [-1, -1]",
    "at least 1",
  ],
  "FractionalMaxPool2d": [
    () => new nn.FractionalMaxPool2d(2, {}),
    "FractionalMaxPool2d",
    "outputSize",
    "outputRatio",
  ],
  "Unfold": [() => new nn.Unfold(0), "Unfold", "kernelSize [0, 0]", "at least 1"],
  "ChannelShuffle": [() => new nn.ChannelShuffle(0), "ChannelShuffle", "groups 0", "at least 1"],
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
};

const calling: Record<string, Calling> = {
  "Linear": [() => new nn.Linear(3, 2), [ones([4, 5])], "[4, 5]", "3"],
  "Linear, a scalar": [() => new nn.Linear(3, 2), [tensor(1)], "[]", "3"],
  "Linear, not a tensor": [() => new nn.Linear(3, 2), [wrong([1, 2, 3])], "Tensor"],
  "Linear, integers": [() => new nn.Linear(3, 2), [ones([4, 3], { dtype: "int64" })], "int64"],
  "Bilinear": [() => new nn.Bilinear(3, 4, 2), [ones([5, 3]), ones([5, 3])], "[5, 3]", "4"],
  "LayerNorm": [() => new nn.LayerNorm(6), [ones([2, 5])], "[2, 5]", "[6]"],
  "RMSNorm": [() => new nn.RMSNorm([2, 3]), [ones([3, 2])], "[3, 2]", "[2, 3]"],
  "GroupNorm": [() => new nn.GroupNorm(2, 4), [ones([1, 6, 3])], "[1, 6, 3]", "4"],
  "BatchNorm1d, rank": [() => new nn.BatchNorm1d(3), [ones([2, 3, 4, 5])], "[2, 3, 4, 5]", "3"],
  "BatchNorm2d, channels": [() => new nn.BatchNorm2d(3), [ones([2, 4, 5, 5])], "[2, 4, 5, 5]", "3"],
  "InstanceNorm2d": [
    () => new nn.InstanceNorm2d(3, { affine: true }),
    [ones([1, 2, 4, 4])],
    "[1, 2, 4, 4]",
    "3",
  ],
  "Embedding, floats": [() => new nn.Embedding(10, 4), [ones([2])], "float32", "int"],
  "Embedding, out of range": [
    () => new nn.Embedding(10, 4),
    [indices(3, 10)],
    "index holds 10",
    "0 to 9",
  ],
  "EmbeddingBag, out of range": [
    () => new nn.EmbeddingBag(10, 4),
    [indices(-1, 3).reshape(1, 2)],
    "index holds -1",
    "0 to 9",
  ],
  "EmbeddingBag, no offsets": [() => new nn.EmbeddingBag(10, 4), [indices(1, 2)], "offsets"],
  "RNN": [() => new nn.RNN(3, 4), [ones([5, 2, 6])], "[5, 2, 6]", "3"],
  "LSTM, rank": [() => new nn.LSTM(3, 4), [ones([3])], "[3]", "3"],
  "GRU, state": [
    () => new nn.GRU(3, 4),
    [ones([5, 2, 3]), ones([1, 3, 4])],
    "[1, 3, 4]",
    "[1, 2, 4]",
  ],
  "LSTMCell": [() => new nn.LSTMCell(3, 4), [ones([2, 5])], "[2, 5]", "3"],
  "MultiheadAttention": [
    () => new nn.MultiheadAttention(8, 2),
    [ones([3, 1, 6]), ones([3, 1, 8]), ones([3, 1, 8])],
    "query",
    "[3, 1, 6]",
    "8",
  ],
  "TransformerEncoderLayer": [
    () => new nn.TransformerEncoderLayer(8, 2),
    [ones([3, 1, 6])],
    "[3, 1, 6]",
    "8",
  ],
  "MultiheadAttention, mask": [
    () => new nn.MultiheadAttention(8, 2),
    [ones([3, 1, 8]), ones([5, 1, 8]), ones([5, 1, 8]), { attnMask: zeros([3, 3]) }],
    "attnMask [3, 3]",
    "[3, 5]",
  ],
  "MultiheadAttention, padding mask": [
    () => new nn.MultiheadAttention(8, 2),
    [ones([3, 1, 8]), ones([5, 1, 8]), ones([5, 1, 8]), { keyPaddingMask: zeros([1, 4]) }],
    "keyPaddingMask [1, 4]",
    "[1, 5]",
  ],
  "RNN, not a tensor": [() => new nn.RNN(3, 4), ["x"], "x", "Tensor"],
  "Conv2d, channels": [() => new nn.Conv2d(3, 4, 3), [ones([2, 4, 8, 8])], "[2, 4, 8, 8]", "3, H"],
  "Conv2d, rank": [() => new nn.Conv2d(3, 4, 3), [ones([3, 8])], "[3, 8]", "[N, 3, H, W]"],
  "Conv2d, too small": [() => new nn.Conv2d(3, 4, 9), [ones([1, 3, 8, 8])], "size 8", "kernel 9"],
  "Conv2d, integers": [
    () => new nn.Conv2d(3, 4, 3),
    [ones([1, 3, 8, 8], { dtype: "int64" })],
    "int64",
    "float32",
  ],
  "Conv1d, reflection": [
    () => new nn.Conv1d(3, 4, 3, { paddingMode: "reflect", padding: 9 }),
    [ones([1, 3, 4])],
    "[1, 3, 4]",
    "reflect",
    "at most 3",
  ],
  "ConvTranspose2d, output size": [
    () => new nn.ConvTranspose2d(3, 4, 3, { stride: 2 }),
    [ones([1, 3, 8, 8]), { outputSize: [30, 30] }],
    "outputSize [30, 30]",
    "[17, 17] to [18, 18]",
  ],
  "MaxPool2d": [() => new nn.MaxPool2d(3), [ones([1, 1, 2, 2])], "[1, 1, 2, 2]", "[3, 3]"],
  "MaxPool2d, rank": [() => new nn.MaxPool2d(2), [ones([4])], "[4]", "3 or 4"],
  "AvgPool1d": [() => new nn.AvgPool1d(5), [ones([1, 3])], "[1, 3]", "kernelSize [5]"],
  "MaxUnpool2d": [
    () => new nn.MaxUnpool2d(2),
    [ones([1, 1, 2, 2]), ones([1, 1, 3, 2], { dtype: "int64" })],
    "indices [1, 1, 3, 2]",
    "[1, 1, 2, 2]",
  ],
  "Unfold": [() => new nn.Unfold(5), [ones([1, 1, 3, 3])], "[1, 1, 3, 3]", "kernel 5"],
  "Fold": [() => new nn.Fold([4, 4], 2), [ones([1, 4, 5])], "[1, 4, 5]", "9"],
  "ChannelShuffle": [
    () => new nn.ChannelShuffle(3),
    [ones([1, 4, 2, 2])],
    "[1, 4, 2, 2]",
    "groups 3",
  ],
  "PReLU": [() => new nn.PReLU(3), [ones([2, 4])], "[2, 4]", "3"],
  "GLU": [() => new nn.GLU(), [ones([2, 5])], "[2, 5]", "even"],
  "ReflectionPad1d": [() => new nn.ReflectionPad1d(4), [ones([1, 2, 3])], "4", "3"],
  "Upsample": [() => new nn.Upsample({ scaleFactor: [2, 2] }), [ones([1, 2, 3])], "[1, 2, 3]"],
  "Unflatten": [() => new nn.Unflatten(1, [2, 2]), [ones([1, 6])], "6", "[2, 2]"],
  "PixelShuffle": [() => new nn.PixelShuffle(2), [ones([1, 6, 3, 3])], "[1, 6, 3, 3]", "4"],
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
  "ModuleList": [() => new nn.ModuleList(), [ones([1])], "ModuleList", "loop"],
};

for (const [name, [make, ...says]] of Object.entries(making)) {
  Deno.test(`making ${name}`, () => {
    const { message } = assertThrows(make, Error);
    for (const text of says) assert(message.includes(text), `"${message}" does not say ${text}`);
    assert(!engineWords.test(message) && message.startsWith("Cannot "), message);
  });
}

for (const [name, [layer, inputs, ...says]] of Object.entries(calling)) {
  Deno.test(`calling ${name}`, () => {
    const made = layer(), net = new Net(made);
    const { message } = assertThrows(() => {
      const y = net.forward(...inputs);
      // An index is looked at when the values are.
      if (y instanceof Object && "data" in y) (y as Tensor).data();
    }, Error);
    const path = `In features.1 (${made.constructor.name}): Cannot `;
    const nested = message.startsWith("In features.1.") && message.includes("): Cannot ");
    assert(message.startsWith(path) || nested, message);
    for (const text of says) assert(message.includes(text), `"${message}" does not say ${text}`);
    assert(!engineWords.test(message), message);
  });
}
