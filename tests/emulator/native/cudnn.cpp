// A stand-in for cuDNN: the calls of the backend interface over descriptors that are checked and kept as they are set. Plans are made for a handle; by property sheets only the
// real library plans. float32 convolutions get two engines, of which the first, as there, rounds factors to TF32.
#include "cudnn.h"

#undef API
#define API extern "C" __attribute__((visibility("default")))

using namespace dnn;
using emulator::Lock;

namespace {

std::map<u64, Ref> descriptors;
std::map<u64, u64> streams;
u64 next = 0x10000;
char message[512];

Ref find(u64 handle) {
  auto found = descriptors.find(handle);
  return found == descriptors.end() ? nullptr : found->second;
}

u64 add(const Ref &d) {
  descriptors[next += 16] = d;
  return next;
}

int sizeOf(int type) {
  switch (type) {
  case BOOLEAN: case CHAR: return 1;
  case HANDLE: case INT64: case DOUBLE: case VOID_PTR: case DESCRIPTOR: return 8;
  default: return 4;
  }
}

// The type that an attribute takes; -1 for one that the stand-in does not know.
int wanted(int name) {
  switch (name) {
  case 0: return 14;
  case 1: case 100: case 901: case 1500: case 1601: return DATA_TYPE;
  case 101: return 7;
  case 102: case 103: case 104: case 105: case 106: case 900: case 902: case 903: case 906: case 1000: case 2812: case 2813: return INT64;
  case 200: return 8;
  case 400: case 800: return HANDLE;
  case 700: case 701: case 706: case 707: case 712: case 713: return FLOAT; // Or double
  case 907: case 908: return BOOLEAN;
  case 1001: case 1003: return VOID_PTR;
  case 1600: return 18;
  case 2202: return 31;
  case 3007: return 14;
  case 2000: case 2100: return 27;
  case 2001: return 28;
  case 405: case 2702: return CHAR;
  case 201: case 204: case 401: case 407: case 702: case 703: case 704: case 705: case 708: case 709: case 710: case 711: case 714: case 715: case 716:
  case 717: case 750: case 751: case 752: case 753: case 801: case 1520: case 1521: case 1522: case 1523: case 1610: case 1611: case 1612: case 2200:
  case 2201: case 2002: case 2003: case 2004: case 2005: case 2006: case 2007: case 2013: case 2101: case 2102: case 2103: case 2104: case 2105: case 2107:
  case 2108: case 2109: case 2800: case 2801: case 2802: case 2803: case 2804: case 2805: case 2811: case 3000: case 3005: case 3006: return DESCRIPTOR;
  default: return -1;
  }
}

Ref engine(const Ref &graph, std::vector<int> notes) {
  Ref config = std::make_shared<Descriptor>(), own = std::make_shared<Descriptor>();
  own->kind = ENGINE;
  own->notes = notes;
  config->kind = ENGINECFG;
  config->attributes[300].descriptors = {own};
  config->attributes[201].descriptors = {graph};
  own->final = config->final = true;
  return config;
}

// The engines for a graph, best first.
std::vector<Ref> enginesFor(const Ref &graph) {
  const std::vector<Ref> &operations = graph->attributes.at(801).descriptors;
  const Descriptor &first = *operations[0];
  if (operations.size() == 1 && (first.kind == CONV_FORWARD || first.kind == CONV_DATA || first.kind == CONV_FILTER)) {
    const int x = first.kind == CONV_FORWARD ? 704 : first.kind == CONV_DATA ? 710 : 716, type = (int)first.at(x)->number(901);
    if (type == F32) return {engine(graph, {TENSOR_CORE}), engine(graph, {NONDETERMINISTIC}), engine(graph, {})};
    return {engine(graph, type == F64 ? std::vector<int>{} : std::vector<int>{TENSOR_CORE})};
  }
  if (operations.size() == 1 && first.kind == SDPA_FORWARD) return {engine(graph, {TENSOR_CORE})};
  if (operations.size() == 1 && (first.kind == NORM_FORWARD || first.kind == NORM_BACKWARD)) return {engine(graph, {})};
  int products = 0;
  for (const Ref &o : operations) products += o->kind == OP_MATMUL;
  if (products == 5) return {engine(graph, {TENSOR_CORE, NONDETERMINISTIC})};
  return {};
}

} // namespace

