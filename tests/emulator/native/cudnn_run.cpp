// Operations of the emulated cuDNN as plain loops over row-major copies of their tensors, in float64, rounded to the data type of what is written.
#include "cudnn.h"
#include <cmath>

namespace dnn {

namespace {

float fromBits(uint32_t bits) {
  float x;
  memcpy(&x, &bits, 4);
  return x;
}
uint32_t toBits(float x) {
  uint32_t bits;
  memcpy(&bits, &x, 4);
  return bits;
}
// Nearest number whose last `drop` bits are zero, ties to even.
float rounded(float x, int drop) {
  const uint32_t b = toBits(x), half = 1u << (drop - 1);
  if ((b & 0x7f800000u) == 0x7f800000u) return x;
  return fromBits((b + half - 1 + ((b >> drop) & 1)) & ~((1u << drop) - 1));
}

double read(u64 address, i64 i, int type) {
  if (type == F64) return ((const double *)address)[i];
  if (type == F32) return ((const float *)address)[i];
  if (type == F16) return (double)((const _Float16 *)address)[i];
  return fromBits((uint32_t)((const uint16_t *)address)[i] << 16);
}
void write(u64 address, i64 i, int type, double x) {
  if (type == F64) ((double *)address)[i] = x;
  else if (type == F32) ((float *)address)[i] = (float)x;
  else if (type == F16) ((_Float16 *)address)[i] = (_Float16)x;
  else ((uint16_t *)address)[i] = (uint16_t)(toBits(rounded((float)x, 16)) >> 16);
}
double round(double x, int type) {
  if (type == F64) return x;
  if (type == F32) return (float)x;
  return type == F16 ? (double)(_Float16)x : (double)rounded((float)x, 16);
}

typedef std::vector<i64> Place;

// Calls `visit` with the number and the coordinates of each element, row-major.
template <class F> void each(const Place &dims, F visit) {
  Place at(dims.size(), 0);
  i64 count = 1;
  for (i64 n : dims) count *= n;
  for (i64 i = 0; i < count; ++i) {
    visit(i, at);
    for (size_t d = dims.size(); d-- > 0;) {
      if (++at[d] < dims[d]) break;
      at[d] = 0;
    }
  }
}
i64 offset(const Place &at, const Place &strides) {
  i64 sum = 0;
  for (size_t d = 0; d < at.size(); ++d) sum += at[d] * strides[d];
  return sum;
}
// The number, in a row-major tensor, of the element that stands for `at` where sizes are smaller: shared by equally many neighbours.
i64 shared(const Place &at, const Place &from, const Place &dims) {
  i64 i = 0;
  for (size_t d = 0; d < dims.size(); ++d) i = i * dims[d] + at[d] * dims[d] / from[d];
  return i;
}

std::vector<double> load(Job &job, const Tensor &t) {
  if (t.byValue) return {job.values.at(t.id)};
  if (t.isVirtual) return job.made.at(t.id);
  std::vector<double> all(t.count());
  each(t.dims, [&](i64 i, const Place &at) { all[i] = read(job.addresses.at(t.id), offset(at, t.strides), t.type); });
  return all;
}
void store(Job &job, const Tensor &t, std::vector<double> all) {
  if (t.isVirtual) {
    for (double &x : all) x = round(x, t.type);
    job.made[t.id] = std::move(all);
    return;
  }
  each(t.dims, [&](i64 i, const Place &at) { write(job.addresses.at(t.id), offset(at, t.strides), t.type, all[i]); });
}

void convolve(Job &job, const Descriptor &d) {
  const int base = d.kind == CONV_FORWARD ? 702 : d.kind == CONV_DATA ? 708 : 714;
  const int xName = d.kind == CONV_FORWARD ? 704 : d.kind == CONV_DATA ? 710 : 716;
  const int wName = d.kind == CONV_FORWARD ? 703 : d.kind == CONV_DATA ? 709 : 715;
  const int yName = d.kind == CONV_FORWARD ? 705 : d.kind == CONV_DATA ? 711 : 717;
  const Tensor X(*d.at(xName)), W(*d.at(wName)), Y(*d.at(yName));
  const Descriptor &c = *d.at(base);
  const Place stride = c.numbers(103), pad = c.numbers(105), dilation = c.numbers(102);
  std::vector<double> x(X.count()), w(W.count()), y(Y.count());
  if (d.kind != CONV_DATA) x = load(job, X);
  if (d.kind != CONV_FILTER) w = load(job, W);
  if (d.kind != CONV_FORWARD) y = load(job, Y);
  if (job.tf32 && X.type == F32)
    for (auto *all : {&x, &w, &y})
      for (double &v : *all) v = rounded((float)v, 13);
  const Place grid(Y.dims.begin() + 2, Y.dims.end()), window(W.dims.begin() + 2, W.dims.end());
  const i64 share = W.dims[1], perGroup = W.dims[0] / (X.dims[1] / share);
  auto count = [](const Place &dims) {
    i64 n = 1;
    for (i64 k : dims) n *= k;
    return n;
  };
  const i64 plane = count(Place(X.dims.begin() + 2, X.dims.end())), taps = count(window), places = count(grid);
  each(grid, [&](i64 g, const Place &at) {
    each(window, [&](i64 k, const Place &tap) {
      i64 from = 0;
      for (size_t s = 0; s < at.size(); ++s) {
        const i64 i = at[s] * stride[s] - pad[s] + tap[s] * dilation[s];
        if (i < 0 || i >= X.dims[s + 2]) return;
        from = from * X.dims[s + 2] + i;
      }
      for (i64 n = 0; n < X.dims[0]; ++n)
        for (i64 o = 0; o < W.dims[0]; ++o)
          for (i64 channel = 0; channel < share; ++channel) {
            double &a = x[(n * X.dims[1] + o / perGroup * share + channel) * plane + from];
            double &b = w[(o * share + channel) * taps + k], &r = y[(n * W.dims[0] + o) * places + g];
            if (d.kind == CONV_FORWARD) r += a * b;
            else if (d.kind == CONV_DATA) a += r * b;
            else b += a * r;
          }
    });
  });
  if (d.kind == CONV_FORWARD) store(job, Y, y);
  else if (d.kind == CONV_DATA) store(job, X, x);
  else store(job, W, w);
}

// Whether the graph of scores inside an attention is the causal mask, the only one that is emulated.
bool isCausal(const Descriptor &d) {
  if (!d.has(2811)) return false;
  const auto &inner = d.at(2811)->attributes.at(801).descriptors;
  if (inner.size() != 1 || inner[0]->kind != BAND_MASK || inner[0]->number(3007) != 303) abort();
  return true;
}

void attend(Job &job, const Descriptor &d) {
  const Tensor Q(*d.at(2800)), K(*d.at(2801)), V(*d.at(2802)), O(*d.at(2803));
  const bool causal = isCausal(d);
  const double scale = d.has(2805) ? job.values.at(d.at(2805)->number(906)) : 1;
  const std::vector<double> q = load(job, Q), k = load(job, K), v = load(job, V);
  const i64 heads = Q.dims[1], own = K.dims[1], rows = Q.dims[2], keys = K.dims[2], size = Q.dims[3], wide = V.dims[3];
  std::vector<double> out(O.count()), stats(Q.dims[0] * heads * rows), p(keys);
  for (i64 line = 0; line < Q.dims[0] * heads * rows; ++line) {
    const i64 i = line % rows, head = line / rows % heads, batch = line / rows / heads, from = (batch * own + head * own / heads) * keys;
    const i64 seen = causal && i + 1 < keys ? i + 1 : keys;
    double most = -INFINITY, sum = 0;
    for (i64 j = 0; j < seen; ++j) {
      double s = 0;
      for (i64 e = 0; e < size; ++e) s += q[line * size + e] * k[(from + j) * size + e];
      most = std::max(most, p[j] = s * scale);
    }
    for (i64 j = 0; j < seen; ++j) sum += p[j] = std::exp(p[j] - most);
    // Weights meet values in their own data type.
    for (i64 j = 0; j < seen; ++j)
      for (i64 e = 0; e < wide; ++e) out[line * wide + e] += round(p[j], V.type) * v[(from + j) * wide + e] / sum;
    stats[line] = most + std::log(sum);
  }
  store(job, O, out);
  if (d.has(2804)) store(job, Tensor(*d.at(2804)), stats);
}

void pointwise(Job &job, const Descriptor &d) {
  const Tensor X(*d.at(751)), Y(*d.at(753));
  const std::vector<double> x = load(job, X);
  std::vector<double> y(Y.count()), b;
  Place dims;
  if (d.has(752)) {
    const Tensor B(*d.at(752));
    b = load(job, B);
    dims = B.dims;
  }
  const i64 mode = d.at(750)->number(0);
  each(Y.dims, [&](i64 i, const Place &at) {
    const double v = x[shared(at, Y.dims, X.dims)], other = b.empty() ? 0 : b[shared(at, Y.dims, dims)];
    switch (mode) {
    case 0: y[i] = v + other; break;
    case 1: y[i] = v * other; break;
    case 9: y[i] = v - other; break;
    case 13: y[i] = std::exp(v); break;
    case 21: y[i] = v; break;
    default: abort();
    }
  });
  store(job, Y, y);
}

void multiply(Job &job, const Descriptor &d) {
  const Tensor A(*d.at(1520)), B(*d.at(1521)), C(*d.at(1522));
  const std::vector<double> a = load(job, A), b = load(job, B);
  std::vector<double> c(C.count());
  const size_t last = C.dims.size() - 1;
  const i64 inner = A.dims[last];
  if (B.dims[last - 1] != inner) abort();
  each(C.dims, [&](i64 i, const Place &at) {
    // Tensor cores take factors of 16 bits; what has been computed before is rounded to those.
    const int type = A.type == F32 ? B.type : A.type;
    Place p = at, q = at, fromA = C.dims, fromB = C.dims;
    p[last] = q[last - 1] = 0;
    fromA[last] = A.dims[last];
    fromB[last - 1] = B.dims[last - 1];
    const i64 atA = shared(p, fromA, A.dims), atB = shared(q, fromB, B.dims);
    for (i64 k = 0; k < inner; ++k) c[i] += round(a[atA + k], type) * round(b[atB + k * B.dims[last]], type);
  });
  store(job, C, c);
}

void reduce(Job &job, const Descriptor &d) {
  const Tensor X(*d.at(1610)), Y(*d.at(1611));
  if (d.at(1612)->number(1600) != 0) abort();
  const std::vector<double> x = load(job, X);
  std::vector<double> y(Y.count());
  each(X.dims, [&](i64 i, const Place &at) { y[shared(at, X.dims, Y.dims)] += x[i]; });
  store(job, Y, y);
}

// The same memory under other sizes and strides.
void view(Job &job, const Descriptor &d) {
  const Tensor X(*d.at(2200)), Y(*d.at(2201));
  const std::vector<double> x = load(job, X);
  std::vector<double> memory(X.span()), y(Y.count());
  if (Y.span() > X.span()) abort();
  each(X.dims, [&](i64 i, const Place &at) { memory[offset(at, X.strides)] = x[i]; });
  each(Y.dims, [&](i64 i, const Place &at) { y[i] = memory[offset(at, Y.strides)]; });
  store(job, Y, y);
}

void mask(Job &job, const Descriptor &d) {
  const Tensor X(*d.at(3000)), Y(*d.at(3006));
  if (d.number(3007) != 303) abort();
  const double otherwise = load(job, Tensor(*d.at(3005)))[0];
  std::vector<double> x = load(job, X);
  each(X.dims, [&](i64 i, const Place &at) {
    if (at[at.size() - 2] < at[at.size() - 1]) x[i] = otherwise;
  });
  store(job, Y, x);
}

// Calls `visit` with the number of each element of a channel in a row-major tensor.
template <class F> void eachOf(const Tensor &x, i64 channel, F visit) {
  const i64 places = x.count() / x.dims[0] / x.dims[1];
  for (i64 n = 0; n < x.dims[0]; ++n)
    for (i64 p = 0; p < places; ++p) visit((n * x.dims[1] + channel) * places + p);
}

void normalize(Job &job, const Descriptor &d) {
  const Tensor X(*d.at(2002));
  const std::vector<double> x = load(job, X), weight = load(job, Tensor(*d.at(2005))), bias = load(job, Tensor(*d.at(2006)));
  const double eps = load(job, Tensor(*d.at(2007)))[0], count = (double)X.count() / X.dims[1];
  std::vector<double> y(x.size()), mean(weight.size()), scale(weight.size());
  for (i64 c = 0; c < X.dims[1]; ++c) {
    double sum = 0, squares = 0;
    eachOf(X, c, [&](i64 i) { sum += x[i]; });
    mean[c] = sum / count;
    eachOf(X, c, [&](i64 i) { squares += (x[i] - mean[c]) * (x[i] - mean[c]); });
    scale[c] = 1 / std::sqrt(squares / count + eps);
    eachOf(X, c, [&](i64 i) { y[i] = (x[i] - mean[c]) * scale[c] * weight[c] + bias[c]; });
  }
  store(job, Tensor(*d.at(2013)), y);
  store(job, Tensor(*d.at(2003)), mean);
  store(job, Tensor(*d.at(2004)), scale);
}

void normalizeBack(Job &job, const Descriptor &d) {
  const Tensor X(*d.at(2101));
  const std::vector<double> x = load(job, X), mean = load(job, Tensor(*d.at(2102))), scale = load(job, Tensor(*d.at(2103)));
  const std::vector<double> g = load(job, Tensor(*d.at(2104))), weight = load(job, Tensor(*d.at(2105)));
  const double count = (double)X.count() / X.dims[1];
  std::vector<double> dx(x.size()), dWeight(weight.size()), dBias(weight.size());
  for (i64 c = 0; c < X.dims[1]; ++c) {
    auto normal = [&](i64 i) { return (x[i] - mean[c]) * scale[c]; };
    eachOf(X, c, [&](i64 i) {
      dBias[c] += g[i];
      dWeight[c] += g[i] * normal(i);
    });
    eachOf(X, c, [&](i64 i) { dx[i] = (g[i] - (dBias[c] + normal(i) * dWeight[c]) / count) * scale[c] * weight[c]; });
  }
  store(job, Tensor(*d.at(2109)), dx);
  store(job, Tensor(*d.at(2107)), dWeight);
  store(job, Tensor(*d.at(2108)), dBias);
}

} // namespace

void run(Job &job) {
  for (const Ref &operation : job.graph->attributes.at(801).descriptors) {
    const Descriptor &d = *operation;
    switch (d.kind) {
    case CONV_FORWARD: case CONV_DATA: case CONV_FILTER: convolve(job, d); break;
    case NORM_FORWARD: normalize(job, d); break;
    case NORM_BACKWARD: normalizeBack(job, d); break;
    case SDPA_FORWARD: attend(job, d); break;
    case OP_POINTWISE: pointwise(job, d); break;
    case OP_MATMUL: multiply(job, d); break;
    case OP_REDUCTION: reduce(job, d); break;
    case OP_RESHAPE: view(job, d); break;
    case BAND_MASK: mask(job, d); break;
    default: abort();
    }
  }
}

} // namespace dnn
