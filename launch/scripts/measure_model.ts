/**
 * Prints, as JSON, the parameters of a model and what training steps take, planned on the null device, which computes nothing:
 * `measure_model.ts MODULE BATCH_SIZE PRECISION OPTIMIZER`.
 */
import {
  amp,
  backendOf,
  capture,
  dueWithNext,
  GradScaler,
  manualSeed,
  nn,
  optim,
  realize,
  stepScope,
  Tensor,
} from "@pta/accelerated";

const [url, size, precision, optimizerName] = Deno.args;

function fail(why: string): never {
  console.error(`Cannot estimate ${url}: ${why}`);
  Deno.exit(1);
}

async function load(): Promise<Record<string, unknown>> {
  try {
    return await import(url);
  } catch (error) {
    fail(`${(error as Error).message.split("\n")[0]}`);
  }
}

async function modelOf(found: Record<string, unknown>): Promise<nn.Module> {
  for (const name of ["createModel", "model", "default"]) {
    let value = found[name];
    const isMaker = typeof value === "function" && !(value.prototype instanceof nn.Module);
    if (isMaker) value = await (value as () => unknown)();
    if (value instanceof nn.Module) return value;
    if (value !== undefined && name !== "default") {
      fail(`its export ${name} ${isMaker ? "returns" : "is"} no nn.Module`);
    }
  }
  const names = Object.keys(found);
  fail(
    `it exports no model as createModel(), model or default; its exports are ${
      names.length === 0 ? "none" : names.join(", ")
    }`,
  );
}

/** All tensors in a value. */
function tensorsIn(value: unknown): Tensor[] {
  if (value instanceof Tensor) return [value];
  if (value === null || typeof value !== "object" || ArrayBuffer.isView(value)) return [];
  return Object.values(value).flatMap(tensorsIn);
}

/** The same value with its tensors replaced, in the order in which `tensorsIn` finds them. */
function withTensors(value: unknown, next: Tensor[]): unknown {
  if (value instanceof Tensor) return next.shift();
  if (value === null || typeof value !== "object" || ArrayBuffer.isView(value)) return value;
  if (Array.isArray(value)) return value.map((x) => withTensors(x, next));
  return Object.fromEntries(Object.entries(value).map(([k, x]) => [k, withTensors(x, next)]));
}

/** The launcher's names of optimizers; `none` only makes gradients. */
const optimizers: Record<string, (p: nn.Parameter[]) => optim.Optimizer> = {
  sgd: (p) => new optim.SGD(p, { lr: 0.1 }),
  momentum: (p) => new optim.SGD(p, { lr: 0.1, momentum: 0.9 }),
  adam: (p) => new optim.Adam(p),
  adamw: (p) => new optim.AdamW(p),
  adafactor: (p) => new optim.Adafactor(p),
};

/** Bytes of training at their worst moment: a plain step, one that is recorded, a replay, as the trainer makes them. */
async function peakOf(
  model: nn.Module,
  makeBatch: (size: number) => unknown,
  lossOf: ((output: unknown) => unknown) | undefined,
) {
  const { stats } = backendOf("null");
  const batchOf = async () => {
    const made = await makeBatch(Number(size));
    return Array.isArray(made) ? made as unknown[] : [made];
  };
  model.train();
  const precisions = { no: undefined, bf16: "bfloat16", fp16: "float16" } as const;
  const dtype = precisions[precision as keyof typeof precisions];
  if (dtype !== undefined) amp.autocastForward(model, { dtype });
  const trained = model.parameters().filter((p) => p.requiresGrad);
  const optimizer = trained.length > 0 ? optimizers[optimizerName]?.(trained) : undefined;
  const scaler = new GradScaler({ enabled: precision === "fp16" });
  const first = await batchOf(), batch = tensorsIn(first);
  const step = capture((...tensors: Tensor[]) => {
    const inputs = withTensors(first, tensors) as Parameters<typeof model.call>;
    const output: unknown = model.call(...inputs);
    const found = tensorsIn(lossOf === undefined ? output : lossOf(output));
    if (found.length === 0) {
      fail(`${lossOf === undefined ? "its forward" : "its exampleLoss"} returns no tensor`);
    }
    const loss = found.map((t) => t.to("float32").mean()).reduce((a, b) => a.add(b));
    scaler.scale(loss).backward();
    // The trainer's callbacks see the outputs until the next step; they are computed in one plan with the change of the parameters.
    const results = [loss, ...tensorsIn(output)];
    if (scaler.isEnabled) realize(...results);
    else for (const x of results) dueWithNext(x);
    if (optimizer === undefined) {
      realize(...trained.flatMap((p) => p.grad ?? []));
      for (const p of trained) p.grad = undefined;
    } else {
      scaler.step(optimizer);
      scaler.update();
      optimizer.zeroGrad();
    }
    return results;
  });
  for (let i = 0; i < 3; i++) {
    using _scope = stepScope();
    const inputs = i === 0 ? batch : tensorsIn(await batchOf());
    realize(...inputs);
    step(...inputs);
  }
  return { peak: stats.bytesPeak, batch: batch.reduce((sum, t) => sum + bytesOf(t), 0) };
}

const count = (t: Tensor) => t.shape.reduce((a, b) => a * b, 1);
const BYTES: Record<string, number> = { float64: 8, int64: 8, float32: 4, int32: 4 };
const bytesOf = (t: Tensor) => count(t) * (BYTES[t.dtype] ?? (t.dtype.endsWith("16") ? 2 : 1));

manualSeed(0);
const found = await load();
const model = await modelOf(found);
const { exampleBatch, exampleLoss } = found;
const measured = typeof exampleBatch === "function"
  ? await peakOf(
    model,
    exampleBatch as (size: number) => unknown,
    exampleLoss as ((output: unknown) => unknown) | undefined,
  )
  : undefined;
console.log(JSON.stringify({
  tensors: model.namedParameters().map(([name, p]) => ({
    name,
    shape: p.shape,
    dtype: p.dtype,
    trainable: p.requiresGrad,
  })),
  bufferBytes: model.buffers().reduce((sum, b) => sum + bytesOf(b), 0),
  ...measured,
}));
