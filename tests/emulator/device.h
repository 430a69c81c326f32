// CUDA C on a CPU: what a kernel text needs to be compiled by g++ and run block by block. Threads of kernels that wait for each other are fibers
// of one OS thread, switched at barriers and shuffles; a barrier that not all threads reach is reported.
#pragma once
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <type_traits>
#include <utility>
#include "native/entry.h"
#if !defined(__x86_64__)
#include <ucontext.h>
#endif

#define PTA_EMULATOR 1
#define __global__
#define __device__
#define __host__
#define __constant__ static
#define __forceinline__ inline
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)
#define __align__(n) alignas(n)
// Each kernel's shared memory lies in a section of its own where one is named, so that it can be measured, and filled before each block.
#ifdef PTA_SECTIONS
#define PTA_SHARED "pta_shared"
#define __shared__ static __attribute__((section(PTA_SHARED ",\"aw\",@nobits#")))
#else
#define __shared__ static
#endif

typedef dim3 uint3;

namespace emulator {

enum class Wait { none, block, warp, done };

constexpr unsigned maxThreads = 1024, lanes = 32;

struct Fiber {
  void *stackPointer;
#if !defined(__x86_64__)
  ucontext_t context;
#endif
  Wait wait;
  // What it gives to the threads of its warp, whose value it wants, and what it got.
  uint64_t given, got;
  unsigned mask, source, ballot;
  char *stack;
};

static dim3 thread, block, blockSize, gridSize;
static Fiber fibers[maxThreads];
static unsigned current;
static char *dynamicShared;
static char *(*stackOf)(unsigned thread);
static void (*body)(void *);
static void *bodyArguments;
// 0, or what went wrong first: 1 a barrier that some threads never reach, 2 threads of one warp at different places, 3 an access that is not aligned.
static int failure;

#if defined(__x86_64__)
static void *schedulerStack;
__attribute__((naked, noinline)) static void switchStack(void **, void *) {
  asm("pushq %rbp\n  pushq %rbx\n  pushq %r12\n  pushq %r13\n  pushq %r14\n  pushq %r15\n"
      "  movq %rsp, (%rdi)\n"
      "  movq %rsi, %rsp\n"
      "  popq %r15\n  popq %r14\n  popq %r13\n  popq %r12\n  popq %rbx\n  popq %rbp\n"
      "  ret\n");
}
#else
static ucontext_t schedulerContext;
#endif

inline void toScheduler() {
#if defined(__x86_64__)
  switchStack(&fibers[current].stackPointer, schedulerStack);
#else
  swapcontext(&fibers[current].context, &schedulerContext);
#endif
}

static void fiberMain() {
  body(bodyArguments);
  fibers[current].wait = Wait::done;
  toScheduler();
  abort();
}

static void prepare(unsigned t) {
  Fiber &f = fibers[t];
  if (f.stack == nullptr) f.stack = stackOf ? stackOf(t) : (char *)malloc(stackBytes);
  f.wait = Wait::none;
#if defined(__x86_64__)
  // What the switch pops: six registers and the address to return to, with the stack aligned as after a call.
  uint64_t *top = (uint64_t *)(((uintptr_t)f.stack + stackBytes) & ~(uintptr_t)15);
  *--top = 0;
  *--top = (uint64_t)&fiberMain;
  for (int i = 0; i < 6; ++i) *--top = 0;
  f.stackPointer = top;
#else
  getcontext(&f.context);
  f.context.uc_stack.ss_sp = f.stack;
  f.context.uc_stack.ss_size = stackBytes;
  f.context.uc_link = nullptr;
  makecontext(&f.context, &fiberMain, 0);
#endif
}

inline void setThread(unsigned t) {
  const unsigned rest = t / blockSize.x;
  thread = {t % blockSize.x, rest % blockSize.y, rest / blockSize.y};
}

inline void resume(unsigned t) {
  current = t;
  setThread(t);
#if defined(__x86_64__)
  switchStack(&schedulerStack, fibers[t].stackPointer);
#else
  swapcontext(&schedulerContext, &fibers[t].context);
#endif
}

// Gives the threads of a warp that wait for each other what they want, once all of a mask that have not ended are there.
inline bool release(unsigned begin, unsigned end) {
  bool any = false;
  for (unsigned t = begin; t < end; ++t) {
    if (fibers[t].wait != Wait::warp) continue;
    const unsigned mask = fibers[t].mask;
    unsigned ballot = 0;
    bool all = true;
    for (unsigned u = begin; u < end && all; ++u) {
      if (!(mask >> (u - begin) & 1) || fibers[u].wait == Wait::done) continue;
      all = fibers[u].wait == Wait::warp && fibers[u].mask == mask;
      if (fibers[u].given != 0) ballot |= 1u << (u - begin);
    }
    if (!all) continue;
    for (unsigned u = begin; u < end; ++u) {
      if (!(mask >> (u - begin) & 1) || fibers[u].wait == Wait::done) continue;
      const unsigned from = begin + fibers[u].source;
      const bool there = from < end && (mask >> (from - begin) & 1) && fibers[from].wait != Wait::done;
      // Nobody may rely on the value of a thread that does not take part.
      fibers[u].got = there ? fibers[from].given : ~0ull;
      fibers[u].ballot = ballot;
    }
    for (unsigned u = begin; u < end; ++u) {
      if ((mask >> (u - begin) & 1) && fibers[u].wait == Wait::warp) fibers[u].wait = Wait::none;
    }
    any = true;
  }
  return any;
}

// Runs one warp until all its threads wait for others, or are done; false when it cannot come to that.
inline bool runWarp(unsigned begin, unsigned end, bool forward) {
  do {
    for (unsigned i = 0; i < end - begin; ++i) {
      const unsigned t = forward ? begin + i : end - 1 - i;
      if (fibers[t].wait == Wait::none) resume(t);
    }
  } while (release(begin, end));
  for (unsigned t = begin; t < end; ++t) {
    if (fibers[t].wait != Wait::warp) continue;
    failure = failure ? failure : 2;
    return false;
  }
  return true;
}

inline void runBlock(bool synchronizes) {
  const unsigned n = blockSize.x * blockSize.y * blockSize.z, warps = (n + lanes - 1) / lanes;
  if (!synchronizes) {
    for (thread.z = 0; thread.z < blockSize.z; ++thread.z) {
      for (thread.y = 0; thread.y < blockSize.y; ++thread.y) {
        for (thread.x = 0; thread.x < blockSize.x; ++thread.x) body(bodyArguments);
      }
    }
    return;
  }
  for (unsigned t = 0; t < n; ++t) prepare(t);
  // Each warp runs ahead as far as it may, in either order, so that a missing barrier shows.
  const bool forward = ((block.x + block.y) & 1) == 0;
  for (;;) {
    for (unsigned i = 0; i < warps; ++i) {
      const unsigned begin = lanes * (forward ? i : warps - 1 - i);
      if (!runWarp(begin, begin + lanes < n ? begin + lanes : n, forward)) return;
    }
    unsigned waiting = 0;
    for (unsigned t = 0; t < n; ++t) waiting += fibers[t].wait == Wait::block;
    if (waiting == 0) return;
    if (waiting < n) {
      failure = failure ? failure : 1;
      return;
    }
    for (unsigned t = 0; t < n; ++t) fibers[t].wait = Wait::none;
  }
}

inline void runGrid(char *sharedBegin, char *sharedEnd, bool synchronizes) {
  failure = 0;
  for (block.z = 0; block.z < gridSize.z; ++block.z) {
    for (block.y = 0; block.y < gridSize.y; ++block.y) {
      for (block.x = 0; block.x < gridSize.x && failure == 0; ++block.x) {
        // Shared memory holds nothing yet: NaN in all float types.
        if (sharedBegin != sharedEnd) memset(sharedBegin, 0xff, sharedEnd - sharedBegin);
        runBlock(synchronizes);
      }
    }
  }
}

template <class... A, size_t... I>
inline void callWith(void (*f)(A...), const uint64_t *words, std::index_sequence<I...>) {
  f(*(std::remove_const_t<A> *)(words + I)...);
}
template <class... A, size_t... I>
inline void callThrough(void (*f)(A...), void *const *parameters, std::index_sequence<I...>) {
  f(*(std::remove_const_t<A> *)parameters[I]...);
}

template <auto F> struct Kernel;
template <class... A, void (*F)(A...)> struct Kernel<F> {
  static constexpr unsigned count = sizeof...(A);
  static constexpr unsigned short sizes[sizeof...(A) + 1] = {sizeof(A)..., 0};

  static void once(void *words) {
    callWith(F, (const uint64_t *)words, std::index_sequence_for<A...>{});
  }
  // Runs a grid; each argument takes one word. Returns `failure`.
  static int run(const uint64_t *words, unsigned x, unsigned y, unsigned threads, bool synchronizes) {
    body = &once;
    bodyArguments = (void *)words;
    blockSize = {threads, 1, 1};
    gridSize = {x, y, 1};
    runGrid(nullptr, nullptr, synchronizes);
    return failure;
  }

  static void onceThrough(void *parameters) {
    callThrough(F, (void *const *)parameters, std::index_sequence_for<A...>{});
  }
  // The same for arguments that pointers point to.
  static int launch(void *const *parameters, const Launch *l, char *begin, char *end, bool synchronizes) {
    body = &onceThrough;
    bodyArguments = (void *)parameters;
    blockSize = l->block;
    gridSize = l->grid;
    dynamicShared = l->dynamicShared;
    stackOf = l->stack;
    runGrid(begin, end, synchronizes);
    return failure;
  }
};

// Waits for the threads of `mask` with a value for them.
inline void meet(unsigned mask, uint64_t given, unsigned source) {
  Fiber &f = fibers[current];
  f.mask = mask;
  f.given = given;
  f.source = source;
  f.wait = Wait::warp;
  toScheduler();
}

template <class T> inline T exchange(unsigned mask, T value, unsigned source) {
  static_assert(sizeof(T) <= 8, "shuffles take up to eight bytes");
  uint64_t word = 0;
  memcpy(&word, &value, sizeof(T));
  meet(mask, word, source);
  T result;
  memcpy(&result, &fibers[current].got, sizeof(T));
  return result;
}

} // namespace emulator

