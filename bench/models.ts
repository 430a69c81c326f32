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
