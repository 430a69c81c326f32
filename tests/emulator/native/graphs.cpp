// Graphs: what was recorded, as something to launch.
#include "emulator.h"

namespace emulator {

struct Exec {
  std::vector<std::shared_ptr<Node>> nodes; // Copies
  std::vector<int> order;
  std::map<const Node *, int> places; // By node of the graph that it was made of
};

// Never destroyed: what they hold may belong to libraries that are gone when the process ends.
static std::map<u64, std::shared_ptr<Graph>> &graphs = *new std::map<u64, std::shared_ptr<Graph>>;
static std::map<u64, std::shared_ptr<Exec>> &execs = *new std::map<u64, std::shared_ptr<Exec>>;
static std::map<u64, std::shared_ptr<Node>> &handles = *new std::map<u64, std::shared_ptr<Node>>;

u64 addGraph(const std::shared_ptr<Graph> &graph) {
  const u64 handle = (u64)graph.get();
  graphs[handle] = graph;
  for (auto &n : graph->nodes) handles[(u64)n.get()] = n;
  return handle;
}

static std::shared_ptr<Node> copyOf(const Node &n) {
  auto made = std::make_shared<Node>(n);
  // Arguments of its own, which may be set.
  if (KernelCall *call = n.work.call.get()) {
    kernelWork(call->function, call->grid, call->block, call->shared, call->pointers.data(), made->work);
  }
  return made;
}

// An order in which the nodes may run. With delays the latest possible one comes first, so that a missing dependence shows.
static std::vector<int> orderOf(const std::vector<std::shared_ptr<Node>> &nodes) {
  std::vector<int> order, left(nodes.size());
  std::vector<std::vector<int>> next(nodes.size());
  std::vector<int> ready;
  for (size_t i = 0; i < nodes.size(); ++i) {
    left[i] = nodes[i]->after.size();
    for (int a : nodes[i]->after) next[a].push_back(i);
    if (left[i] == 0) ready.push_back(i);
  }
  for (size_t first = 0; first < ready.size();) {
    int i;
    if (delays) {
      i = ready.back();
      ready.pop_back();
    } else i = ready[first++];
    order.push_back(i);
    for (int n : next[i]) {
      if (--left[n] == 0) ready.push_back(n);
    }
  }
  return order;
}

static std::shared_ptr<Graph> graphOf(u64 handle) {
  auto it = graphs.find(handle);
  return it == graphs.end() ? nullptr : it->second;
}
static std::shared_ptr<Exec> execOf(u64 handle) {
  auto it = execs.find(handle);
  return it == execs.end() ? nullptr : it->second;
}

static std::shared_ptr<Exec> execFrom(const Graph &graph) {
  auto exec = std::make_shared<Exec>();
  for (auto &n : graph.nodes) {
    exec->places[n.get()] = exec->nodes.size();
    exec->nodes.push_back(copyOf(*n));
  }
  exec->order = orderOf(exec->nodes);
  return exec;
}

} // namespace emulator

using namespace emulator;

#define ENTER                                                                                          \
  Lock lock;                                                                                           \
  if (int error = entry()) return error;

