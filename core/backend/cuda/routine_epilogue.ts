/** Bias and activation after a product, in place: what stands in where cuBLASLt has no algorithm that does them at its end. */
import type { Activation, Buffer, RoutineCall, RoutineLaunch } from "../../device.ts";
import type { DType } from "../../dtype.ts";
import { blocksFor, eachItem, elements, long, place, shortName, sizeOf } from "./routine_text.ts";
import type { CudaRuntime } from "./runtime.ts";

/** Of float32 and half precision, which is what a device wants endings of. */
const texts: Readonly<Record<Activation, string>> = {
  none: "x",
  relu: "x <= 0.0f ? 0.0f : x",
  gelu: "0.5f * x * (1.0f + tanhf((float)(0.7978845608f * (x + 0.044715f * x * x * x))))",
};

function endingText(activation: Activation, dtype: DType): { name: string; text: string } {
  const e = elements[dtype], name = `ending_${activation}_${shortName[dtype]}`;
  const text = eachItem({
    name,
    params: `const ${e.stored} *bias, ${e.stored} *out, i64 columns`,
    body: `    const ${e.held} x = ${e.read("out[i]")} + ${e.read("bias[i % columns]")};
    out[i] = ${e.write(`(${texts[activation]})`)};`,
  });
  return { name, text };
}

/** Adds the bias of a `matmulEpilogue` to what its `out` holds, and applies the activation. */
export function cudaEnding(
  runtime: CudaRuntime,
  { params, operands }: RoutineCall<"matmulEpilogue">,
  buffers: readonly Buffer[],
): RoutineLaunch {
  const [, b, bias, out] = operands, count = sizeOf(out.shape);
  const { name, text } = endingText(params.activation, out.dtype);
  return {
    start: runtime.launcher(text, name, { grid: [blocksFor(count, 256)], block: [256] }, [
      place(bias, buffers[2]),
      place(out, buffers[3]),
      long(b.shape[1]),
      long(count),
    ]),
  };
}
