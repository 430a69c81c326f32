"""ResNet-18 on 32x32 images (3x3 stem, 10 classes) or ResNet-50 on 224x224 (`--depth 50`), mean cross entropy, SGD lr 0.01 momentum 0.9."""
from common import arguments, run, training

flags, torch = arguments(batch=128, depth=18)
nn, F = torch.nn, torch.nn.functional
DEEP = flags.depth == 50


def conv_norm(a, b, kernel, stride=1):
    return [nn.Conv2d(a, b, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(b)]


class Residual(nn.Module):
    def __init__(self, a, width, stride):
        super().__init__()
        b = 4 * width if DEEP else width
        if DEEP:
            self.main = nn.Sequential(*conv_norm(a, width, 1), nn.ReLU(), *conv_norm(width, width, 3, stride), nn.ReLU(), *conv_norm(width, b, 1))
        else:
            self.main = nn.Sequential(*conv_norm(a, width, 3, stride), nn.ReLU(), *conv_norm(width, b, 3))
        self.skip = nn.Sequential(*conv_norm(a, b, 1, stride)) if stride != 1 or a != b else nn.Identity()

    def forward(self, x):
        return F.relu(self.main(x) + self.skip(x))


stem = [*conv_norm(3, 64, 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1)] if DEEP else [*conv_norm(3, 64, 3), nn.ReLU()]
blocks, a = [], 64
for stage, count in enumerate([3, 4, 6, 3] if DEEP else [2, 2, 2, 2]):
    width = 64 << stage
    for i in range(count):
        blocks.append(Residual(a, width, 2 if i == 0 and stage > 0 else 1))
        a = 4 * width if DEEP else width
size, classes = (224, 1000) if DEEP else (32, 10)
model = nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(a, classes))
optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
batches = [(torch.rand(flags.batch, 3, size, size), torch.randint(0, classes, (flags.batch,))) for _ in range(2)]
run(f"resnet{flags.depth}", training(model, optimizer, batches, F.cross_entropy, flags), flags)
