/**
 * What every CUDA program starts with: no header is needed, so nothing but NVRTC has to be installed. Half types are held as their 16 bits in memory
 * and as float in registers; rounding is done by the conversion instructions, or in integer arithmetic where the text runs on a CPU
 * (`PTA_EMULATOR`).
 */

/** Text of the prelude. Kernels printed by `printKernel` follow it, as many as one likes. */
export const prelude = `// pta prelude
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long i64;

#ifdef PTA_EMULATOR
#define packAlign(bytes)
#else
#define packAlign(bytes) alignas(bytes)
#define emulatedAlign(p, bytes)
#endif
template <class T, int N> struct packAlign(sizeof(T) * N) Pack { T x[N]; };

template <class T, int N> __device__ __forceinline__ Pack<T, N> loadPack(const T *p) {
  emulatedAlign(p, sizeof(T) * N);
  return *reinterpret_cast<const Pack<T, N> *>(p);
}
template <class T, int N> __device__ __forceinline__ void storePack(T *p, const Pack<T, N> &v) {
  emulatedAlign(p, sizeof(T) * N);
  *reinterpret_cast<Pack<T, N> *>(p) = v;
}

// ---- 16-bit floats

#ifdef PTA_EMULATOR
__device__ __forceinline__ float f16Read(u16 h) { return emulatedHalfToFloat(h); }
__device__ __forceinline__ u16 f16Bits(float x) { return emulatedFloatToHalf(x); }
__device__ __forceinline__ u16 bf16Bits(float x) {
  const u32 b = __float_as_uint(x);
  return (b & 0x7fffffffu) > 0x7f800000u ? 0x7fc0 : (u16)((b + 0x7fffu + ((b >> 16) & 1u)) >> 16);
}
#else
__device__ __forceinline__ float f16Read(u16 h) {
  float x;
  asm("cvt.f32.f16 %0, %1;" : "=f"(x) : "h"(h));
  return x;
}
__device__ __forceinline__ u16 f16Bits(float x) {
  u16 h;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(h) : "f"(x));
  return h;
}
__device__ __forceinline__ u16 bf16Bits(float x) {
  u16 h;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(h) : "f"(x));
  return h;
}
#endif
__device__ __forceinline__ float bf16Read(u16 h) { return __uint_as_float((u32)h << 16); }
__device__ __forceinline__ float f16Round(float x) { return f16Read(f16Bits(x)); }
__device__ __forceinline__ float bf16Round(float x) { return bf16Read(bf16Bits(x)); }
// Rounded to odd in between, so that rounding twice gives what rounding once would.
__device__ __forceinline__ float f16Narrow(double x) {
  float f = (float)x;
  const double d = (double)f;
  if (d != x && x == x) {
    u32 b = __float_as_uint(f);
    if (fabs(d) > fabs(x)) b -= 1u;
    f = __uint_as_float(b | 1u);
  }
  return f16Round(f);
}

// ---- arithmetic that C leaves open, or does otherwise

__device__ __forceinline__ int addInt(int x, int y) { return (int)((u32)x + (u32)y); }
__device__ __forceinline__ int subInt(int x, int y) { return (int)((u32)x - (u32)y); }
__device__ __forceinline__ int mulInt(int x, int y) { return (int)((u32)x * (u32)y); }
__device__ __forceinline__ i64 addInt(i64 x, i64 y) { return (i64)((u64)x + (u64)y); }
__device__ __forceinline__ i64 subInt(i64 x, i64 y) { return (i64)((u64)x - (u64)y); }
__device__ __forceinline__ i64 mulInt(i64 x, i64 y) { return (i64)((u64)x * (u64)y); }

// By zero gives zero; the least integer by -1 is itself.
template <class T> __device__ __forceinline__ T divInt(T x, T y) {
  return y == 0 ? (T)0 : y == -1 ? subInt((T)0, x) : x / y;
}
// The sign of the divisor, as in Python.
template <class T> __device__ __forceinline__ T modInt(T x, T y) {
  if (y == 0 || y == -1) return (T)0;
  const T r = x % y;
  return r != 0 && (r ^ y) < 0 ? r + y : r;
}
__device__ __forceinline__ float modFloat(float x, float y) {
  const float r = fmodf(x, y);
  return r != 0.0f && (r < 0.0f) != (y < 0.0f) ? r + y : r;
}
__device__ __forceinline__ double modFloat(double x, double y) {
  const double r = fmod(x, y);
  return r != 0.0 && (r < 0.0) != (y < 0.0) ? r + y : r;
}
// Amounts of the width and more shift everything out.
__device__ __forceinline__ int shiftLeft(int x, int n) { return (u32)n < 32u ? (int)((u32)x << n) : 0; }
__device__ __forceinline__ i64 shiftLeft(i64 x, i64 n) { return (u64)n < 64u ? (i64)((u64)x << n) : 0; }
__device__ __forceinline__ int shiftRight(int x, int n) { return x >> ((u32)n < 32u ? n : 31); }
__device__ __forceinline__ i64 shiftRight(i64 x, i64 n) { return x >> ((u64)n < 64u ? n : 63); }

// NaN goes on.
template <class T> __device__ __forceinline__ T most(T x, T y) { return x > y || x != x ? x : y; }
template <class T> __device__ __forceinline__ T least(T x, T y) { return x < y || x != x ? x : y; }

// First word of Philox 4x32-10 (Salmon et al., SC 2011) for counter (counter, offset, 0, 0).
__device__ __forceinline__ int randomBits(int counter, int low, int high, int offset) {
  u32 a = (u32)counter, b = (u32)offset, c = 0, d = 0, k = (u32)low, l = (u32)high;
#pragma unroll
  for (int round = 0; round < 10; ++round) {
    const u32 p = __umulhi(0xd2511f53u, a), q = 0xd2511f53u * a;
    const u32 r = __umulhi(0xcd9e8d57u, c), s = 0xcd9e8d57u * c;
    a = r ^ b ^ k;
    b = s;
    c = p ^ d ^ l;
    d = q;
    k += 0x9e3779b9u;
    l += 0xbb67ae85u;
  }
  return (int)a;
}

// ---- reductions: values of a type T, joined by R

struct Sum { template <class T> static __device__ __forceinline__ T join(T x, T y) { return x + y; } };
struct Prod { template <class T> static __device__ __forceinline__ T join(T x, T y) { return x * y; } };
struct Max { template <class T> static __device__ __forceinline__ T join(T x, T y) { return most(x, y); } };
struct Min { template <class T> static __device__ __forceinline__ T join(T x, T y) { return least(x, y); } };

// Over groups of W neighbouring lanes; each gets the result.
template <class R, int W, class T> __device__ __forceinline__ T joinLanes(T x) {
#pragma unroll
  for (int step = W / 2; step > 0; step /= 2) x = R::join(x, __shfl_xor_sync(0xffffffffu, x, step));
  return x;
}
// N parts in shared memory, S apart.
template <class R, int N, int S, class T> __device__ __forceinline__ T joinParts(const T *part) {
  T x = part[0];
#pragma unroll
  for (int i = 1; i < N; ++i) x = R::join(x, part[i * S]);
  return x;
}

// ---- adding in memory

__device__ __forceinline__ void addTo(float *p, float x) { atomicAdd(p, x); }
__device__ __forceinline__ void addTo(double *p, double x) { atomicAdd(p, x); }
__device__ __forceinline__ void addTo(int *p, int x) { atomicAdd(p, x); }
__device__ __forceinline__ void addTo(i64 *p, i64 x) {
  atomicAdd(reinterpret_cast<u64 *>(p), (u64)x);
}
__device__ __forceinline__ void addToF16(u16 *p, float x) {
  u16 old = *p, seen;
  do {
    seen = old;
    old = atomicCAS(p, seen, f16Bits(f16Read(seen) + x));
  } while (old != seen);
}
__device__ __forceinline__ void addToBf16(u16 *p, float x) {
  u16 old = *p, seen;
  do {
    seen = old;
    old = atomicCAS(p, seen, bf16Bits(bf16Read(seen) + x));
  } while (old != seen);
}
// No compare-and-swap of a byte: the word around it is exchanged.
__device__ __forceinline__ void addToByte(u8 *p, int x, bool truth) {
  u32 *word = reinterpret_cast<u32 *>(reinterpret_cast<u64>(p) & ~(u64)3);
  const u32 shift = (u32)(reinterpret_cast<u64>(p) & 3) * 8;
  u32 old = *word, seen;
  do {
    seen = old;
    const u32 sum = ((seen >> shift) & 255u) + (u32)x;
    const u32 byte = truth ? (u32)(sum != 0) : sum & 255u;
    old = atomicCAS(word, seen, (seen & ~(255u << shift)) | (byte << shift));
  } while (old != seen);
}

// ---- computed indices

// The first index out of range is left in error (flag, index, size); 0 is used in its place.
__device__ __forceinline__ i64 checked(i64 index, i64 size, i64 *error) {
  if ((u64)index < (u64)size) return index;
  if (atomicCAS(reinterpret_cast<u64 *>(error), (u64)0, (u64)1) == 0) {
    error[1] = index;
    error[2] = size;
  }
  return 0;
}
// pta prelude ends
`;