#define EMULATE(name, synchronizes)                                                                    \
  extern "C" int run_##name(const uint64_t *words, unsigned x, unsigned y, unsigned threads) {         \
    return emulator::Kernel<&name>::run(words, x, y, threads, synchronizes);                           \
  }

// Hands out a kernel under `symbol`; its shared memory lies in a section of the name `section`.
#define EMULATE_ENTRY(symbol, section, name, synchronizes)                                             \
  extern "C" char __start_##section[] __attribute__((weak, visibility("hidden")));                     \
  extern "C" char __stop_##section[] __attribute__((weak, visibility("hidden")));                      \
  static int launch_##symbol(void *const *parameters, const emulator::Launch *l) {                     \
    return emulator::Kernel<&name>::launch(parameters, l, __start_##section, __stop_##section, synchronizes); \
  }                                                                                                    \
  extern "C" __attribute__((visibility("default"))) emulator::Entry symbol = {                         \
      &launch_##symbol, emulator::Kernel<&name>::count, emulator::Kernel<&name>::sizes,                \
      __start_##section, __stop_##section};

#define threadIdx (emulator::thread)
#define blockIdx (emulator::block)
#define blockDim (emulator::blockSize)
#define gridDim (emulator::gridSize)
#define warpSize 32

static inline void __syncthreads() {
  emulator::fibers[emulator::current].wait = emulator::Wait::block;
  emulator::toScheduler();
}
static inline void __syncwarp(unsigned mask = 0xffffffffu) { emulator::meet(mask, 0, 0); }
static inline void __threadfence() {}
static inline void __threadfence_block() {}
static inline void __threadfence_system() {}

#define PTA_LANE ((int)(emulator::current & 31u))
template <class T> static inline T __shfl_sync(unsigned mask, T x, int from, int width = 32) {
  return emulator::exchange(mask, x, (PTA_LANE & ~(width - 1)) | (from & (width - 1)));
}
template <class T> static inline T __shfl_xor_sync(unsigned mask, T x, int with, int width = 32) {
  const int lane = PTA_LANE, from = lane ^ with;
  return emulator::exchange(mask, x, (from & ~(width - 1)) > (lane & ~(width - 1)) ? lane : from);
}
template <class T> static inline T __shfl_down_sync(unsigned mask, T x, unsigned by, int width = 32) {
  const int lane = PTA_LANE, from = lane + (int)by;
  return emulator::exchange(mask, x, (from & ~(width - 1)) == (lane & ~(width - 1)) ? from : lane);
}
template <class T> static inline T __shfl_up_sync(unsigned mask, T x, unsigned by, int width = 32) {
  const int lane = PTA_LANE, from = lane - (int)by;
  return emulator::exchange(mask, x, from >= (lane & ~(width - 1)) ? from : lane);
}
static inline unsigned __ballot_sync(unsigned mask, int truth) {
  emulator::meet(mask, truth != 0, 0);
  return emulator::fibers[emulator::current].ballot;
}
static inline int __any_sync(unsigned mask, int truth) { return __ballot_sync(mask, truth) != 0; }
static inline int __all_sync(unsigned mask, int truth) { return __ballot_sync(mask, !truth) == 0; }

static inline void emulatedAlign(const void *p, size_t bytes) {
  if ((uintptr_t)p % bytes != 0 && emulator::failure == 0) emulator::failure = 3;
}
template <class T, class U> static inline T emulatedBits(U x) {
  static_assert(sizeof(T) == sizeof(U), "same size");
  T y;
  memcpy(&y, &x, sizeof(T));
  return y;
}
static inline float __uint_as_float(unsigned x) { return emulatedBits<float>(x); }
static inline unsigned __float_as_uint(float x) { return emulatedBits<unsigned>(x); }
static inline float __int_as_float(int x) { return emulatedBits<float>(x); }
static inline int __float_as_int(float x) { return emulatedBits<int>(x); }
static inline long long __double_as_longlong(double x) { return emulatedBits<long long>(x); }
static inline double __longlong_as_double(long long x) { return emulatedBits<double>(x); }
static inline unsigned __umulhi(unsigned a, unsigned b) {
  return (unsigned)(((uint64_t)a * b) >> 32);
}
static inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
  return (unsigned long long)(((unsigned __int128)a * b) >> 64);
}
static inline int __mulhi(int a, int b) { return (int)(((int64_t)a * b) >> 32); }
static inline int __popc(unsigned x) { return __builtin_popcount(x); }
static inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
static inline int __clz(int x) { return x ? __builtin_clz((unsigned)x) : 32; }
static inline int __clzll(long long x) { return x ? __builtin_clzll((unsigned long long)x) : 64; }
static inline int __ffs(int x) { return __builtin_ffs(x); }
static inline int __ffsll(long long x) { return __builtin_ffsll(x); }
static inline unsigned __brev(unsigned x) {
  unsigned r = 0;
  for (int i = 0; i < 32; ++i) r |= (x >> i & 1u) << (31 - i);
  return r;
}
#define __expf(x) expf(x)
#define __logf(x) logf(x)
#define __powf(x, y) powf(x, y)
#define __sinf(x) sinf(x)
#define __cosf(x) cosf(x)
static inline float __fdividef(float x, float y) { return x / y; }
static inline float __frcp_rn(float x) { return 1.0f / x; }
static inline float __fsqrt_rn(float x) { return sqrtf(x); }
static inline float __fdiv_rn(float x, float y) { return x / y; }
static inline float __fadd_rn(float x, float y) { return x + y; }
static inline float __fmul_rn(float x, float y) { return x * y; }
static inline float __fmaf_rn(float x, float y, float z) { return fmaf(x, y, z); }
static inline float __saturatef(float x) { return x > 0.0f ? (x < 1.0f ? x : 1.0f) : 0.0f; }
static inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }
static inline double rsqrt(double x) { return 1.0 / sqrt(x); }
static inline int __float2int_rn(float x) { return (int)rintf(x); }
static inline int __float2int_rz(float x) { return (int)x; }
static inline int __float2int_rd(float x) { return (int)floorf(x); }
static inline float __int2float_rn(int x) { return (float)x; }
template <class T> static inline T __ldg(const T *p) { return *p; }
template <class T> static inline T __ldcs(const T *p) { return *p; }
template <class T> static inline T __ldcg(const T *p) { return *p; }
template <class T> static inline void __stcs(T *p, T x) { *p = x; }
template <class T> static inline void __stcg(T *p, T x) { *p = x; }
template <class A, class B> static inline std::common_type_t<A, B> min(A a, B b) {
  using T = std::common_type_t<A, B>;
  if constexpr (std::is_floating_point_v<T>) return fmin((T)a, (T)b);
  else return (T)b < (T)a ? (T)b : (T)a;
}
template <class A, class B> static inline std::common_type_t<A, B> max(A a, B b) {
  using T = std::common_type_t<A, B>;
  if constexpr (std::is_floating_point_v<T>) return fmax((T)a, (T)b);
  else return (T)a < (T)b ? (T)b : (T)a;
}
struct float2 { float x, y; };
struct float4 { float x, y, z, w; };
struct double2 { double x, y; };
struct int2 { int x, y; };
struct int4 { int x, y, z, w; };
struct uint2 { unsigned x, y; };
struct uint4 { unsigned x, y, z, w; };
static inline float2 make_float2(float x, float y) { return {x, y}; }
static inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
static inline int2 make_int2(int x, int y) { return {x, y}; }
static inline int4 make_int4(int x, int y, int z, int w) { return {x, y, z, w}; }
static inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }
static inline float emulatedHalfToFloat(unsigned short h) {
  return (float)emulatedBits<_Float16>(h);
}
static inline unsigned short emulatedFloatToHalf(float x) {
  return emulatedBits<unsigned short>((_Float16)x);
}

