// What the emulated cuDNN demands of descriptors.
#include "cudnn.h"

namespace dnn {

namespace {

int need(const Descriptor &d, std::initializer_list<int> names) {
  for (int name : names)
    if (!d.has(name)) return refuse(BAD_PARAM, "kind %d lacks attribute %d", d.kind, name);
  return SUCCESS;
}

int checkTensor(const Descriptor &d) {
  if (int error = need(d, {900, 901, 902, 903, 906})) return error;
  const Tensor t(d);
  if (t.dims.empty() || t.dims.size() != t.strides.size()) return refuse(SHAPE_MISMATCH, "%zu sizes, %zu strides", t.dims.size(), t.strides.size());
  for (i64 n : t.dims)
    if (n < 1) return refuse(BAD_PARAM, "a size of %ld", (long)n);
  if (t.byValue && t.count() != 1) return refuse(BAD_PARAM, "a number of %ld elements", (long)t.count());
  if (t.type != F32 && t.type != F64 && t.type != F16 && t.type != BF16) return refuse(NOT_SUPPORTED, "data type %d", t.type);
  return SUCCESS;
}

int checkConvolution(const Descriptor &d, int description, int xName, int wName, int yName) {
  if (int error = need(d, {description, xName, wName, yName})) return error;
  const Descriptor &c = *d.at(description);
  const Tensor x(*d.at(xName)), w(*d.at(wName)), y(*d.at(yName));
  const size_t spatial = c.numbers(103).size();
  if (spatial < 2 || x.dims.size() != spatial + 2 || w.dims.size() != spatial + 2 || y.dims.size() != spatial + 2)
    return refuse(SHAPE_MISMATCH, "%zu spatial dimensions", spatial);
  if (x.dims[1] % w.dims[1] != 0 || w.dims[0] % (x.dims[1] / w.dims[1]) != 0 || y.dims[0] != x.dims[0] || y.dims[1] != w.dims[0])
    return refuse(SHAPE_MISMATCH, "channels do not fit");
  if (x.type != w.type || x.type != y.type) return refuse(NOT_SUPPORTED, "data types differ");
  const std::vector<i64> stride = c.numbers(103), before = c.numbers(105), after = c.numbers(104), dilation = c.numbers(102);
  for (size_t s = 0; s < spatial; ++s) {
    const i64 reach = x.dims[s + 2] + before[s] + after[s] - dilation[s] * (w.dims[s + 2] - 1) - 1;
    if (reach < 0 || y.dims[s + 2] != reach / stride[s] + 1) return refuse(SHAPE_MISMATCH, "dimension %zu gives %ld", s, (long)(reach / stride[s] + 1));
  }
  return SUCCESS;
}

int checkNorm(const Descriptor &d) {
  const bool forward = d.kind == NORM_FORWARD;
  if (int error = forward ? need(d, {2000, 2001, 2002, 2003, 2004, 2005, 2006, 2007, 2013}) : need(d, {2100, 2101, 2102, 2103, 2104, 2105, 2107, 2108, 2109})) return error;
  if (d.number(forward ? 2000 : 2100) != 2 || (forward && d.number(2001) != 1)) return refuse(NOT_SUPPORTED, "another normalisation than of batches in training");
  const Tensor x(*d.at(forward ? 2002 : 2101));
  if (x.dims.size() < 4) return refuse(NOT_SUPPORTED, "%zu dimensions", x.dims.size());
  const std::vector<int> alike = forward ? std::vector<int>{2013} : std::vector<int>{2104, 2109};
  const std::vector<int> ofChannels = forward ? std::vector<int>{2003, 2004, 2005, 2006} : std::vector<int>{2102, 2103, 2105, 2107, 2108};
  for (int name : alike) {
    const Tensor t(*d.at(name));
    if (t.dims != x.dims || t.strides != x.strides || t.type != x.type) return refuse(SHAPE_MISMATCH, "attribute %d differs from x", name);
  }
  for (int name : ofChannels) {
    const Tensor t(*d.at(name));
    if (t.type != F32 || t.count() != x.dims[1] || t.dims.size() < 2 || t.dims[1] != x.dims[1]) return refuse(SHAPE_MISMATCH, "attribute %d is not of channels", name);
  }
  return SUCCESS;
}

int checkAttention(const Descriptor &d) {
  if (int error = need(d, {2800, 2801, 2802, 2803})) return error;
  const Tensor q(*d.at(2800)), k(*d.at(2801)), v(*d.at(2802)), o(*d.at(2803));
  for (const Tensor *t : {&q, &k, &v, &o}) {
    if (t->dims.size() != 4 || t->strides[3] != 1 || t->dims[3] % 8 != 0) return refuse(NOT_SUPPORTED, "a last dimension of %ld", (long)t->dims.back());
    if (t->type != F16 && t->type != BF16) return refuse(NOT_SUPPORTED, "attention of data type %d", t->type);
  }
  if (q.dims[1] % k.dims[1] != 0 || k.dims[2] != v.dims[2] || q.dims[3] != k.dims[3]) return refuse(SHAPE_MISMATCH, "query and key do not fit");
  if (d.has(2811) && (!d.has(2812) || !d.has(2813))) return refuse(BAD_PARAM, "a graph of scores without its ends");
  return SUCCESS;
}

} // namespace

int check(const Descriptor &d) {
  switch (d.kind) {
  case TENSOR: return checkTensor(d);
  case CONVOLUTION: {
    if (int error = need(d, {100, 101, 102, 103, 104, 105, 106})) return error;
    if (d.number(101) != 1) return refuse(NOT_SUPPORTED, "a convolution that turns its window");
    for (int name : {102, 103, 104, 105})
      if ((i64)d.numbers(name).size() != d.number(106)) return refuse(SHAPE_MISMATCH, "attribute %d", name);
    return SUCCESS;
  }
  case CONV_FORWARD: return checkConvolution(d, 702, 704, 703, 705);
  case CONV_DATA: return checkConvolution(d, 708, 710, 709, 711);
  case CONV_FILTER: return checkConvolution(d, 714, 716, 715, 717);
  case POINTWISE: return need(d, {0, 1});
  case OP_POINTWISE: return need(d, {750, 751, 753});
  case MATMUL: return need(d, {1500});
  case OP_MATMUL: return need(d, {1520, 1521, 1522, 1523});
  case REDUCTION: return need(d, {1600, 1601});
  case OP_REDUCTION: return need(d, {1610, 1611, 1612});
  case OP_RESHAPE: return need(d, {2200, 2201});
  case BAND_MASK: return need(d, {3000, 3005, 3006, 3007});
  case NORM_FORWARD: case NORM_BACKWARD: return checkNorm(d);
  case SDPA_FORWARD: return checkAttention(d);
  case OPERATIONGRAPH: return need(d, {801});
  case ENGINEHEUR: return need(d, {200, 201});
  case EXECUTION_PLAN: return need(d, {400, 401});
  case VARIANT_PACK:
    if (int error = need(d, {1000, 1001, 1003})) return error;
    return d.numbers(1000).size() == d.numbers(1001).size() ? SUCCESS : refuse(SHAPE_MISMATCH, "ids and pointers differ in number");
  default: return refuse(NOT_SUPPORTED, "descriptors of kind %d are not emulated", d.kind);
  }
}

} // namespace dnn
