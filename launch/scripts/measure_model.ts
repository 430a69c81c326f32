/**
 * Prints, as JSON, the parameters of a model and what a forward and backward pass takes, planned on the null device, which computes nothing:
 * `measure_model.ts MODULE BATCH_SIZE PRECISION`.
 */
import { autocast, backendOf, manualSeed, nn, realize, Tensor } from "@pta/accelerated";

const [url, size, precision] = Deno.args;

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

/** Bytes beside weights and gradients at the worst moment of a pass. */
async function activationsOf(model: nn.Module, makeBatch: (size: number) => unknown) {
  const { stats } = backendOf("null");
  const made = await makeBatch(Number(size));
  const inputs: unknown[] = Array.isArray(made) ? made : [made];
  const batch = tensorsIn(inputs);
  realize(...model.parameters(), ...model.buffers(), ...batch);
  const before = stats.bytesAlive;
  stats.bytesPeak = before;
  model.train();
  const low = precision === "no" ? undefined : precision === "fp16" ? "float16" : "bfloat16";
  const run = () => model.call(...inputs as Parameters<typeof model.call>);
  let output: unknown;
  if (low === undefined) output = run();
  else {
    using _region = autocast({ dtype: low });
    output = run();
  }
  const losses = tensorsIn(output).map((t) => t.to("float32").mean());
  if (losses.length === 0) fail("its forward returns no tensor");
  losses.reduce((a, b) => a.add(b)).backward();
  const gradients = model.parameters().map((p) => p.grad).filter((g) => g !== undefined);
  realize(...gradients, ...model.buffers());
  const gradientBytes = gradients.reduce((sum, g) => sum + bytesOf(g), 0);
  return {
    activations: Math.max(0, stats.bytesPeak - before - gradientBytes),
    batch: batch.reduce((sum, t) => sum + bytesOf(t), 0),
  };
}

const count = (t: Tensor) => t.shape.reduce((a, b) => a * b, 1);
const BYTES: Record<string, number> = { float64: 8, int64: 8, float32: 4, int32: 4 };
const bytesOf = (t: Tensor) => count(t) * (BYTES[t.dtype] ?? (t.dtype.endsWith("16") ? 2 : 1));

manualSeed(0);
const found = await load();
const model = await modelOf(found);
const { exampleBatch } = found;
const measured = typeof exampleBatch === "function"
  ? await activationsOf(model, exampleBatch as (size: number) => unknown)
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