// What an atomic operation takes beside the pointer may be of another type, as in CUDA.
template <class T> struct EmulatedValue { typedef T type; };
template <class T> using EmulatedOf = typename EmulatedValue<T>::type;
#define EMULATED_ATOMIC(name, expression)                                                              \
  template <class T> static inline T name(T *p, EmulatedOf<T> x) {                                     \
    emulatedAlign(p, sizeof(T));                                                                       \
    const T old = *p;                                                                                  \
    *p = expression;                                                                                   \
    return old;                                                                                        \
  }
EMULATED_ATOMIC(atomicAdd, (T)(old + x))
EMULATED_ATOMIC(atomicSub, (T)(old - x))
EMULATED_ATOMIC(atomicMax, old < x ? x : old)
EMULATED_ATOMIC(atomicMin, x < old ? x : old)
EMULATED_ATOMIC(atomicExch, x)
EMULATED_ATOMIC(atomicAnd, (T)(old & x))
EMULATED_ATOMIC(atomicOr, (T)(old | x))
EMULATED_ATOMIC(atomicXor, (T)(old ^ x))
EMULATED_ATOMIC(atomicInc, (T)(old >= x ? 0 : old + 1))
EMULATED_ATOMIC(atomicDec, (T)(old == 0 || old > x ? x : old - 1))
template <class T> static inline T atomicCAS(T *p, EmulatedOf<T> expected, EmulatedOf<T> x) {
  emulatedAlign(p, sizeof(T));
  const T old = *p;
  if (old == expected) *p = x;
  return old;
}