API cuGraphCreate(u64 *made, unsigned flags) {
  ENTER;
  if (made == nullptr || flags != 0) return INVALID_VALUE;
  *made = addGraph(std::make_shared<Graph>());
  return OK;
}
API cuGraphDestroy(u64 handle) {
  ENTER;
  const auto graph = graphOf(handle);
  if (graph == nullptr) return INVALID_VALUE;
  for (auto &n : graph->nodes) handles.erase((u64)n.get());
  graphs.erase(handle);
  return OK;
}
API cuGraphGetNodes(u64 handle, u64 *nodes, u64 *count) {
  ENTER;
  const auto graph = graphOf(handle);
  if (graph == nullptr || count == nullptr) return INVALID_VALUE;
  if (nodes != nullptr) {
    for (u64 i = 0; i < *count; ++i) nodes[i] = i < graph->nodes.size() ? (u64)graph->nodes[i].get() : 0;
    *count = std::min<u64>(*count, graph->nodes.size());
  } else *count = graph->nodes.size();
  return OK;
}
API cuGraphNodeGetType(u64 node, int *type) {
  ENTER;
  auto it = handles.find(node);
  if (it == handles.end() || type == nullptr) return INVALID_VALUE;
  *type = (int)it->second->work.kind;
  return OK;
}
API cuGraphInstantiateWithFlags(u64 *made, u64 handle, u64 flags) {
  ENTER;
  const auto graph = graphOf(handle);
  if (graph == nullptr || made == nullptr || flags > 15) return INVALID_VALUE;
  const auto exec = execFrom(*graph);
  *made = (u64)exec.get();
  execs[*made] = exec;
  return OK;
}
API cuGraphInstantiateWithParams(u64 *made, u64 handle, u64 *parameters) {
  if (parameters == nullptr) return INVALID_VALUE;
  const int error = cuGraphInstantiateWithFlags(made, handle, parameters[0]);
  parameters[2] = 0;
  *(int *)(parameters + 3) = error == OK ? 0 : 1;
  return error;
}
API cuGraphUpload(u64 handle, u64 stream) {
  ENTER;
  return execOf(handle) == nullptr || streamOf(stream) == nullptr ? INVALID_VALUE : OK;
}
API cuGraphLaunch(u64 handle, u64 stream) {
  ENTER;
  const auto exec = execOf(handle);
  const StreamRef s = streamOf(stream);
  if (exec == nullptr || s == nullptr) return INVALID_HANDLE;
  Work work;
  work.name = "a graph";
  work.kind = Kind::empty;
  for (auto &n : exec->nodes) {
    work.accesses.insert(work.accesses.end(), n->work.accesses.begin(), n->work.accesses.end());
  }
  // What it runs is as it is now, whatever is set later.
  std::vector<std::function<int()>> runs;
  for (int i : exec->order) runs.push_back(exec->nodes[i]->work.run);
  work.run = [runs, exec] {
    for (auto &run : runs) {
      if (int error = run()) return error;
    }
    return (int)OK;
  };
  return enqueue(s, std::move(work));
}
API cuGraphExecDestroy(u64 handle) {
  ENTER;
  return execs.erase(handle) ? OK : INVALID_VALUE;
}
API cuGraphExecUpdate_v2(u64 handle, u64 graphHandle, void *info) {
  ENTER;
  const auto exec = execOf(handle);
  const auto graph = graphOf(graphHandle);
  if (exec == nullptr || graph == nullptr || info == nullptr) return INVALID_VALUE;
  int result = 0;
  u64 node = 0;
  if (graph->nodes.size() != exec->nodes.size()) result = 2;
  for (size_t i = 0; i < exec->nodes.size() && result == 0; ++i) {
    const Node &a = *exec->nodes[i], &b = *graph->nodes[i];
    if (a.work.kind != b.work.kind) result = 3;
    else if (a.after != b.after) result = 2;
    if (result != 0) node = (u64)&b;
  }
  memset(info, 0, 24);
  *(int *)info = result;
  ((u64 *)info)[1] = node;
  if (result != 0) return GRAPH_EXEC_UPDATE_FAILURE;
  *exec = *execFrom(*graph);
  return OK;
}

// CUDA_KERNEL_NODE_PARAMS_v2
struct KernelNodeParams {
  u64 function;
  unsigned grid[3], block[3], shared;
  void **parameters;
  void *extra;
  u64 kernel, context;
};

API cuGraphKernelNodeGetParams_v2(u64 handle, KernelNodeParams *out) {
  ENTER;
  auto it = handles.find(handle);
  if (it == handles.end() || out == nullptr || it->second->work.call == nullptr) return INVALID_VALUE;
  KernelCall &call = *it->second->work.call;
  memset(out, 0, sizeof *out);
  out->function = (u64)call.function;
  memcpy(out->grid, &call.grid, 12);
  memcpy(out->block, &call.block, 12);
  out->shared = call.shared;
  out->parameters = call.pointers.data();
  return OK;
}
API cuGraphExecKernelNodeSetParams_v2(u64 handle, u64 node, const KernelNodeParams *p) {
  ENTER;
  const auto exec = execOf(handle);
  if (exec == nullptr || p == nullptr) return INVALID_VALUE;
  auto place = exec->places.find((const Node *)node);
  if (place == exec->places.end()) return INVALID_VALUE;
  Work work;
  const dim3 grid = {p->grid[0], p->grid[1], p->grid[2]}, block = {p->block[0], p->block[1], p->block[2]};
  if (int error = kernelWork((Function *)p->function, grid, block, p->shared, p->parameters, work)) return error;
  exec->nodes[place->second]->work = work;
  return OK;
}
API cuGraphDebugDotPrint(u64 handle, const char *path, unsigned) {
  ENTER;
  const auto graph = graphOf(handle);
  if (graph == nullptr || path == nullptr) return INVALID_VALUE;
  FILE *file = fopen(path, "w");
  if (file == nullptr) return INVALID_VALUE;
  fprintf(file, "digraph {\n");
  for (size_t i = 0; i < graph->nodes.size(); ++i) {
    fprintf(file, "  n%zu [label=\"%s\"];\n", i, graph->nodes[i]->work.name.c_str());
    for (int a : graph->nodes[i]->after) fprintf(file, "  n%d -> n%zu;\n", a, i);
  }
  fprintf(file, "}\n");
  fclose(file);
  return OK;
}
