/** What a model consists of and what its forward pass takes, without computing anything. */
import { type DType, dtypes } from "../dtype.ts";
import { defaultGenerator } from "../rng.ts";
import { noGrad, Tensor, zeros } from "../tensor/mod.ts";
import { flopRule } from "./flops.ts";
import type { HookHandle } from "./hooks.ts";
import type { Module } from "./module.ts";
import { summaryTable } from "./summary_table.ts";

/** Options of {@linkcode summary}. */
export interface SummaryOptions {
  /** dtype of inputs that are given by their shape; the first parameter's by default, float32 without parameters. */
  readonly dtype?: DType;
  /** Levels of modules below the model that have rows; 3 by default. Totals always cover everything. */
  readonly depth?: number;
}

/** One module of a {@linkcode Summary}. What is below a module counts for it too. */
export interface SummaryRow {
  /** Path in the model; empty for the model itself. */
  readonly path: string;
  /** Name of the class. */
  readonly className: string;
  /** Levels below the model. */
  readonly depth: number;
  /** Shapes of the tensors of the last result; empty when the module was not called. */
  readonly outputShapes: readonly (readonly number[])[];
  /** How often it was called. */
  readonly calls: number;
  /** Elements of the parameters, each once. */
  readonly parameters: number;
  /** Elements of the parameters that take gradients. */
  readonly trainable: number;
  /** Floating-point operations of all its calls, two for a multiply-add. */
  readonly flops: number;
  /** Bytes of the last result. */
  readonly outputBytes: number;
}

/** What {@linkcode summary} finds. `toString()` is a table. */
export interface Summary {
  /** The model and the modules below it, parents first. */
  readonly rows: readonly SummaryRow[];
  /** Elements of all parameters. */
  readonly parameters: number;
  /** Elements of the parameters that take gradients. */
  readonly trainable: number;
  /** Floating-point operations of the forward pass, two for a multiply-add. */
  readonly flops: number;
  /** Bytes of parameters and buffers. */
  readonly weightBytes: number;
  /** Bytes of the gradients of the parameters that take one. */
  readonly gradientBytes: number;
  /** Bytes of what the layers give. An upper bound for what is kept for the backward pass: fused chains keep less. */
  readonly activationBytes: number;
  /** Classes that were called and whose own operations no rule counts. */
  readonly uncounted: readonly string[];
  /** The table. */
  toString(): string;
}

/** What is gathered for one module. */
interface Seen {
  calls: number;
  flops: number;
  outputs: readonly Tensor[];
}

/** A call that has begun: what the calls inside it have taken so far. */
interface Frame {
  flops: number;
  hasCalls: boolean;
}

/** The tensors in a value, in order. */
function tensorsIn(value: unknown): Tensor[] {
  if (value instanceof Tensor) return [value];
  return Array.isArray(value) ? value.flatMap(tensorsIn) : [];
}

const elements = (tensors: readonly Tensor[]) => tensors.reduce((sum, t) => sum + t.numel, 0);
const bytes = (tensors: readonly Tensor[]) =>
  tensors.reduce((sum, t) => sum + t.numel * dtypes[t.dtype].bytes, 0);

/** Inputs as they were given, or zeros of the shapes. */
function inputsOf(
  model: Module,
  given: readonly number[] | readonly (readonly number[])[] | Tensor | readonly unknown[],
  dtype: DType | undefined,
): readonly unknown[] {
  if (given instanceof Tensor) return [given];
  const isShape = (x: unknown): x is number[] =>
    Array.isArray(x) && x.every((n) => typeof n === "number");
  const first = model.parameters()[0];
  const make = (shape: readonly number[]) => {
    if (!shape.every((n) => Number.isSafeInteger(n) && n >= 0)) {
      throw new RangeError(
        `Cannot summarise with an input of shape [${
          shape.join(", ")
        }]: sizes are whole numbers of at least 0`,
      );
    }
    return zeros(shape, { dtype: dtype ?? first?.dtype ?? "float32", device: first?.device });
  };
  if (isShape(given)) return [make(given)];
  if (!Array.isArray(given)) {
    throw new TypeError(
      `Cannot summarise with ${given}: give a shape, a list of shapes, a tensor or a list of inputs`,
    );
  }
  return given.map((x) => isShape(x) ? make(x) : x);
}

