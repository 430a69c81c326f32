"""GPT: 4 layers, 4 heads, width 128, context 64, vocabulary 96 (`--config gpt2`: GPT-2 small, 124M), tanh GELU, pre-norm, biases, learned positions, tied head, no dropout.
AdamW lr 3e-4, betas 0.9 and 0.95, weight decay 0.1 on all parameters; cross entropy over all positions; float32, eager."""
from common import arguments, run, training

flags, torch = arguments(batch=16, config="gpt")
nn, F = torch.nn, torch.nn.functional
sizes = {"gpt": (64, 4, 4, 128, 96), "gpt2": (1024, 12, 12, 768, 50304)}
B, (T, L, H, C, V) = flags.batch, sizes[flags.config]


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.ln1, self.ln2 = nn.LayerNorm(C), nn.LayerNorm(C)
        self.qkv, self.proj = nn.Linear(C, 3 * C), nn.Linear(C, C)
        self.fc1, self.fc2 = nn.Linear(C, 4 * C), nn.Linear(4 * C, C)

    def forward(self, x):
        q, k, v = (z.view(B, T, H, C // H).transpose(1, 2) for z in self.qkv(self.ln1(x)).split(C, 2))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.proj(y.transpose(1, 2).reshape(B, T, C))
        return x + self.fc2(F.gelu(self.fc1(self.ln2(x)), approximate="tanh"))


class GPT(nn.Module):
    def __init__(self):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(V, C), nn.Embedding(T, C)
        self.blocks = nn.ModuleList(Block() for _ in range(L))
        self.ln_f = nn.LayerNorm(C)
        for p in self.parameters():
            if p.dim() > 1:
                nn.init.normal_(p, std=0.02)
        self.register_buffer("positions", torch.arange(T), persistent=False)

    def forward(self, x):
        h = self.wte(x) + self.wpe(self.positions)
        for block in self.blocks:
            h = block(h)
        return F.linear(self.ln_f(h), self.wte.weight)


model = GPT()
optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4, betas=(0.9, 0.95), weight_decay=0.1)
batches = [(torch.randint(0, V, (B, T)), torch.randint(0, V, (B, T))) for _ in range(8)]
step = training(model, optimizer, batches, lambda logits, y: F.cross_entropy(logits.view(-1, V), y.view(-1)), flags)
run(flags.config, step, flags, parameters=sum(p.numel() for p in model.parameters()))
