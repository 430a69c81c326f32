"""MLP 784-128-64-10, ReLU, mean cross entropy, SGD lr 0.01 momentum 0.9, float32, eager, the optimizer's defaults."""
from common import arguments, run, training

flags, torch = arguments()
nn, F = torch.nn, torch.nn.functional

batches = [(torch.rand(flags.batch, 784), torch.randint(0, 10, (flags.batch,))) for _ in range(8)]
model = nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10))
optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
run("mlp", training(model, optimizer, batches, F.cross_entropy, flags), flags)
