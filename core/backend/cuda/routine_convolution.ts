/**
 * Convolutions by direct loops, the plain twins of cuDNN's: one thread an element of the result, or of the gradient of the input; one warp an element of the
 * gradient of the weight. One and two spatial dimensions are three of which the first have one element.
 */
import type { ConvolutionParams, RoutineCall } from "../../device.ts";
import type { DType } from "../../dtype.ts";
import type { KernelArgument } from "./runtime.ts";
import {
  blocksFor,
  type CudaRoutine,
  eachItem,
  elements,
  int,
  long,
  places,
  type RoutineMaker,
  shortName,
  sizeOf,
} from "./routine_text.ts";

const depth = ["D", "H", "W"];
const three = (name: string) => depth.map((d) => `int ${name}${d}`).join(", ");
/** Parameters of all three: sizes of input, window and output grid, and the geometry. */
const geometry = `int batch, int share, int outputs, int perGroup, ${three("x")}, ${three("k")}, ${
  three("y")
}, ${three("stride")}, ${three("pad")}, ${three("dilation")}`;

/** Values of those parameters, in order. */
function geometryOf(
  { stride, padding, dilation, groups }: ConvolutionParams,
  input: readonly number[],
  weight: readonly number[],
  grid: readonly number[],
): KernelArgument[] {
  const fill = (values: readonly number[], by: number) => [
    ...Array(3 - values.length).fill(by),
    ...values,
  ];
  const [outputs, share] = weight;
  return [
    input[0],
    share,
    outputs,
    outputs / groups,
    ...fill(input.slice(2), 1),
    ...fill(weight.slice(2), 1),
    ...fill(grid.slice(2), 1),
    ...fill(stride, 1),
    ...fill(padding, 0),
    ...fill(dilation, 1),
  ].map(int);
}

/** Where sums are held: whole numbers wrap. */
const held = (dtype: DType) => elements[dtype].held;
const madd = (dtype: DType, sum: string, x: string, w: string) =>
  held(dtype) === "int" || held(dtype) === "i64"
    ? `${sum} = addInt(${sum}, mulInt(${x}, ${w}));`
    : `${sum} += ${x} * ${w};`;

/** Goes on with the coordinates of `i`, the last one first. */
const take = (names: readonly [string, string][]) =>
  names.map(([name, size]) => `    const int ${name} = (int)(rest % ${size}); rest /= ${size};`)
    .join("\n");

function forwardText(dtype: DType): { name: string; text: string } {
  const e = elements[dtype], name = `convolution_${shortName[dtype]}`;
  const text = eachItem({
    name,
    params: `const ${e.stored} *x, const ${e.stored} *w, ${e.stored} *y, ${geometry}`,
    body: `    i64 rest = i;
${take([["ow", "yW"], ["oh", "yH"], ["od", "yD"], ["o", "outputs"]])}
    const i64 plane = (i64)xD * xH * xW, window = (i64)kD * kH * kW;
    const int group = o / perGroup, channels = outputs / perGroup * share;
    const ${e.stored} *from = x + (rest * channels + (i64)group * share) * plane;
    const ${e.stored} *by = w + (i64)o * share * window;
    ${e.held} sum = 0;
    for (int c = 0; c < share; ++c, from += plane, by += window) {
      for (int d = 0; d < kD; ++d) {
        const int z = od * strideD - padD + d * dilationD;
        if ((u32)z >= (u32)xD) continue;
        for (int h = 0; h < kH; ++h) {
          const int v = oh * strideH - padH + h * dilationH;
          if ((u32)v >= (u32)xH) continue;
          const ${e.stored} *line = from + ((i64)z * xH + v) * xW;
          const ${e.stored} *taps = by + ((i64)d * kH + h) * kW;
          for (int j = 0; j < kW; ++j) {
            const int u = ow * strideW - padW + j * dilationW;
            if ((u32)u < (u32)xW) { ${madd(dtype, "sum", e.read("line[u]"), e.read("taps[j]"))} }
          }
        }
      }
    }
    y[i] = ${e.write("sum")};`,
  });
  return { name, text };
}

