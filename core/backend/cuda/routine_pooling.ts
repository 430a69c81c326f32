/**
 * Max pooling and its gradient. Neighbouring threads stand on neighbouring elements: places in a plane, or channels where those come last.
 */
import type { PoolParams } from "../../device.ts";
import type { DType } from "../../dtype.ts";
import {
  blocksFor,
  eachItem,
  elements,
  int,
  long,
  places,
  type RoutineMaker,
  shortName,
  sizeOf,
} from "./routine_text.ts";
import type { KernelArgument } from "./runtime.ts";

const axes = ["D", "H", "W"];
const three = (name: string) => axes.map((d) => `int ${name}${d}`).join(", ");
const geometry = `int channels, ${
  ["x", "y", "k", "stride", "pad", "dilation"].map(three).join(", ")
}`;

function poolText(dtype: DType): { name: string; text: string } {
  const e = elements[dtype], name = `max_pool_${shortName[dtype]}`;
  const text = eachItem({
    name,
    params: `const ${e.stored} *x, int *out, ${geometry}`,
    body: `    const int c = (int)(i % channels);
    i64 rest = i / channels;
    const int ow = (int)(rest % yW); rest /= yW;
    const int oh = (int)(rest % yH); rest /= yH;
    const int od = (int)(rest % yD); rest /= yD;
    const ${e.stored} *plane = x + rest * ((i64)xD * xH * xW) * channels + c;
    int best = -1;
    ${e.held} most = 0;
    for (int d = 0; d < kD; ++d) {
      const int z = od * strideD - padD + d * dilationD;
      if ((u32)z >= (u32)xD) continue;
      for (int h = 0; h < kH; ++h) {
        const int v = oh * strideH - padH + h * dilationH;
        if ((u32)v >= (u32)xH) continue;
        for (int j = 0; j < kW; ++j) {
          const int u = ow * strideW - padW + j * dilationW;
          if ((u32)u >= (u32)xW) continue;
          const int at = (z * xH + v) * xW + u;
          const ${e.held} value = ${e.read("plane[(i64)at * channels]")};
          // The first of equals wins, and the first NaN wins over everything.
          if (best < 0 || value > most || (value != value && most == most)) {
            most = value;
            best = at;
          }
        }
      }
    }
    out[i] = best < 0 ? 0 : best;`,
  });
  return { name, text };
}

/** Values of the parameters of the geometry: with channels second, each plane is an image of one channel. */
function geometryOf(
  { kernel, stride, padding, dilation }: PoolParams,
  x: readonly number[],
  grid: readonly number[],
  channelsLast: boolean | undefined,
): KernelArgument[] {
  const rank = kernel.length,
    fill = (values: readonly number[], by: number) =>
      [...Array(3 - values.length).fill(by), ...values].map(int);
  const sizes = (shape: readonly number[]) =>
    channelsLast ? shape.slice(1, -1) : shape.slice(-rank);
  return [
    int(channelsLast ? x[x.length - 1] : 1),
    ...fill(sizes(x), 1),
    ...fill(sizes(grid), 1),
    ...fill(kernel, 1),
    ...fill(stride, 1),
    ...fill(padding, 0),
    ...fill(dilation, 1),
  ];
}

/** `[x, out]`: the place of the first largest element of each window. */
export const cudaMaxPool: RoutineMaker<"maxPool"> = (runtime) => (call, buffers) => {
  const [x, out] = call.operands, { params } = call;
  const count = sizeOf(out.shape), { name, text } = poolText(x.dtype);
  return {
    start: runtime.launcher(text, name, { grid: [blocksFor(count, 256)], block: [256] }, [
      ...places(call.operands, buffers),
      ...geometryOf(params, x.shape, out.shape, params.channelsLast),
      long(count),
    ]),
  };
};

