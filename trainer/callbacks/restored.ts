/** Trying something out on a model without leaving traces. */
import { defaultGenerator, keep, type nn, noGrad, type optim, realize, Tensor } from "@pta/core";

/** A deep copy of a nested value with copies of its tensors, which outlive step scopes. */
function copied<T>(value: T): T {
  const walk = (x: unknown): unknown => {
    if (x instanceof Tensor) return noGrad(() => keep(x.detach().clone().realize()));
    if (Array.isArray(x)) return x.map(walk);
    if (typeof x !== "object" || x === null) return x;
    return Object.fromEntries(Object.entries(x).map(([key, v]) => [key, walk(v)]));
  };
  return walk(value) as T;
}

/** Gives back the memory of the tensors in a nested value. */
function disposed(value: unknown): void {
  if (value instanceof Tensor) value.dispose();
  else if (typeof value === "object" && value !== null) Object.values(value).forEach(disposed);
}

/**
 * Runs `body`, and whatever happens gives model, optimizer (state, options and first rates), modes and random numbers back what they had. The
 * model's tensors stay the same ones.
 *
 * @param model The model
 * @param optimizer Its optimizer
 * @param body May train the model
 */
export async function restored<T>(
  model: nn.Module,
  optimizer: optim.Optimizer,
  body: () => Promise<T>,
): Promise<T> {
  const weights = copied(model.stateDict()), state = copied(optimizer.stateDict());
  const initialLrs = optimizer.paramGroups.map((g) => g.initialLr);
  const modes = model.modules().map((m) => [m, m.training] as const);
  const draws = defaultGenerator.state();
  try {
    return await body();
  } finally {
    model.loadStateDict(weights);
    realize(...Object.values(model.stateDict()));
    optimizer.loadStateDict(state);
    optimizer.paramGroups.forEach((g, i) => g.initialLr = initialLrs[i]);
    optimizer.zeroGrad();
    for (const [module, training] of modes) module.training = training;
    defaultGenerator.setState(draws);
    disposed(weights);
    disposed(state);
  }
}
