// Products of the emulated cuBLASLt: summed in float64, on a stream like a kernel.
#pragma GCC optimize("O3")
#include "cublas_lt.h"
#include "emulator.h"
#include <cmath>

using emulator::u64;

// Parts of an epilogue.
enum { RELU = 2, BIAS = 4, DERIVATIVE = 8, BGRAD = 16, GELU = 32, DGELU = 64, AUX = 128, BGRADA = 256, BGRADB = 512 };

static int stateOfEpilogue(int e) {
  for (int known : {1, 2, 4, 6, 130, 134, 136, 152, 32, 36, 160, 164, 192, 208, 256, 512}) {
    if (e == known) return SUCCESS;
  }
  return INVALID_VALUE;
}

static bool knownType(int t) { return t == R_32F || t == R_64F || t == R_16F || t == R_16BF || isFloat8(t); }

// Eight-bit factors: A transposed and B not, whatever is contiguous in whole multiples of 16 bytes, not both with two bits of mantissa, sums in
// float32. A result of eight bits exists in the library, but not here.
static int checkFloat8(const MatmulDesc &d, const Layout &a, const Layout &b, const Layout &dd) {
  if (!isFloat8(a.type) || !isFloat8(b.type) || isFloat8(dd.type) || dd.type == R_64F) return NOT_SUPPORTED;
  if (a.type == R_8F_E5M2 && b.type == R_8F_E5M2) return NOT_SUPPORTED;
  if (d.transposeA != 1 || d.transposeB != 0 || a.order != 0 || b.order != 0 || dd.order != 0) return NOT_SUPPORTED;
  if (d.compute != 68 || d.scale != R_32F) return NOT_SUPPORTED;
  if (a.rows % 16 != 0 || a.ld % 16 != 0 || b.ld % 16 != 0) return NOT_SUPPORTED;
  if (dd.rows * dd.bytes() % 16 != 0 || dd.ld * dd.bytes() % 16 != 0) return NOT_SUPPORTED;
  for (int mode : d.scaleModes) {
    if (mode != 0) return NOT_SUPPORTED;
  }
  // No derivative, and a bias of 16 bits.
  if (d.epilogue & (DERIVATIVE | BGRAD | DGELU | BGRADA | BGRADB)) return NOT_SUPPORTED;
  if (d.epilogue & BIAS) {
    const int type = d.biasType < 0 ? dd.type == R_32F ? R_16BF : dd.type : d.biasType;
    if (type != R_16BF && type != R_16F) return NOT_SUPPORTED;
  }
  return SUCCESS;
}

int checkProblem(const MatmulDesc &d, const Layout &a, const Layout &b, const Layout &c, const Layout &dd) {
  for (const Layout *l : {&a, &b, &c, &dd}) {
    if (l->rows == 0 || l->cols == 0 || l->order < 0 || l->batches < 1) return INVALID_VALUE;
    if (l->order > 1 || l->batchMode != 0 || !knownType(l->type)) return NOT_SUPPORTED;
    if (l->ld < (int64_t)(l->order == 0 ? l->rows : l->cols)) return INVALID_VALUE;
  }
  const u64 m = d.transposeA ? a.cols : a.rows, k = d.transposeA ? a.rows : a.cols;
  const u64 kb = d.transposeB ? b.cols : b.rows, n = d.transposeB ? b.rows : b.cols;
  if (k != kb || m != dd.rows || n != dd.cols || c.rows != dd.rows || c.cols != dd.cols) return INVALID_VALUE;
  if (a.batches != dd.batches || b.batches != dd.batches || c.batches != dd.batches) return INVALID_VALUE;
  const bool eight = isFloat8(a.type) || isFloat8(b.type);
  if ((a.type != b.type && !eight) || c.type != dd.type) return NOT_SUPPORTED;
  if (eight) {
    if (int status = checkFloat8(d, a, b, dd)) return status;
    if (int status = stateOfEpilogue(d.epilogue)) return status;
    return SUCCESS;
  }
  const bool doubles = a.type == R_64F, halves = a.type == R_16F || a.type == R_16BF;
  const int compute = d.compute;
  if (doubles) {
    if ((compute != 70 && compute != 71) || d.scale != R_64F || dd.type != R_64F) return NOT_SUPPORTED;
  } else {
    const bool single = compute == 68 || compute == 69, fast = compute == 74 || compute == 75 || compute == 77 || compute == 78;
    if (d.scale != R_32F || (!single && !(fast && a.type == R_32F))) return NOT_SUPPORTED;
    if (dd.type != R_32F && !(halves && dd.type == a.type)) return NOT_SUPPORTED;
  }
  if (int status = stateOfEpilogue(d.epilogue)) return status;
  if (d.epilogue != 1 && (doubles || dd.order != 0)) return NOT_SUPPORTED;
  if (d.epilogue & AUX) {
    const bool mask = d.epilogue & RELU || d.epilogue & DERIVATIVE;
    if (d.auxLd < (int64_t)m || d.auxLd % (mask ? 128 : 8) != 0) return INVALID_VALUE;
  }
  return SUCCESS;
}

