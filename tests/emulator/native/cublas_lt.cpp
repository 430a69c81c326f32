// cuBLASLt: descriptors and the choice of an algorithm. Its algorithms are one under several names, and it works for whatever the library documents for H100.
#include "cublas_lt.h"
#include <cstdio>
#include <cstdlib>
#include <cstring>

#define API extern "C" __attribute__((visibility("default"))) int

// Copies an attribute in or out; sizes must be exact, as in the library.
struct Field {
  int attribute;
  void *at;
  size_t bytes;
};
template <size_t N> static int setField(const Field (&fields)[N], int attribute, const void *from, size_t bytes) {
  for (const Field &f : fields) {
    if (f.attribute != attribute) continue;
    if (from == nullptr || bytes != f.bytes) return INVALID_VALUE;
    memcpy(f.at, from, bytes);
    return SUCCESS;
  }
  return INVALID_VALUE;
}
template <size_t N>
static int getField(const Field (&fields)[N], int attribute, void *to, size_t bytes, uint64_t *written) {
  for (const Field &f : fields) {
    if (f.attribute != attribute) continue;
    if (written != nullptr) *written = f.bytes;
    if (bytes == 0) return written == nullptr ? INVALID_VALUE : SUCCESS;
    if (to == nullptr || bytes != f.bytes) return INVALID_VALUE;
    memcpy(to, f.at, bytes);
    return SUCCESS;
  }
  return INVALID_VALUE;
}

#define DESC_FIELDS(d)                                                                                 \
  {                                                                                                    \
    {0, &d->compute, 4}, {1, &d->scale, 4}, {2, &d->pointerMode, 4}, {3, &d->transposeA, 4},           \
        {4, &d->transposeB, 4}, {7, &d->epilogue, 4}, {8, &d->bias, 8}, {10, &d->biasStride, 8},       \
        {11, &d->aux, 8}, {12, &d->auxLd, 8}, {13, &d->auxStride, 8}, {15, &d->processors, 4},         \
        {17, &d->scales[0], 8}, {18, &d->scales[1], 8}, {19, &d->scales[2], 8}, {20, &d->scales[3], 8}, \
        {22, &d->auxType, 4}, {25, &d->fastAccumulate, 1}, {26, &d->biasType, 4},                      \
        {31, &d->scaleModes[0], 4}, {32, &d->scaleModes[1], 4}, {33, &d->scaleModes[2], 4},            \
        {34, &d->scaleModes[3], 4}                                                                     \
  }
#define LAYOUT_FIELDS(l)                                                                               \
  {                                                                                                    \
    {0, &l->type, 4}, {1, &l->order, 4}, {2, &l->rows, 8}, {3, &l->cols, 8}, {4, &l->ld, 8},           \
        {5, &l->batches, 4}, {6, &l->stride, 8}, {8, &l->batchMode, 4}                                 \
  }
#define PREFERENCE_FIELDS(p)                                                                           \
  {                                                                                                    \
    {0, &p->search, 4}, {1, &p->workspace, 8}, {3, &p->reductions, 4}, {5, &p->alignment[0], 4},       \
        {6, &p->alignment[1], 4}, {7, &p->alignment[2], 4}, {8, &p->alignment[3], 4}, {9, &p->waves, 4} \
  }

extern "C" __attribute__((visibility("default"))) size_t cublasLtGetVersion() { return 130101; }
extern "C" __attribute__((visibility("default"))) const char *cublasLtGetStatusString(int status) {
  switch (status) {
  case SUCCESS: return "success";
  case NOT_INITIALIZED: return "the library was not initialized";
  case INVALID_VALUE: return "an unsupported value or parameter was passed to the function";
  case EXECUTION_FAILED: return "the GPU program failed to execute";
  case NOT_SUPPORTED: return "the functionality requested is not supported";
  default: return "unknown cublas status";
  }
}
API cublasLtCreate(uint64_t *handle) {
  if (handle == nullptr) return INVALID_VALUE;
  *handle = (uint64_t)malloc(16);
  return SUCCESS;
}
API cublasLtDestroy(void *handle) {
  free(handle);
  return SUCCESS;
}

API cublasLtMatmulDescCreate(MatmulDesc **made, int compute, int scale) {
  if (made == nullptr) return INVALID_VALUE;
  *made = new MatmulDesc{compute, scale};
  return SUCCESS;
}
API cublasLtMatmulDescDestroy(MatmulDesc *d) {
  delete d;
  return SUCCESS;
}
API cublasLtMatmulDescSetAttribute(MatmulDesc *d, int attribute, const void *from, size_t bytes) {
  if (d == nullptr) return INVALID_VALUE;
  const Field fields[] = DESC_FIELDS(d);
  return setField(fields, attribute, from, bytes);
}
API cublasLtMatmulDescGetAttribute(MatmulDesc *d, int attribute, void *to, size_t bytes, uint64_t *written) {
  if (d == nullptr) return INVALID_VALUE;
  const Field fields[] = DESC_FIELDS(d);
  return getField(fields, attribute, to, bytes, written);
}