/** Each element of a plane adds the windows that have chosen it, in order. */
function chosenText(dtype: DType): { name: string; text: string } {
  const e = elements[dtype], name = `pool_chosen_${shortName[dtype]}`;
  const hit = (axis: string, tap: string, at: string, out: string) => `
        const int ${out}Far = ${at} + pad${axis} - ${tap} * dilation${axis};
        if (${out}Far < 0 || ${out}Far % stride${axis} != 0) continue;
        const int ${out} = ${out}Far / stride${axis};
        if (${out} >= y${axis}) continue;`;
  const text = eachItem({
    name,
    params: `const ${e.stored} *gradient, const int *index, ${e.stored} *out, ${geometry}`,
    body: `    const int c = (int)(i % channels), planeSize = xD * xH * xW;
    i64 rest = i / channels;
    const int at = (int)(rest % planeSize), u = at % xW, v = at / xW % xH, z = at / xW / xH;
    const i64 first = rest / planeSize * ((i64)yD * yH * yW) * channels + c;
    ${e.held} sum = 0;
    for (int d = kD - 1; d >= 0; --d) {${hit("D", "d", "z", "od")}
      for (int h = kH - 1; h >= 0; --h) {${hit("H", "h", "v", "oh")}
        for (int j = kW - 1; j >= 0; --j) {${hit("W", "j", "u", "ow")}
          const i64 window = first + (i64)((od * yH + oh) * yW + ow) * channels;
          if (index[window] == at) sum += ${e.read("gradient[window]")};
        }
      }
    }
    out[i] = ${e.write("sum")};`,
  });
  return { name, text };
}

/**
 * A warp a plane goes through its windows 32 at a time and in order; each lane adds those that fall on its own places, every 32nd of the plane. So no two
 * lanes meet, and sums come in the order of the windows: the result is the same every time, which atomic additions would not promise.
 */
function scatterText(dtype: DType): { name: string; text: string } {
  const e = elements[dtype], name = `pool_scatter_${shortName[dtype]}`;
  const text = `
extern "C" __global__ void __launch_bounds__(128) ${name}(
    const ${e.stored} *gradient, const int *index, ${e.stored} *out, i64 planes, int windows, int plane) {
  __shared__ int at[4][32];
  __shared__ ${e.held} value[4][32];
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  for (i64 p = (i64)blockIdx.x * 4 + warp; p < planes; p += (i64)gridDim.x * 4) {
    ${e.stored} *to = out + p * plane;
    for (int i = lane; i < plane; i += 32) to[i] = ${e.write(`(${e.held})0`)};
    for (int first = 0; first < windows; first += 32) {
      const bool mine = first + lane < windows;
      __syncwarp();
      at[warp][lane] = mine ? index[p * windows + first + lane] : -1;
      value[warp][lane] = mine ? ${e.read("gradient[p * windows + first + lane]")} : (${e.held})0;
      __syncwarp();
      for (int j = 0; j < 32; ++j) {
        const int place = at[warp][j];
        if (place % 32 == lane && (u32)place < (u32)plane) to[place] = ${
    e.write(`${e.read("to[place]")} + value[warp][j]`)
  };
      }
    }
  }
}
`;
  return { name, text };
}

/** `[gradient, index, out]`: sums into planes at the places that `maxPool` gave. */
export const cudaPoolScatter: RoutineMaker<"poolScatter"> = (runtime) => (call, buffers) => {
  const [gradient, , out] = call.operands, { spatialDims, windows, channelsLast } = call.params;
  if (windows !== undefined) {
    const { name, text } = chosenText(out.dtype), count = sizeOf(out.shape);
    return {
      start: runtime.launcher(text, name, { grid: [blocksFor(count, 256)], block: [256] }, [
        ...places(call.operands, buffers),
        ...geometryOf(windows, out.shape, gradient.shape, channelsLast),
        long(count),
      ]),
    };
  }
  const plane = sizeOf(out.shape.slice(-spatialDims));
  const count = sizeOf(gradient.shape.slice(-spatialDims));
  const planes = sizeOf(out.shape) / Math.max(1, plane), { name, text } = scatterText(out.dtype);
  return {
    start: runtime.launcher(text, name, {
      grid: [plane === 0 ? 0 : blocksFor(planes, 4)],
      block: [128],
    }, [...places(call.operands, buffers), long(planes), int(count), int(plane)]),
  };
};