uint64_t problemOf(const MatmulDesc &d, const Layout &a, const Layout &b, const Layout &c, const Layout &dd) {
  u64 h = 0xcbf29ce484222325ull;
  auto add = [&](u64 x) { h = (h ^ x) * 0x100000001b3ull; };
  for (const Layout *l : {&a, &b, &c, &dd}) {
    for (u64 x : {(u64)l->type, (u64)l->order, l->rows, l->cols, (u64)l->ld, (u64)l->batches, (u64)l->stride}) add(x);
  }
  for (int x : {d.compute, d.scale, d.transposeA, d.transposeB, d.epilogue, (int)d.fastAccumulate}) add(x);
  return h;
}

// Exponents count from 7 and 15; both formats have NaN at the end, E5M2 an infinity before.
static double readFloat8(unsigned char byte, int type) {
  const int mantissa = type == R_8F_E4M3 ? 3 : 2, bias = type == R_8F_E4M3 ? 7 : 15;
  const int field = byte >> mantissa & (type == R_8F_E4M3 ? 15 : 31), steps = byte & ((1 << mantissa) - 1);
  double x = field == 0 ? ldexp(steps, 1 - bias - mantissa) : ldexp((1 << mantissa) + steps, field - bias - mantissa);
  if (type == R_8F_E4M3 ? (byte & 127) == 127 : field == 31 && steps != 0) x = NAN;
  else if (type == R_8F_E5M2 && field == 31) x = INFINITY;
  return byte & 128 ? -x : x;
}

static double read(const void *p, int type, int64_t i) {
  switch (type) {
  case R_32F: return ((const float *)p)[i];
  case R_64F: return ((const double *)p)[i];
  case R_16F: return (float)((const _Float16 *)p)[i];
  case R_8F_E4M3:
  case R_8F_E5M2: return readFloat8(((const unsigned char *)p)[i], type);
  default: {
    const uint32_t bits = (uint32_t)((const uint16_t *)p)[i] << 16;
    float f;
    memcpy(&f, &bits, 4);
    return f;
  }
  }
}

static void write(void *p, int type, int64_t i, double x) {
  switch (type) {
  case R_32F: ((float *)p)[i] = (float)x; return;
  case R_64F: ((double *)p)[i] = x; return;
  case R_16F: ((_Float16 *)p)[i] = (_Float16)(float)x; return;
  default: {
    const float f = (float)x;
    uint32_t b;
    memcpy(&b, &f, 4);
    ((uint16_t *)p)[i] = (b & 0x7fffffffu) > 0x7f800000u ? 0x7fc0 : (uint16_t)((b + 0x7fffu + ((b >> 16) & 1u)) >> 16);
  }
  }
}

// A factor as the tensor cores see it in the TF32 mode: ten bits after the point.
static double tf32(double x) {
  float f = (float)x;
  uint32_t b;
  memcpy(&b, &f, 4);
  if ((b & 0x7f800000u) != 0x7f800000u) b = (b + 0xfffu + ((b >> 13) & 1u)) & ~0x1fffu;
  memcpy(&f, &b, 4);
  return f;
}

static double gelu(double x) { return 0.5 * x * (1 + tanh(0.7978845608028654 * (x + 0.044715 * x * x * x))); }
static double geluSlope(double x) {
  const double t = tanh(0.7978845608028654 * (x + 0.044715 * x * x * x));
  return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * 0.7978845608028654 * (1 + 3 * 0.044715 * x * x);
}

struct Product {
  MatmulDesc desc;
  Layout la, lb, lc, ld;
  u64 a, b, c, d, alphaAt, betaAt, workspace, workspaceBytes;
  double alpha, beta;
};

