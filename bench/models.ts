/** The networks that benchmarks and golden tests share. */
import { arange, nn, type Tensor } from "@pta/accelerated";

const { functional: F } = nn;

/** 784-128-64-10 with ReLU. */
export function mlp(): nn.Sequential {
  return new nn.Sequential(
    new nn.Linear(784, 128),
    new nn.ReLU(),
    new nn.Linear(128, 64),
    new nn.ReLU(),
    new nn.Linear(64, 10),
  );
}

/** Two convolutions of 3x3 with pooling, for images of 28x28. */
export function cnn(): nn.Sequential {
  return new nn.Sequential(
    new nn.Conv2d(1, 32, 3, { padding: 1 }),
    new nn.ReLU(),
    new nn.MaxPool2d(2),
    new nn.Conv2d(32, 64, 3, { padding: 1 }),
    new nn.ReLU(),
    new nn.MaxPool2d(2),
    new nn.Flatten(),
    new nn.Linear(3136, 10),
  );
}

/** Sizes of {@linkcode GPT}. */
export interface GPTConfig {
  layers: number;
  heads: number;
  width: number;
  context: number;
  vocabulary: number;
}

/** The small one that the benchmark names: 813,824 parameters. */
export const smallGPT: GPTConfig = { layers: 4, heads: 4, width: 128, context: 64, vocabulary: 96 };

class Attention extends nn.Module {
  qkv: nn.Linear;
  proj: nn.Linear;
  constructor(readonly heads: number, width: number) {
    super();
    this.qkv = new nn.Linear(width, 3 * width);
    this.proj = new nn.Linear(width, width);
  }
  override forward(x_BTC: Tensor): Tensor {
    const [b, t, width] = x_BTC.shape;
    const [q, k, v] = this.qkv.forward(x_BTC).chunk(3, 2).map((part) =>
      part.reshape(b, t, this.heads, width / this.heads).transpose(1, 2)
    );
    const y = F.scaledDotProductAttention(q, k, v, { isCausal: true });
    return this.proj.forward(y.transpose(1, 2).reshape(b, t, width));
  }
}

class MLPBlock extends nn.Module {
  fc1: nn.Linear;
  fc2: nn.Linear;
  constructor(width: number) {
    super();
    this.fc1 = new nn.Linear(width, 4 * width);
    this.fc2 = new nn.Linear(4 * width, width);
  }
  override forward(x: Tensor): Tensor {
    return this.fc2.forward(F.gelu(this.fc1.forward(x), { approximate: "tanh" }));
  }
}

class Block extends nn.Module {
  ln1: nn.LayerNorm;
  attn: Attention;
  ln2: nn.LayerNorm;
  mlp: MLPBlock;
  constructor(config: GPTConfig) {
    super();
    this.ln1 = new nn.LayerNorm(config.width);
    this.attn = new Attention(config.heads, config.width);
    this.ln2 = new nn.LayerNorm(config.width);
    this.mlp = new MLPBlock(config.width);
  }
  override forward(x: Tensor): Tensor {
    const middle = x.add(this.attn.forward(this.ln1.forward(x)));
    return middle.add(this.mlp.forward(this.ln2.forward(middle)));
  }
}

/** Pre-norm transformer with learned positions and a head tied to the token embedding. */
export class GPT extends nn.Module {
  wte: nn.Embedding;
  wpe: nn.Embedding;
  blocks: nn.ModuleList;
  ln_f: nn.LayerNorm;
  constructor(readonly config: GPTConfig = smallGPT) {
    super();
    this.wte = new nn.Embedding(config.vocabulary, config.width);
    this.wpe = new nn.Embedding(config.context, config.width);
    this.blocks = new nn.ModuleList(
      Array.from({ length: config.layers }, () => new Block(config)),
    );
    this.ln_f = new nn.LayerNorm(config.width);
  }
  /** Logits `[B, T, V]` of tokens `[B, T]`. */
  override forward(tokens_BT: Tensor): Tensor {
    const t = tokens_BT.shape[1];
    const positions = arange(t, undefined, 1, { dtype: "int32", device: tokens_BT.device });
    let x = this.wte.forward(tokens_BT).add(this.wpe.forward(positions));
    for (const block of this.blocks) x = (block as Block).forward(x);
    return this.ln_f.forward(x).matmul(this.wte.weight.transpose(0, 1));
  }
}

/** GPT-2 small: 124 million parameters, the vocabulary padded to a multiple of 128. */
export const gpt2: GPTConfig = {
  layers: 12,
  heads: 12,
  width: 768,
  context: 1024,
  vocabulary: 50304,
};

/** Convolution without bias, then batch norm. */
function convNorm(from: number, to: number, kernel: number, stride = 1): nn.Module[] {
  const padding = kernel >> 1;
  return [
    new nn.Conv2d(from, to, kernel, { stride, padding, bias: false }),
    new nn.BatchNorm2d(to),
  ];
}

/** A residual block: two 3x3 convolutions, or 1x1, 3x3 and 1x1 to four times the width. */
class Residual extends nn.Module {
  main: nn.Sequential;
  skip: nn.Sequential | undefined;
  constructor(from: number, width: number, stride: number, bottleneck: boolean) {
    super();
    const to = bottleneck ? 4 * width : width;
    this.main = bottleneck
      ? new nn.Sequential(
        ...convNorm(from, width, 1),
        new nn.ReLU(),
        ...convNorm(width, width, 3, stride),
        new nn.ReLU(),
        ...convNorm(width, to, 1),
      )
      : new nn.Sequential(
        ...convNorm(from, width, 3, stride),
        new nn.ReLU(),
        ...convNorm(width, to, 3),
      );
    if (stride !== 1 || from !== to) {
      this.skip = new nn.Sequential(...convNorm(from, to, 1, stride));
    }
  }
  override forward(x: Tensor): Tensor {
    const y = this.main.forward(x) as Tensor;
    return y.add(this.skip === undefined ? x : this.skip.forward(x) as Tensor).relu();
  }
}

/** ResNet-18 for 32x32 images (a 3x3 stem, 10 classes), or ResNet-50 for 224x224 (7x7 stem and pooling, 1,000 classes). */
export function resnet(depth: 18 | 50): nn.Sequential {
  const deep = depth === 50, counts = deep ? [3, 4, 6, 3] : [2, 2, 2, 2];
  const stem = deep
    ? [...convNorm(3, 64, 7, 2), new nn.ReLU(), new nn.MaxPool2d(3, { stride: 2, padding: 1 })]
    : [...convNorm(3, 64, 3), new nn.ReLU()];
  const blocks: nn.Module[] = [];
  let from = 64;
  counts.forEach((count, stage) => {
    const width = 64 << stage;
    for (let i = 0; i < count; i++) {
      blocks.push(new Residual(from, width, i === 0 && stage > 0 ? 2 : 1, deep));
      from = deep ? 4 * width : width;
    }
  });
  return new nn.Sequential(
    ...stem,
    ...blocks,
    new nn.AdaptiveAvgPool2d(1),
    new nn.Flatten(),
    new nn.Linear(from, deep ? 1000 : 10),
  );
}