function inputText(dtype: DType): { name: string; text: string } {
  const e = elements[dtype], name = `convolution_input_${shortName[dtype]}`;
  const hit = (axis: string, tap: string, at: string, out: string) => `
        const int ${out}Far = ${at} + pad${axis} - ${tap} * dilation${axis};
        if (${out}Far < 0 || ${out}Far % stride${axis} != 0) continue;
        const int ${out} = ${out}Far / stride${axis};
        if (${out} >= y${axis}) continue;`;
  const text = eachItem({
    name,
    params: `const ${e.stored} *g, const ${e.stored} *w, ${e.stored} *out, ${geometry}`,
    body: `    i64 rest = i;
${take([["u", "xW"], ["v", "xH"], ["z", "xD"], ["channel", "(outputs / perGroup * share)"]])}
    const i64 grid = (i64)yD * yH * yW, window = (i64)kD * kH * kW;
    const int group = channel / share, c = channel % share, first = group * perGroup;
    const ${e.stored} *from = g + (rest * outputs + first) * grid;
    const ${e.stored} *by = w + ((i64)first * share + c) * window;
    ${e.held} sum = 0;
    for (int d = 0; d < kD; ++d) {${hit("D", "d", "z", "od")}
      for (int h = 0; h < kH; ++h) {${hit("H", "h", "v", "oh")}
        for (int j = 0; j < kW; ++j) {${hit("W", "j", "u", "ow")}
          const ${e.stored} *at = from + ((i64)od * yH + oh) * yW + ow;
          const ${e.stored} *tap = by + ((i64)d * kH + h) * kW + j;
          for (int o = 0; o < perGroup; ++o, at += grid, tap += share * window) {
            ${madd(dtype, "sum", e.read("*at"), e.read("*tap"))}
          }
        }
      }
    }
    out[i] = ${e.write("sum")};`,
  });
  return { name, text };
}

function weightText(dtype: DType): { name: string; text: string } {
  const e = elements[dtype], name = `convolution_weight_${shortName[dtype]}`;
  const whole = e.held === "int" || e.held === "i64";
  const text = `
extern "C" __global__ void __launch_bounds__(128) ${name}(
    const ${e.stored} *x, const ${e.stored} *g, ${e.stored} *out, ${geometry}, i64 count) {
  const int lane = threadIdx.x % 32;
  for (i64 i = (i64)blockIdx.x * 4 + threadIdx.x / 32; i < count; i += (i64)gridDim.x * 4) {
    i64 rest = i;
${take([["j", "kW"], ["h", "kH"], ["d", "kD"], ["c", "share"]])}
    const int o = (int)rest, channels = outputs / perGroup * share;
    const i64 plane = (i64)xD * xH * xW, grid = (i64)yD * yH * yW;
    const ${e.stored} *from = x + ((i64)(o / perGroup) * share + c) * plane;
    const ${e.stored} *by = g + o * grid;
    ${e.held} sum = 0;
    for (int n = 0; n < batch; ++n, from += channels * plane, by += outputs * grid) {
      for (i64 q = lane; q < grid; q += 32) {
        const int ow = (int)(q % yW), line = (int)(q / yW), oh = line % yH, od = line / yH;
        const int z = od * strideD - padD + d * dilationD, v = oh * strideH - padH + h * dilationH;
        const int u = ow * strideW - padW + j * dilationW;
        if ((u32)z < (u32)xD && (u32)v < (u32)xH && (u32)u < (u32)xW) {
          const ${e.held} value = ${e.read("from[((i64)z * xH + v) * xW + u]")};
          ${madd(dtype, "sum", "value", e.read("by[q]"))}
        }
      }
    }
    ${
    whole
      ? `for (int s = 16; s > 0; s /= 2) sum = addInt(sum, __shfl_xor_sync(0xffffffffu, sum, s));`
      : `sum = joinLanes<Sum, 32>(sum);`
  }
    if (lane == 0) out[i] = ${e.write("sum")};
  }
}
`;
  return { name, text };
}

type Convolution = "convolution" | "convolutionInput" | "convolutionWeight";

/** A routine of one of the three; `roles` says which operand is input, weight and output grid. */
function maker<R extends Convolution>(
  textFor: (dtype: DType) => { name: string; text: string },
  [input, weight, grid]: readonly [number, number, number],
  perBlock: number,
): RoutineMaker<R> {
  return (runtime): CudaRoutine<R> => (call, buffers) => {
    const { operands, params } = call as RoutineCall<Convolution>;
    const out = operands[2], { name, text } = textFor(out.dtype), count = sizeOf(out.shape);
    const shapes = [input, weight, grid].map((i) => operands[i].shape);
    return {
      start: runtime.launcher(text, name, {
        grid: [blocksFor(count, perBlock)],
        block: [perBlock === 4 ? 128 : 256],
      }, [
        ...places(operands, buffers),
        ...geometryOf(params, shapes[0], shapes[1], shapes[2]),
        long(count),
      ]),
    };
  };
}

/** `[x, weight, out]`. */
export const cudaConvolution: RoutineMaker<"convolution"> = maker(forwardText, [0, 1, 2], 256);
/** `[gradient, weight, out]`. */
export const cudaConvolutionInput: RoutineMaker<"convolutionInput"> = maker(
  inputText,
  [2, 1, 0],
  256,
);
/** `[x, gradient, out]`. */
export const cudaConvolutionWeight: RoutineMaker<"convolutionWeight"> = maker(
  weightText,
  [0, 2, 1],
  4,
);
