"""Two convolutions with pooling on 28x28 images, mean cross entropy, SGD lr 0.01 momentum 0.9, float32, eager."""
from common import arguments, run, training

flags, torch = arguments(batch=64)
nn, F = torch.nn, torch.nn.functional

batches = [(torch.rand(flags.batch, 1, 28, 28), torch.randint(0, 10, (flags.batch,))) for _ in range(4)]
model = nn.Sequential(
    nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
    nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
    nn.Flatten(), nn.Linear(3136, 10),
)
optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
run("cnn", training(model, optimizer, batches, F.cross_entropy, flags), flags)
