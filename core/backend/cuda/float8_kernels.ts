/**
 * Eight-bit floats by kernels of our own: rounding to them, with the transpose in the same pass, and the plain twin of cuBLASLt's product. A conversion is one instruction for
 * two numbers from compute capability 8.9 on, integer arithmetic before and on a CPU.
 */
import type { DType } from "../../dtype.ts";
import { type Float8Format, float8Formats, float8Place, padded16 } from "../../float8_format.ts";
import { addressOf } from "./memory.ts";
import { elements, int, long, places, type RoutineMaker, shortName } from "./routine_text.ts";
import type { KernelArgument } from "./runtime.ts";

/** Rows and columns of a block's tile. */
const TILE = 64;

const hex = (x: number) => `0x${x.toString(16)}u`;
const view = new DataView(new ArrayBuffer(4));
/** The bits of a float32. */
function bitsOf(x: number): string {
  view.setFloat32(0, x);
  return hex(view.getUint32(0));
}

/** Statements that join the codes of `v[0]` to `v[3]` into `word`. */
function encodeText(format: Float8Format): string {
  const { mantissa, minExponent, max } = float8Formats[format], shift = 23 - mantissa;
  const pair = (to: string, high: string, low: string) =>
    `asm("cvt.rn.satfinite.${format}x2.f32 %0, %1, %2;" : "=h"(${to}) : "f"(${high}), "f"(${low}));`;
  // Adding a number whose spacing is that of the format's smallest ones rounds to them.
  const spacing = 2 ** (23 + minExponent - mantissa);
  return `#if !defined(PTA_EMULATOR) && __CUDA_ARCH__ >= 890
      u16 low, high;
      ${pair("low", "v[1]", "v[0]")}
      ${pair("high", "v[3]", "v[2]")}
      const u32 word = (u32)low | (u32)high << 16;
#else
      u32 word = 0;
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        const u32 bits = __float_as_uint(v[j]), sign = bits >> 24 & 0x80u;
        u32 size = bits & 0x7fffffffu, code;
        if (size > 0x7f800000u) code = 0x7fu;
        else {
          if (size > ${bitsOf(max)}) size = ${bitsOf(max)};
          code = sign | (size < ${bitsOf(2 ** minExponent)}
            ? __float_as_uint(__uint_as_float(size) + ${spacing}.0f) - ${bitsOf(spacing)}
            : ((size + ${hex(2 ** (shift - 1) - 1)} + (size >> ${shift} & 1u)) >> ${shift}) - ${
    (127 + minExponent - 1) << mantissa
  }u);
        }
        word |= code << 8 * j;
      }
#endif`;
}

const quantizeName = (format: Float8Format, from: DType, both: boolean) =>
  `quantize_${format}_${shortName[from]}${both ? "_both" : ""}`;

function quantizeText(format: Float8Format, from: DType, both: boolean): string {
  const x = elements[from];
  return `
extern "C" __global__ void __launch_bounds__(256) ${quantizeName(format, from, both)}(
    const ${x.stored} *from, const float *scale, u8 *out, i64 rows, i64 columns, i64 across, i64 down) {
${
    both
      ? `  __shared__ u32 words[${TILE}][${TILE / 4 + 1}];\n`
      : ""
  }  const i64 row = (i64)blockIdx.x * ${TILE}, column = (i64)blockIdx.y * ${TILE};
  const int t = threadIdx.x, mine = t / 16, quad = t % 16;
  const float factor = *scale;
  const bool whole = columns % 4 == 0;
#pragma unroll
  for (int part = 0; part < ${TILE / 16}; ++part) {
    const i64 r = row + part * 16 + mine, c = column + quad * 4;
    float v[4] = {0.0f, 0.0f, 0.0f, 0.0f};
    if (r < rows && c < columns) {
      const ${x.stored} *at = from + r * columns + c;
      if (whole) {
        const Pack<${x.stored}, 4> p = loadPack<${x.stored}, 4>(at);
#pragma unroll
        for (int j = 0; j < 4; ++j) v[j] = (float)${x.read("p.x[j]")} * factor;
      } else {
#pragma unroll
        for (int j = 0; j < 4; ++j) if (c + j < columns) v[j] = (float)${x.read("at[j]")} * factor;
      }
    }
    {
${encodeText(format)}
      if (r < rows && c < across) *reinterpret_cast<u32 *>(out + r * across + c) = word;
${both ? "      words[part * 16 + mine][quad] = word;\n" : ""}    }
  }
${
    both
      ? `  __syncthreads();
  u8 *turned = out + rows * across;
  const u8 *bytes = reinterpret_cast<const u8 *>(words);
#pragma unroll
  for (int part = 0; part < ${TILE / 16}; ++part) {
    const i64 c = column + part * 16 + mine, r = row + quad * 4;
    if (c >= columns || r >= down) continue;
    u32 word = 0;
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      word |= (u32)bytes[(quad * 4 + j) * ${TILE + 4} + part * 16 + mine] << 8 * j;
    }
    *reinterpret_cast<u32 *>(turned + c * down + r) = word;
  }
`
      : ""
  }}
`;
}