static void multiply(const Product &p, int batch, double alpha, double beta) {
  const MatmulDesc &desc = p.desc;
  const Layout &la = p.la, &lb = p.lb, &lc = p.lc, &ld = p.ld;
  const int64_t m = ld.rows, n = ld.cols, k = desc.transposeA ? la.rows : la.cols;
  const bool rounds = desc.compute == 77;
  const char *a = (const char *)p.a + batch * la.stride * la.bytes(), *b = (const char *)p.b + batch * lb.stride * lb.bytes();
  const char *c = (const char *)p.c + batch * lc.stride * lc.bytes();
  char *d = (char *)p.d + batch * ld.stride * ld.bytes();
  // Factors as [k][m] and [k][n].
  std::vector<double> x(k * m), y(k * n), sums(m);
  for (int64_t j = 0; j < k; ++j) {
    for (int64_t i = 0; i < m; ++i) {
      const int64_t row = desc.transposeA ? j : i, col = desc.transposeA ? i : j;
      const double v = read(a, la.type, row * la.down() + col * la.across());
      x[j * m + i] = rounds ? tf32(v) : v;
    }
    for (int64_t i = 0; i < n; ++i) {
      const int64_t row = desc.transposeB ? i : j, col = desc.transposeB ? j : i;
      const double v = read(b, lb.type, row * lb.down() + col * lb.across());
      y[j * n + i] = rounds ? tf32(v) : v;
    }
  }
  const int e = desc.epilogue, biasType = desc.biasType < 0 ? ld.type : desc.biasType;
  const int auxType = desc.auxType < 0 ? ld.type : desc.auxType;
  char *bias = (char *)desc.bias + batch * desc.biasStride * (biasType == R_32F ? 4 : 2);
  char *aux = (char *)desc.aux;
  const int64_t auxBatch = batch * desc.auxStride;
  std::vector<double> gradient(e & BGRAD ? m : 0, 0.0);
  for (int64_t col = 0; col < n; ++col) {
    std::fill(sums.begin(), sums.end(), 0.0);
    for (int64_t j = 0; j < k; ++j) {
      const double f = y[j * n + col], *from = &x[j * m];
      for (int64_t i = 0; i < m; ++i) sums[i] += f * from[i];
    }
    for (int64_t i = 0; i < m; ++i) {
      double v = alpha * sums[i];
      // With a beta of zero C is not read, whatever it holds.
      if (beta != 0) v += beta * read(c, lc.type, i * lc.down() + col * lc.across());
      if (e != 1 && e < 256) {
        if (e & BIAS) v += read(bias, biasType, i);
        const int64_t at = auxBatch + col * desc.auxLd + i;
        if (e & DERIVATIVE) v = ((unsigned char *)aux)[at >> 3] >> (at & 7) & 1 ? v : 0;
        else if (e & DGELU) v *= geluSlope(read(aux, auxType, at));
        else if (e & RELU) {
          if (e & AUX) {
            unsigned char &byte = ((unsigned char *)aux)[at >> 3];
            byte = (unsigned char)((byte & ~(1u << (at & 7))) | (unsigned)(v > 0) << (at & 7));
          }
          v = v > 0 || v != v ? v : 0;
        } else if (e & GELU) {
          if (e & AUX) write(aux, auxType, at, v);
          v = gelu(v);
        }
        if (e & BGRAD) gradient[i] += v;
      }
      write(d, ld.type, i * ld.down() + col * ld.across(), v);
    }
  }
  if (e & BGRAD && e < 256) {
    for (int64_t i = 0; i < m; ++i) write(bias, biasType, i, gradient[i]);
  }
  if (e == BGRADA || e == BGRADB) {
    const int64_t count = e == BGRADA ? m : n;
    const std::vector<double> &from = e == BGRADA ? x : y;
    for (int64_t i = 0; i < count; ++i) {
      double sum = 0;
      for (int64_t j = 0; j < k; ++j) sum += from[j * count + i];
      write(bias, biasType, i, sum);
    }
  }
}