int dnn::refuse(int status, const char *format, ...) {
  va_list args;
  va_start(args, format);
  vsnprintf(message, sizeof message, format, args);
  va_end(args);
  return status;
}

API size_t cudnnGetVersion() { return 92400; }
API size_t cudnnGetCudartVersion() { return 13000; }
API const char *cudnnGetErrorString(int status) { return status == 0 ? "CUDNN_STATUS_SUCCESS" : status >= 3000 && status < 4000 ? "CUDNN_STATUS_NOT_SUPPORTED" : "CUDNN_STATUS_BAD_PARAM"; }
API void cudnnGetLastErrorString(char *text, size_t size) { snprintf(text, size, "%s", message); }
API int cudnnCreate(u64 *handle) {
  Lock lock;
  if (emulator::entry() != 0) return refuse(1001, "there is no context");
  streams[*handle = next += 16] = 0;
  return SUCCESS;
}
API int cudnnDestroy(u64 handle) { return streams.erase(handle) ? SUCCESS : BAD_PARAM; }
API int cudnnSetStream(u64 handle, u64 stream) {
  Lock lock;
  if (!streams.count(handle) || emulator::streamOf(stream) == nullptr) return refuse(BAD_PARAM, "no such handle or stream");
  streams[handle] = stream;
  return SUCCESS;
}
API int cudnnGetStream(u64 handle, u64 *stream) { return streams.count(handle) ? *stream = streams[handle], SUCCESS : BAD_PARAM; }

API int cudnnBackendCreateDescriptor(int kind, u64 *out) {
  Lock lock;
  Ref d = std::make_shared<Descriptor>();
  d->kind = kind;
  *out = add(d);
  return SUCCESS;
}
API int cudnnBackendDestroyDescriptor(u64 handle) {
  Lock lock;
  return descriptors.erase(handle) ? SUCCESS : refuse(BAD_PARAM, "no such descriptor");
}
API int cudnnBackendSetAttribute(u64 handle, int name, int type, i64 count, const void *elements) {
  Lock lock;
  Ref d = find(handle);
  if (d == nullptr) return refuse(BAD_PARAM, "no such descriptor");
  if (d->final) return refuse(BAD_PARAM, "attribute %d of a final descriptor", name);
  const int expected = wanted(name);
  if (expected < 0) return refuse(NOT_SUPPORTED, "attribute %d is not emulated", name);
  if (type != expected && !(expected == FLOAT && type == DOUBLE)) return refuse(ATTRIBUTE_TYPE, "attribute %d takes type %d, not %d", name, expected, type);
  Attribute a;
  a.type = type;
  a.count = count;
  a.bytes.assign((const char *)elements, (const char *)elements + count * sizeOf(type));
  for (i64 i = 0; type == DESCRIPTOR && i < count; ++i) {
    Ref other = find(((const u64 *)elements)[i]);
    if (other == nullptr || !other->final) return refuse(NOT_FINALIZED, "attribute %d is not a final descriptor", name);
    a.descriptors.push_back(other);
  }
  d->attributes[name] = a;
  return SUCCESS;
}
API int cudnnBackendFinalize(u64 handle) {
  Lock lock;
  Ref d = find(handle);
  if (d == nullptr || d->final) return refuse(BAD_PARAM, "no descriptor to finalize");
  if (int error = check(*d)) return error;
  if (d->kind == EXECUTION_PLAN) {
    // As much as the engines of convolutions like to take.
    d->workspace = d->at(401)->at(201)->attributes.at(801).descriptors.size() == 1 ? 1024 : 512;
    if (!streams.count((u64)d->number(400))) return refuse(BAD_PARAM, "a plan for no handle");
  }
  d->final = true;
  return SUCCESS;
}
API int cudnnBackendGetAttribute(u64 handle, int name, int type, i64 asked, i64 *count, void *elements) {
  Lock lock;
  Ref d = find(handle);
  if (d == nullptr || !d->final) return refuse(NOT_FINALIZED, "attribute %d of what is not final", name);
  std::vector<Ref> found;
  if (d->kind == ENGINEHEUR && name == 202) {
    if (d->number(200) == 3) found = enginesFor(d->at(201));
  } else if (d->kind == ENGINECFG && name == 300) found = {d->at(300)};
  else if (d->kind == ENGINE && name == 1303 && type == NOTE) {
    *count = (i64)d->notes.size();
    for (i64 i = 0; i < *count && i < asked; ++i) ((int *)elements)[i] = d->notes[i];
    return SUCCESS;
  } else if (d->kind == EXECUTION_PLAN && name == 402 && type == INT64) {
    *count = 1;
    if (asked > 0) *(i64 *)elements = (i64)d->workspace;
    return SUCCESS;
  } else return refuse(NOT_SUPPORTED, "attribute %d cannot be read", name);
  *count = (i64)found.size();
  for (i64 i = 0; i < *count && i < asked; ++i) {
    Ref into = find(((u64 *)elements)[i]);
    if (into == nullptr || into->kind != found[i]->kind) return refuse(BAD_PARAM, "element %ld is no descriptor of the right kind", (long)i);
    *into = *found[i];
  }
  return SUCCESS;
}