/** `[x, scale, out]`: see `RoutineParams.quantizeFloat8`. */
export const cudaQuantizeFloat8: RoutineMaker<"quantizeFloat8"> = (runtime) => (call, buffers) => {
  const { format, both } = call.params, [x] = call.operands, [rows, columns] = x.shape;
  const across = padded16(columns), down = padded16(rows);
  const tiles = (n: number) => Math.ceil(n / TILE);
  // Blocks in y are few: the longer side goes in x, which rows usually are.
  if (tiles(across) > 65535) {
    throw new RangeError(`Cannot quantize [${rows}, ${columns}]: at most ${TILE * 65535} columns`);
  }
  return {
    start: runtime.launcher(
      quantizeText(format, x.dtype, both),
      quantizeName(format, x.dtype, both),
      { grid: [tiles(both ? down : rows), tiles(across)], block: [256] },
      [...places(call.operands, buffers), ...[rows, columns, across, down].map(long)],
    ),
  };
};

/** What `byte` stands for, as an expression: its bits moved to their places in a float32 whose exponent counts from elsewhere. */
function decodeText(format: Float8Format, byte: string): string {
  const { mantissa, minExponent } = float8Formats[format];
  const size = `(${byte} & 0x7fu)`, moved = `${size} << ${23 - mantissa} | (${byte} & 0x80u) << 24`;
  const value = `__uint_as_float(${moved}) * __uint_as_float(${bitsOf(2 ** (126 + minExponent))})`;
  const [last, infinity] = format === "e4m3" ? ["0x7eu", undefined] : ["0x7cu", "0x7cu"];
  const finite = infinity === undefined
    ? value
    : `(${size} == ${infinity} ? __uint_as_float(0x7f800000u | (${byte} & 0x80u) << 24) : ${value})`;
  return `(${size} > ${last} ? __uint_as_float(0x7fffffffu) : ${finite})`;
}

interface Form {
  readonly a: Float8Format;
  readonly b: Float8Format;
  readonly out: DType;
}

const productName = ({ a, b, out }: Form) => `matmul_${a}_${b}_${shortName[out]}`;

/** Rows of both factors are whole multiples of 16 bytes, zeros at the end, so that no step of 16 is cut off. */
function productText(form: Form): string {
  const { a, b, out } = form, z = elements[out];
  const load = (format: Float8Format, to: string, from: string, first: string, limit: string) =>
    `      {
        const i64 at = ${first} + line;
        const u32 word = at < ${limit} ? *reinterpret_cast<const u32 *>(${from} + at * length + step + quad * 4) : 0u;
#pragma unroll
        for (int j = 0; j < 4; ++j) {
          const u32 byte = word >> 8 * j & 255u;
          ${to}[quad * 4 + j][line] = ${decodeText(format, "byte")};
        }
      }`;
  return `
extern "C" __global__ void __launch_bounds__(256) ${productName(form)}(
    const u8 *a, const u8 *b, const float *aScale, const float *bScale, ${z.stored} *out, i64 m, i64 n, i64 length,
    int tileRows) {
  alignas(16) __shared__ float as[16][${TILE + 4}];
  alignas(16) __shared__ float bs[16][${TILE + 4}];
  const i64 row = (i64)(blockIdx.x % tileRows) * ${TILE}, column = (i64)(blockIdx.x / tileRows) * ${TILE};
  const int t = threadIdx.x, line = t / 4, quad = t % 4, mine = t / 16, own = t % 16;
  float sum[4][4];
#pragma unroll
  for (int i = 0; i < 4; ++i)
#pragma unroll
    for (int j = 0; j < 4; ++j) sum[i][j] = 0.0f;
  for (i64 step = 0; step < length; step += 16) {
    __syncthreads();
${load(a, "as", "a", "row", "m")}
${load(b, "bs", "b", "column", "n")}
    __syncthreads();
#pragma unroll
    for (int d = 0; d < 16; ++d) {
      const Pack<float, 4> x = loadPack<float, 4>(&as[d][mine * 4]), y = loadPack<float, 4>(&bs[d][own * 4]);
#pragma unroll
      for (int i = 0; i < 4; ++i)
#pragma unroll
        for (int j = 0; j < 4; ++j) sum[i][j] += x.x[i] * y.x[j];
    }
  }
  const float scale = *aScale * *bScale;
#pragma unroll
  for (int i = 0; i < 4; ++i)
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const i64 r = row + mine * 4 + i, c = column + own * 4 + j;
      if (r < m && c < n) out[r * n + c] = ${z.write("sum[i][j] * scale")};
    }
}
`;
}

/** `[a, b, aScale, bScale, out]`: see `RoutineParams.matmulFloat8`. */
export const cudaMatmulFloat8: RoutineMaker<"matmulFloat8"> = (runtime) => (call, buffers) => {
  const { a, b } = call.params, out = call.operands[4].dtype;
  const left = float8Place(a), right = float8Place(b), form = { a: a.format, b: b.format, out };
  const tiles = (n: number) => Math.ceil(n / TILE), tileRows = tiles(left.rows);
  const [pa, pb, aScale, bScale, pc] = call.operands.map((o, i) => addressOf(o, buffers[i]));
  const args: KernelArgument[] = [
    ...[pa + left.start, pb + right.start, aScale, bScale, pc].map((pointer) => ({ pointer })),
    ...[left.rows, right.rows, left.length].map(long),
    int(tileRows),
  ];
  return {
    start: runtime.launcher(productText(form), productName(form), {
      grid: [tileRows * tiles(right.rows)],
      block: [256],
    }, args),
  };
};