extern "C" __attribute__((visibility("default"))) int
cublasLtMatmul(void *handle, const MatmulDesc *desc, const void *alpha, u64 a, const Layout *la, u64 b, const Layout *lb,
               const void *beta, u64 c, const Layout *lc, u64 d, const Layout *ld, const Algorithm *algorithm, u64 workspace,
               u64 workspaceBytes, u64 stream) {
  emulator::Lock lock;
  if (handle == nullptr || desc == nullptr || alpha == nullptr || beta == nullptr || la == nullptr || lb == nullptr ||
      lc == nullptr || ld == nullptr || a == 0 || b == 0 || d == 0) {
    return INVALID_VALUE;
  }
  if (emulator::entry() != 0) return EXECUTION_FAILED;
  if (int status = checkProblem(*desc, *la, *lb, *lc, *ld)) return status;
  const emulator::StreamRef s = emulator::streamOf(stream);
  if (s == nullptr) return EXECUTION_FAILED;
  u64 needed = 0;
  if (algorithm != nullptr) {
    if (algorithm->magic != algorithmMagic || algorithm->problem != problemOf(*desc, *la, *lb, *lc, *ld)) {
      emulator::finding("cublasLtMatmul: the algorithm was chosen for another problem");
      return INVALID_VALUE;
    }
    needed = algorithm->workspace;
    const u64 at[] = {a, b, c, d};
    for (int i = 0; i < 4; ++i) {
      if (at[i] % algorithm->alignment[i] == 0) continue;
      emulator::finding("cublasLtMatmul: %c is not aligned to %u bytes, which the algorithm was chosen for", "ABCD"[i],
                        algorithm->alignment[i]);
      return INVALID_VALUE;
    }
  }
  if (workspaceBytes < needed) {
    emulator::finding("cublasLtMatmul: %llu bytes of workspace, the algorithm wants %llu", (unsigned long long)workspaceBytes,
                      (unsigned long long)needed);
    return INVALID_VALUE;
  }
  auto p = std::make_shared<Product>(Product{*desc, *la, *lb, *lc, *ld, a, b, c, d, 0, 0, workspace, needed, 1, 0});
  const bool onDevice = desc->pointerMode == 1;
  const int scaleType = desc->scale;
  if (onDevice) {
    p->alphaAt = (u64)alpha;
    p->betaAt = (u64)beta;
  } else {
    p->alpha = read(alpha, scaleType, 0);
    p->beta = read(beta, scaleType, 0);
  }
  emulator::Work work;
  work.name = "cublasLtMatmul";
  bool live = true;
  auto touch = [&](u64 address, u64 bytes, bool writes) {
    live = emulator::rangeIsLive("cublasLtMatmul", address, bytes) && live;
    work.accesses.push_back({address, bytes, writes});
  };
  touch(a, la->span(), false);
  touch(b, lb->span(), false);
  const bool eight = isFloat8(la->type);
  for (int i = 0; i < 4; ++i) {
    if (desc->scales[i] == 0) continue;
    // As documented: a scale for a matrix that takes none.
    if (!eight || i > 1) return INVALID_VALUE;
    touch(desc->scales[i], 4, false);
  }
  if (eight) {
    for (u64 at : {a, b, d}) {
      if (at % 16 == 0) continue;
      emulator::finding("cublasLtMatmul: a matrix of a product of eight-bit floats is not aligned to 16 bytes");
      return INVALID_VALUE;
    }
  }
  if (onDevice || p->beta != 0) {
    if (c == 0) return INVALID_VALUE;
    if (c != d) touch(c, lc->span(), false);
  }
  touch(d, ld->span(), true);
  if (needed > 0) touch(workspace, needed, true);
  const int e = desc->epilogue;
  const u64 m = ld->rows, n = ld->cols;
  if (e == BGRADA || e == BGRADB || (e != 1 && e < 256 && e & (BIAS | BGRAD))) {
    if (desc->bias == 0) return INVALID_VALUE;
    const int type = desc->biasType < 0 ? ld->type : desc->biasType;
    const u64 count = (e == BGRADB ? n : m) + (ld->batches - 1) * desc->biasStride;
    touch(desc->bias, count * (type == R_32F ? 4 : 2), !(e & BIAS));
  }
  if (e != 1 && e < 256 && e & AUX) {
    if (desc->aux == 0) return INVALID_VALUE;
    const u64 elements = (n - 1) * desc->auxLd + m + (ld->batches - 1) * desc->auxStride;
    const bool mask = e & (RELU | DERIVATIVE);
    touch(desc->aux, mask ? (elements + 7) / 8 : elements * (desc->auxType < 0 ? ld->bytes() : desc->auxType == R_32F ? 4 : 2),
          !(e & (DERIVATIVE | DGELU)));
  }
  if (!live) return INVALID_VALUE;
  work.run = [p, onDevice, scaleType] {
    return emulator::guarded("cublasLtMatmul", [&] {
      if (p->workspaceBytes > 0) memset((void *)p->workspace, 0xff, p->workspaceBytes);
      double alpha = onDevice ? read((void *)p->alphaAt, scaleType, 0) : p->alpha;
      for (u64 at : {p->desc.scales[0], p->desc.scales[1]}) {
        if (at != 0) alpha *= *(const float *)at;
      }
      const double beta = onDevice ? read((void *)p->betaAt, scaleType, 0) : p->beta;
      for (int i = 0; i < p->ld.batches; ++i) multiply(*p, i, alpha, beta);
      return 0;
    });
  };
  return emulator::enqueue(s, std::move(work)) == 0 ? SUCCESS : EXECUTION_FAILED;
}
