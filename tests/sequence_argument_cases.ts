/** Bad arguments of embeddings, recurrent layers and attention. */
import { nn, ones, zeros } from "@pta/accelerated";
import { type BadArguments, indices, wrong } from "./bad_argument.ts";

export const sequenceArguments: BadArguments = {
  making: {
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
  },
  calling: {
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
  },
};