/** Runs `forward` in evaluation mode, without gradients and draws, and puts everything back. */
function runDry(model: Module, inputs: readonly unknown[]): void {
  const modes = model.modules().map((m) => [m, m.training] as const);
  const draws = defaultGenerator.state();
  model.eval();
  try {
    noGrad(() => model.forward(...inputs));
  } finally {
    for (const [module, training] of modes) module.training = training;
    defaultGenerator.setState(draws);
  }
}

/**
 * Runs the forward pass of a model as a graph that is never computed, in evaluation mode, and reports what its modules give and take.
 *
 * ```ts ignore
 * console.log(`${nn.summary(model, [64, 1, 28, 28])}`);
 * ```
 *
 * @param model The model
 * @param inputs Shape of its input, a list of shapes, a tensor, or a list of everything that `forward` takes
 * @param options dtype of inputs given by shape, levels to show
 * @returns Rows, totals, and a table by `toString()`
 * @throws {TypeError} When the inputs are neither shapes nor tensors, and whatever the modules raise for them
 * @throws {RangeError} When a size is not a whole number or `depth` is negative
 */
export function summary(
  model: Module,
  inputs: readonly number[] | readonly (readonly number[])[] | Tensor | readonly unknown[],
  options: SummaryOptions = {},
): Summary {
  const { depth = 3 } = options;
  if (!(depth >= 0)) {
    throw new RangeError(`Cannot summarise with depth ${depth}: it must be 0 or more`);
  }
  const given = inputsOf(model, inputs, options.dtype);
  const seen = new Map<Module, Seen>(), open: Frame[] = [{ flops: 0, hasCalls: false }];
  const handles: HookHandle[] = [], uncounted = new Set<string>();
  let activationBytes = 0;
  for (const module of model.modules()) {
    seen.set(module, { calls: 0, flops: 0, outputs: [] });
    handles.push(
      module.registerForwardPreHook(() => void open.push({ flops: 0, hasCalls: false })),
      module.registerForwardHook((_, args, output) => {
        const frame = open.pop()!, parent = open.at(-1)!, own = seen.get(module)!;
        const outputs = tensorsIn(output), count = flopRule(module);
        frame.flops += count?.(module, { inputs: args, outputs }) ?? 0;
        own.calls++;
        own.flops += frame.flops;
        own.outputs = outputs;
        parent.flops += frame.flops;
        parent.hasCalls = true;
        if (count === undefined && frame.hasCalls) return;
        if (count === undefined) uncounted.add(module.constructor.name);
        activationBytes += bytes(outputs.filter((t) => !args.includes(t)));
      }),
    );
  }
  try {
    runDry(model, given);
  } finally {
    for (const handle of handles) handle.remove();
  }
  const row = ([path, module]: [string, Module]): SummaryRow => {
    const { calls, flops, outputs } = seen.get(module)!, parameters = module.parameters();
    return {
      path,
      className: module.constructor.name,
      depth: levels(path),
      outputShapes: outputs.map((t) => t.shape),
      calls,
      parameters: elements(parameters),
      trainable: elements(parameters.filter((p) => p.requiresGrad)),
      flops,
      outputBytes: bytes(outputs),
    };
  };
  const all = model.namedModules().map(row), trainable = model.parameters().filter(takesGradient);
  const result = {
    rows: all.filter((r) => r.depth <= depth),
    parameters: all[0].parameters,
    trainable: all[0].trainable,
    flops: open[0].flops,
    weightBytes: bytes([...model.parameters(), ...model.buffers()]),
    gradientBytes: bytes(trainable),
    activationBytes,
    uncounted: [...uncounted],
  };
  return { ...result, toString: () => summaryTable(result) };
}

const takesGradient = (t: Tensor) => t.requiresGrad;
const levels = (path: string) => path === "" ? 0 : path.split(".").length;
