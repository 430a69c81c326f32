// Descriptors of the emulated cuDNN. Numbers are those of the library's headers.
#pragma once
#include "emulator.h"

namespace dnn {

using emulator::u64;
typedef int64_t i64;

enum Status { SUCCESS = 0, BAD_PARAM = 2000, NOT_FINALIZED = 2004, SHAPE_MISMATCH = 2008, ATTRIBUTE_TYPE = 2010, NOT_SUPPORTED = 3000, EXECUTION_FAILED = 5000 };
enum Kind {
  POINTWISE = 0, CONVOLUTION = 1, ENGINE = 2, ENGINECFG = 3, ENGINEHEUR = 4, EXECUTION_PLAN = 5, CONV_FORWARD = 10, CONV_FILTER = 11, CONV_DATA = 12,
  OP_POINTWISE = 13, OPERATIONGRAPH = 15, VARIANT_PACK = 16, TENSOR = 17, MATMUL = 18, OP_MATMUL = 19, REDUCTION = 21, OP_REDUCTION = 22, NORM_FORWARD = 29, NORM_BACKWARD = 30, OP_RESHAPE = 31,
  DEVICEPROP = 38, SDPA_FORWARD = 41, BAND_MASK = 44,
};
enum Type { HANDLE = 0, DATA_TYPE = 1, BOOLEAN = 2, INT64 = 3, FLOAT = 4, DOUBLE = 5, VOID_PTR = 6, DESCRIPTOR = 15, NOTE = 11, INT32 = 23, CHAR = 24 };
enum Data { F32 = 0, F64 = 1, F16 = 2, BF16 = 9 };
enum Note { TENSOR_CORE = 0, NONDETERMINISTIC = 4 };

// Says why the last call failed, and is the status.
int refuse(int status, const char *format, ...) __attribute__((format(printf, 2, 3)));

struct Descriptor;
typedef std::shared_ptr<Descriptor> Ref;

struct Attribute {
  int type = 0;
  i64 count = 0;
  std::vector<char> bytes;
  std::vector<Ref> descriptors;
};

struct Descriptor {
  int kind = 0;
  bool final = false;
  std::map<int, Attribute> attributes;
  // Of an engine: what it does with numbers. Of a plan: its scratch memory.
  std::vector<int> notes;
  u64 workspace = 0;

  bool has(int name) const { return attributes.count(name) != 0; }
  Ref at(int name) const { return has(name) ? attributes.at(name).descriptors.at(0) : nullptr; }
  std::vector<i64> numbers(int name) const {
    if (!has(name)) return {};
    const Attribute &a = attributes.at(name);
    std::vector<i64> all(a.count);
    for (i64 i = 0; i < a.count; ++i) {
      if (a.type == INT64 || a.type == VOID_PTR || a.type == HANDLE) all[i] = ((const i64 *)a.bytes.data())[i];
      else if (a.type == BOOLEAN) all[i] = a.bytes[i];
      else all[i] = ((const int *)a.bytes.data())[i];
    }
    return all;
  }
  i64 number(int name, i64 otherwise = 0) const { return has(name) ? numbers(name).at(0) : otherwise; }
};

// ---- tensors

struct Tensor {
  std::vector<i64> dims, strides;
  i64 id = 0;
  int type = F32;
  bool isVirtual = false, byValue = false;
  explicit Tensor(const Descriptor &d)
      : dims(d.numbers(902)), strides(d.numbers(903)), id(d.number(906)), type((int)d.number(901)), isVirtual(d.number(907)), byValue(d.number(908)) {}
  i64 count() const {
    i64 n = 1;
    for (i64 d : dims) n *= d;
    return n;
  }
  int bytes() const { return type == F64 ? 8 : type == F32 ? 4 : 2; }
  // Elements from the first to the last, both included.
  i64 span() const {
    i64 last = 0;
    for (size_t d = 0; d < dims.size(); ++d) last += (dims[d] - 1) * strides[d];
    return last + 1;
  }
};

// Attributes that hold a tensor which the operation writes.
inline bool isOutput(int attribute) {
  for (int a : {705, 710, 715, 753, 1522, 1611, 2201, 3006, 2803, 2804, 2003, 2004, 2013, 2107, 2108, 2109})
    if (a == attribute) return true;
  return false;
}

// What a plan runs: a graph, its tensors' addresses, the values of numbers.
struct Job {
  Ref graph;
  std::map<i64, u64> addresses;
  std::map<i64, double> values;
  std::map<i64, std::vector<double>> made; // Virtual tensors, row-major
  bool tf32 = false;
  u64 workspace = 0, workspaceBytes = 0;
};
// Runs a graph's operations in order (cudnn_run.cpp).
void run(Job &job);
// What cuDNN would say of an operation (cudnn_check.cpp).
int check(const Descriptor &d);

} // namespace dnn