API cublasLtMatrixLayoutCreate(Layout **made, int type, uint64_t rows, uint64_t cols, int64_t ld) {
  if (made == nullptr) return INVALID_VALUE;
  *made = new Layout{};
  (*made)->type = type;
  (*made)->batches = 1;
  (*made)->rows = rows;
  (*made)->cols = cols;
  (*made)->ld = ld;
  return SUCCESS;
}
API cublasLtMatrixLayoutDestroy(Layout *l) {
  delete l;
  return SUCCESS;
}
API cublasLtMatrixLayoutSetAttribute(Layout *l, int attribute, const void *from, size_t bytes) {
  if (l == nullptr) return INVALID_VALUE;
  const Field fields[] = LAYOUT_FIELDS(l);
  return setField(fields, attribute, from, bytes);
}
API cublasLtMatrixLayoutGetAttribute(Layout *l, int attribute, void *to, size_t bytes, uint64_t *written) {
  if (l == nullptr) return INVALID_VALUE;
  const Field fields[] = LAYOUT_FIELDS(l);
  return getField(fields, attribute, to, bytes, written);
}

API cublasLtMatmulPreferenceCreate(Preference **made) {
  if (made == nullptr) return INVALID_VALUE;
  *made = new Preference;
  return SUCCESS;
}
API cublasLtMatmulPreferenceDestroy(Preference *p) {
  delete p;
  return SUCCESS;
}
API cublasLtMatmulPreferenceSetAttribute(Preference *p, int attribute, const void *from, size_t bytes) {
  if (p == nullptr) return INVALID_VALUE;
  const Field fields[] = PREFERENCE_FIELDS(p);
  return setField(fields, attribute, from, bytes);
}
API cublasLtMatmulPreferenceGetAttribute(Preference *p, int attribute, void *to, size_t bytes, uint64_t *written) {
  if (p == nullptr) return INVALID_VALUE;
  const Field fields[] = PREFERENCE_FIELDS(p);
  return getField(fields, attribute, to, bytes, written);
}

// cublasLtMatmulHeuristicResult_t
struct HeuristicResult {
  Algorithm algorithm;
  uint64_t workspace;
  int state;
  float waves;
  int reserved[4];
};
static_assert(sizeof(HeuristicResult) == 96, "as the library's");

API cublasLtMatmulAlgoGetHeuristic(void *handle, const MatmulDesc *d, const Layout *a, const Layout *b, const Layout *c,
                                   const Layout *dd, const Preference *p, int wanted, HeuristicResult *results,
                                   int *returned) {
  if (handle == nullptr || d == nullptr || a == nullptr || b == nullptr || c == nullptr || dd == nullptr ||
      p == nullptr || wanted <= 0 || results == nullptr || returned == nullptr) {
    return INVALID_VALUE;
  }
  *returned = 0;
  if (int status = checkProblem(*d, *a, *b, *c, *dd)) return status;
  // Some, so that a call that hands over too little shows.
  const uint64_t workspace = p->workspace < 1 << 16 ? 0 : 1 << 16;
  // Up to three, which differ by name only.
  for (int i = 0; i < wanted && i < 3; ++i) {
    HeuristicResult &r = results[i];
    memset(&r, 0, sizeof r);
    r.algorithm = {algorithmMagic, problemOf(*d, *a, *b, *c, *dd), workspace, {}, {(uint64_t)i}};
    memcpy(r.algorithm.alignment, p->alignment, sizeof p->alignment);
    r.workspace = workspace;
    r.waves = 1;
    *returned = i + 1;
  }
  return SUCCESS;
}

API cublasLtMatmulAlgoCheck(void *handle, const MatmulDesc *d, const Layout *a, const Layout *b, const Layout *c,
                            const Layout *dd, const Algorithm *algorithm, HeuristicResult *result) {
  if (handle == nullptr || d == nullptr || a == nullptr || b == nullptr || c == nullptr || dd == nullptr ||
      algorithm == nullptr || result == nullptr) {
    return INVALID_VALUE;
  }
  if (int status = checkProblem(*d, *a, *b, *c, *dd)) return status;
  if (algorithm->magic != algorithmMagic || algorithm->problem != problemOf(*d, *a, *b, *c, *dd)) return INVALID_VALUE;
  memset(result, 0, sizeof *result);
  result->algorithm = *algorithm;
  result->workspace = algorithm->workspace;
  return SUCCESS;
}