API int cudnnBackendExecute(u64 handle, u64 planHandle, u64 packHandle) {
  Lock lock;
  Ref plan = find(planHandle), pack = find(packHandle);
  if (!streams.count(handle) || plan == nullptr || pack == nullptr || !plan->final || !pack->final) return refuse(BAD_PARAM, "nothing to execute");
  auto job = std::make_shared<Job>();
  const Descriptor &config = *plan->at(401);
  job->graph = config.at(201);
  for (int note : config.at(300)->notes) job->tf32 = job->tf32 || note == TENSOR_CORE;
  const std::vector<i64> ids = pack->numbers(1000), pointers = pack->numbers(1001);
  std::map<i64, u64> given;
  for (size_t i = 0; i < ids.size(); ++i) given[ids[i]] = (u64)pointers[i];
  emulator::Work work;
  work.name = "cudnnBackendExecute";
  bool live = true;
  auto touch = [&](u64 address, u64 bytes, bool writes) {
    live = emulator::rangeIsLive("cudnnBackendExecute", address, bytes) && live;
    work.accesses.push_back({address, bytes, writes});
  };
  auto visit = [&](const Ref &operation) -> int {
    for (auto &[name, a] : operation->attributes)
      for (const Ref &d : a.descriptors) {
        if (d->kind != TENSOR) continue;
        const Tensor t(*d);
        if (t.isVirtual) continue;
        if (!given.count(t.id)) return refuse(BAD_PARAM, "tensor %ld has no memory", (long)t.id);
        if (t.byValue) {
          job->values[t.id] = *(const float *)given[t.id];
          continue;
        }
        if (given[t.id] % (u64)d->number(900) != 0) return refuse(2003, "tensor %ld is not aligned", (long)t.id);
        job->addresses[t.id] = given[t.id];
        touch(given[t.id], (u64)(t.span() * t.bytes()), isOutput(name));
      }
    return SUCCESS;
  };
  for (const Ref &operation : job->graph->attributes.at(801).descriptors) {
    if (int error = visit(operation)) return error;
    if (operation->has(2811))
      for (const Ref &inner : operation->at(2811)->attributes.at(801).descriptors)
        if (int error = visit(inner)) return error;
  }
  job->workspace = (u64)pack->number(1003);
  job->workspaceBytes = plan->workspace;
  if (job->workspaceBytes > 0) touch(job->workspace, job->workspaceBytes, true);
  if (!live) return BAD_PARAM;
  work.run = [job] {
    return emulator::guarded("cudnnBackendExecute", [&] {
      // What is in scratch memory does not last.
      if (job->workspaceBytes > 0) memset((void *)job->workspace, 0xff, job->workspaceBytes);
      job->made.clear();
      run(*job);
      return 0;
    });
  };
  emulator::StreamRef stream = emulator::streamOf(streams[handle]);
  return emulator::enqueue(stream, std::move(work)) == 0 ? SUCCESS : refuse(EXECUTION_FAILED, "the stream takes no work");
}
