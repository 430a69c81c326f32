// CUDA C on a CPU: what a kernel text needs to be compiled by g++ and run block by block. Threads of kernels that wait for each other are fibers
// of one OS thread, switched at barriers and shuffles; a barrier that not all threads reach is reported.
#pragma once
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tuple>
#include <ucontext.h>
#include <utility>

#define PTA_EMULATOR 1
#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __shared__ static
#define __launch_bounds__(...)

namespace emulator {

struct Index {
  unsigned x, y, z;
};
enum class Wait { none, block, warp, done };

constexpr unsigned maxThreads = 1024, warpSize = 32;
// Not a power of two, or the stacks of all threads would fall on the same cache lines.
constexpr size_t stackBytes = 65536 + 832;

struct Fiber {
  void *stackPointer;
  ucontext_t context;
  Wait wait;
  unsigned exchanges;
  char *stack;
};

static Index thread, block, blockSize, gridSize;
static char *dynamicShared;
static Fiber fibers[maxThreads];
static uint64_t slots[maxThreads][2];
static unsigned current;
static void (*body)(void *);
static void *bodyArguments;
// 0, or what went wrong first: 1 a barrier that some threads never reach, 2 threads of one warp at different places, 3 an access that is not aligned.
static int failure;

#if defined(__x86_64__)
extern "C" void pta_emulator_switch(void **save, void *to);
asm(".text\n"
    ".hidden pta_emulator_switch\n"
    ".globl pta_emulator_switch\n"
    "pta_emulator_switch:\n"
    "  pushq %rbp\n  pushq %rbx\n  pushq %r12\n  pushq %r13\n  pushq %r14\n  pushq %r15\n"
    "  movq %rsp, (%rdi)\n"
    "  movq %rsi, %rsp\n"
    "  popq %r15\n  popq %r14\n  popq %r13\n  popq %r12\n  popq %rbx\n  popq %rbp\n"
    "  ret\n");
static void *schedulerStack;
#else
static ucontext_t schedulerContext;
#endif

inline void toScheduler() {
#if defined(__x86_64__)
  pta_emulator_switch(&fibers[current].stackPointer, schedulerStack);
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
  if (f.stack == nullptr) f.stack = (char *)malloc(stackBytes);
  f.wait = Wait::none;
  f.exchanges = 0;
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

inline void place(unsigned t) {
  thread = {t % blockSize.x, t / blockSize.x % blockSize.y, t / (blockSize.x * blockSize.y)};
}

inline void resume(unsigned t) {
  current = t;
  place(t);
#if defined(__x86_64__)
  pta_emulator_switch(&schedulerStack, fibers[t].stackPointer);
#else
  swapcontext(&schedulerContext, &fibers[t].context);
#endif
}

// Runs one warp until all its threads wait for others, or are done; false when it cannot come to that.
inline bool runWarp(unsigned begin, unsigned end, bool forward) {
  for (;;) {
    for (unsigned i = 0; i < end - begin; ++i) {
      const unsigned t = forward ? begin + i : end - 1 - i;
      if (fibers[t].wait == Wait::none) resume(t);
    }
    unsigned here = 0;
    for (unsigned t = begin; t < end; ++t) here += fibers[t].wait == Wait::warp;
    if (here == 0) return true;
    if (here < end - begin) {
      failure = failure ? failure : 2;
      return false;
    }
    for (unsigned t = begin; t < end; ++t) fibers[t].wait = Wait::none;
  }
}

inline void runBlock(bool synchronizes) {
  const unsigned n = blockSize.x * blockSize.y * blockSize.z, warps = (n + warpSize - 1) / warpSize;
  if (!synchronizes) {
    for (unsigned t = 0; t < n; ++t) {
      place(t);
      body(bodyArguments);
    }
    return;
  }
  for (unsigned t = 0; t < n; ++t) prepare(t);
  // Each warp runs ahead as far as it may, in either order, so that a missing barrier shows.
  const bool forward = ((block.x + block.y) & 1) == 0;
  for (;;) {
    for (unsigned i = 0; i < warps; ++i) {
      const unsigned begin = warpSize * (forward ? i : warps - 1 - i);
      if (!runWarp(begin, begin + warpSize < n ? begin + warpSize : n, forward)) return;
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

template <class... A, size_t... I>
inline void callWith(void (*f)(A...), const uint64_t *words, std::index_sequence<I...>) {
  f(*(std::remove_const_t<A> *)(words + I)...);
}

// Runs a grid; each argument takes one word. Returns `failure`.
template <auto F> struct Kernel;
template <class... A, void (*F)(A...)> struct Kernel<F> {
  static void once(void *words) {
    callWith(F, (const uint64_t *)words, std::index_sequence_for<A...>{});
  }
  static constexpr unsigned parameters = sizeof...(A);
  // Shape: blocks and threads in three dimensions each.
  static int launch(const uint64_t *words, const unsigned *shape, char *shared, bool synchronizes) {
    body = &once;
    bodyArguments = (void *)words;
    gridSize = {shape[0], shape[1], shape[2]};
    blockSize = {shape[3], shape[4], shape[5]};
    dynamicShared = shared;
    failure = 0;
    thread = {0, 0, 0};
    for (unsigned k = 0; k < gridSize.z; ++k) {
      for (unsigned j = 0; j < gridSize.y; ++j) {
        for (unsigned i = 0; i < gridSize.x && failure == 0; ++i) {
          block = {i, j, k};
          runBlock(synchronizes);
        }
      }
    }
    return failure;
  }
  static int run(const uint64_t *words, unsigned x, unsigned y, unsigned threads, bool synchronizes) {
    const unsigned shape[] = {x, y, 1, threads, 1, 1};
    return launch(words, shape, nullptr, synchronizes);
  }
};

template <class T> inline T exchange(T value, unsigned source) {
  const unsigned t = current, turn = fibers[t].exchanges++ & 1;
  memcpy(&slots[t][turn], &value, sizeof(T));
  fibers[t].wait = Wait::warp;
  toScheduler();
  T result;
  memcpy(&result, &slots[(t & ~(warpSize - 1)) | source][turn], sizeof(T));
  return result;
}

} // namespace emulator

#define EMULATE(name, synchronizes)                                                                    \
  extern "C" int run_##name(const uint64_t *words, unsigned x, unsigned y, unsigned threads) {         \
    return emulator::Kernel<&name>::run(words, x, y, threads, synchronizes);                           \
  }

#define LAUNCHABLE(name, synchronizes)                                                                 \
  extern "C" const unsigned parameters_##name = emulator::Kernel<&name>::parameters;                   \
  extern "C" int launch_##name(const uint64_t *words, const unsigned *shape, char *shared) {           \
    return emulator::Kernel<&name>::launch(words, shape, shared, synchronizes);                        \
  }

#define threadIdx (emulator::thread)
#define blockIdx (emulator::block)
#define blockDim (emulator::blockSize)
#define gridDim (emulator::gridSize)

static inline void __syncthreads() {
  emulator::fibers[emulator::current].wait = emulator::Wait::block;
  emulator::toScheduler();
}
static inline void __syncwarp() {
  emulator::fibers[emulator::current].wait = emulator::Wait::warp;
  emulator::toScheduler();
}
template <class T> static inline T __shfl_xor_sync(unsigned, T x, int mask) {
  return emulator::exchange(x, (emulator::current & 31u) ^ (unsigned)mask);
}

template <class T> static inline T __shfl_sync(unsigned, T x, int lane, int width = 32) {
  const unsigned own = emulator::current & 31u;
  return emulator::exchange(x, (own & ~(unsigned)(width - 1)) | ((unsigned)lane & (unsigned)(width - 1)));
}
template <class T> static inline T __shfl_down_sync(unsigned, T x, unsigned by, int width = 32) {
  const unsigned own = emulator::current & 31u, from = own + by;
  return emulator::exchange(x, (from ^ own) & ~(unsigned)(width - 1) ? own : from);
}
template <class T> static inline T __shfl_up_sync(unsigned, T x, unsigned by, int width = 32) {
  const unsigned own = emulator::current & 31u, from = own - by;
  return emulator::exchange(x, own < by || ((from ^ own) & ~(unsigned)(width - 1)) ? own : from);
}
static inline unsigned __ballot_sync(unsigned, int p) {
  unsigned bits = 0;
  for (unsigned lane = 0; lane < 32; ++lane) bits |= (unsigned)(emulator::exchange(p != 0, lane)) << lane;
  return bits;
}
static inline int __any_sync(unsigned mask, int p) { return __ballot_sync(mask, p) != 0; }
static inline int __all_sync(unsigned mask, int p) { return __ballot_sync(mask, p) == 0xffffffffu; }
static inline int __popc(unsigned x) { return __builtin_popcount(x); }
static inline int __clz(int x) { return x == 0 ? 32 : __builtin_clz((unsigned)x); }
static inline int __ffs(int x) { return __builtin_ffs(x); }
template <class T> static inline T __ldg(const T *p) { return *p; }
static inline void __threadfence() {}
static inline void __threadfence_block() {}

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
static inline double __longlong_as_double(long long x) { return emulatedBits<double>(x); }
static inline unsigned __umulhi(unsigned a, unsigned b) {
  return (unsigned)(((uint64_t)a * b) >> 32);
}
static inline float emulatedHalfToFloat(unsigned short h) {
  return (float)emulatedBits<_Float16>(h);
}
static inline unsigned short emulatedFloatToHalf(float x) {
  return emulatedBits<unsigned short>((_Float16)x);
}

template <class T> static inline T atomicAdd(T *p, T x) {
  const T old = *p;
  *p = old + x;
  return old;
}
template <class T> static inline T atomicCAS(T *p, T expected, T x) {
  const T old = *p;
  if (old == expected) *p = x;
  return old;
}
template <class T> static inline T atomicMax(T *p, T x) {
  const T old = *p;
  if (x > old) *p = x;
  return old;
}
template <class T> static inline T atomicMin(T *p, T x) {
  const T old = *p;
  if (x < old) *p = x;
  return old;
}
template <class T> static inline T atomicExch(T *p, T x) {
  const T old = *p;
  *p = x;
  return old;
}
