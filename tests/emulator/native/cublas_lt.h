// Descriptors of the emulated cuBLASLt.
#pragma once
#include <cstdint>

enum { SUCCESS = 0, NOT_INITIALIZED = 1, INVALID_VALUE = 7, EXECUTION_FAILED = 13, NOT_SUPPORTED = 15 };
enum { R_32F = 0, R_64F = 1, R_16F = 2, R_16BF = 14, R_8F_E4M3 = 28, R_8F_E5M2 = 29 };

inline bool isFloat8(int type) { return type == R_8F_E4M3 || type == R_8F_E5M2; }

struct MatmulDesc {
  int compute, scale, pointerMode = 0, transposeA = 0, transposeB = 0, epilogue = 1;
  uint64_t bias = 0, aux = 0;
  // One float32 on the device for each of A, B, C and D; and how scales are laid out: 0 is one for the matrix.
  uint64_t scales[4] = {};
  int scaleModes[4] = {};
  int64_t biasStride = 0, auxLd = 0, auxStride = 0;
  int auxType = -1, biasType = -1, processors = 0;
  signed char fastAccumulate = 0;
};

struct Layout {
  int type, order = 0, batches = 1, batchMode = 0;
  uint64_t rows, cols;
  int64_t ld, stride = 0;

  int bytes() const { return type == R_64F ? 8 : type == R_32F ? 4 : isFloat8(type) ? 1 : 2; }
  // Elements between rows, and between columns.
  int64_t down() const { return order == 0 ? 1 : ld; }
  int64_t across() const { return order == 0 ? ld : 1; }
  // Bytes from its first element to the end of its last.
  uint64_t span() const {
    const int64_t last = (int64_t)(rows - 1) * down() + (int64_t)(cols - 1) * across() + (batches - 1) * stride;
    return (uint64_t)(last + 1) * bytes();
  }
};

struct Preference {
  int search = 0;
  uint64_t workspace = 0;
  uint32_t reductions = ~0u, alignment[4] = {256, 256, 256, 256};
  float waves = 0;
};

// What a heuristic answers, in the 64 bytes that belong to the library.
struct Algorithm {
  uint64_t magic, problem, workspace;
  uint32_t alignment[4];
  uint64_t rest[3];
};
static_assert(sizeof(Algorithm) == 64, "as cublasLtMatmulAlgo_t");
constexpr uint64_t algorithmMagic = 0x70746120616c676full;

// Which problem an algorithm has been chosen for.
uint64_t problemOf(const MatmulDesc &d, const Layout &a, const Layout &b, const Layout &c, const Layout &dd);
// What the library would refuse: a status. Eight-bit floats as it documents them for Ada and Hopper.
int checkProblem(const MatmulDesc &d, const Layout &a, const Layout &b, const Layout &c, const Layout &dd);
