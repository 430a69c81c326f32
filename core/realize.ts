/** Runs graphs: finds or makes the plan, gives it memory, launches it. The only place that talks to a backend about values. */
import { debug, log } from "./debug.ts";
import type { Backend, Buffer, Executable, Launch, RoutineLaunch } from "./device.ts";
import type { DType } from "./dtype.ts";
import { env } from "./env.ts";
import { type Node, type NodeArgs, type NodeKind, setGradEnabled } from "./node.ts";
import { explainIndexError } from "./origin.ts";
import { backendOf } from "./runtime.ts";
import { arrangeChannels } from "./schedule/channels_last.ts";
import { foldEpilogues } from "./schedule/epilogues.ts";
import type { Plan } from "./schedule/plan.ts";
import type { Graph } from "./schedule/order.ts";
import { schedule } from "./schedule/schedule.ts";
import { scopeOwn } from "./scope.ts";
import { numel } from "./shape.ts";
import { Storage } from "./storage.ts";

/** Switches of the core that tests flip; read once from the environment. */
export const settings: { fuse: boolean } = { fuse: env("PTA_FUSE") !== "0" };

/** Counters of the core that tests read. */
export const counters: { plansMade: number; plansRun: number; kernels: number; routines: number } =
  {
    plansMade: 0,
    plansRun: 0,
    kernels: 0,
    routines: 0,
  };

/** Receives what a run launches, so that it can be replayed. See `capture`. */
export interface Recorder {
  alloc(backend: Backend, dtype: DType, length: number): Buffer;
  free(backend: Backend, buffer: Buffer): void;
  record(launch: Launch, backend: Backend): void;
  /** Storage that the recorded launches read or write and that somebody else owns. */
  uses(storage: Storage): void;
  /** Storage made while recording, which replays write again. */
  adopt(storage: Storage): void;
  /** Says that the step cannot be replayed. */
  spoil(reason: string): void;
}

let recorder: Recorder | undefined;

/** Sets who records launches and returns who did before. */
export function setRecorder(next: Recorder | undefined): Recorder | undefined {
  const before = recorder;
  recorder = next;
  return before;
}

/** Who records launches, if anybody. */
export function activeRecorder(): Recorder | undefined {
  return recorder;
}

/** Raises what a device complains of; waits only where that costs nothing. */
export function checkDevice(backend: Backend): void {
  if (backend.check === undefined) backend.synchronize();
  else backend.check();
}

const argKeys: { readonly [K in NodeKind]: (arg: NodeArgs[K]) => string } = {
  buffer: () => "",
  const: (a) => Object.is(a.value, -0) ? "-0" : `${a.value}`,
  index: () => "",
  op: (a) => a.op,
  reduce: (a) => `${a.op}~${a.dims}`,
  view: (a) => `${a.offset}:${a.strides}`,
  gather: (a) => `${a.dim}`,
  scatter: (a) => `${a.dim}`,
  assemble: (a) => `${a.starts.map((s) => s.join(",")).join(";")}=${a.fill}`,
  routine: (a) => `${a.name}${JSON.stringify(a.params)}`,
  assign: () => "",
};

/** The unrealized part of a graph in topological order, its leaf storages, and the canonical text of its form. */
function collect(roots: readonly Node[]): Graph & { key: string } {
  const order: Node[] = [], ids = new Map<Node, number>();
  const leaves: Storage[] = [], leafIds = new Map<Storage, number>();
  const text: string[] = [], calls = new Map<unknown, number>();
  /** Says which nodes are results of the same call. */
  const callText = (node: Node): string => {
    const among = node.kind === "routine" ? node.arg.among : undefined;
    if (among === undefined) return "";
    if (!calls.has(among.results)) calls.set(among.results, calls.size);
    const all = among.results.map((r) => `${r.dtype} ${r.shape}`);
    return ` ${among.index} of call ${calls.get(among.results)}: ${all.join("; ")}`;
  };
  const visit = (node: Node) => {
    ids.set(node, order.push(node) - 1);
    if (node.storage !== undefined) {
      let leaf = leafIds.get(node.storage);
      if (leaf === undefined) {
        checkFresh(node);
        leafIds.set(node.storage, leaf = leaves.push(node.storage) - 1);
      } else checkFresh(node);
      // Kernels hold constants as numbers, also those that have been given memory.
      const value = node.kind === "const" ? ` ${argKeys.const(node.arg as NodeArgs["const"])}` : "";
      text.push(`@${leaf} ${node.dtype} ${node.shape}${value}`);
      return;
    }
    const arg = (argKeys[node.kind] as (a: unknown) => string)(node.arg);
    text.push(
      `${node.kind} ${arg} ${node.dtype} ${node.shape} <${node.src.map((s) => ids.get(s))}${
        callText(node)
      }`,
    );
  };
  // Post-order without recursion: graphs of deep models would overflow the call stack.
  const stack: { node: Node; next: number }[] = [];
  for (const root of roots) {
    if (ids.has(root)) continue;
    stack.push({ node: root, next: 0 });
    while (stack.length > 0) {
      const top = stack[stack.length - 1];
      if (top.node.storage === undefined && top.next < top.node.src.length) {
        const s = top.node.src[top.next++];
        if (!ids.has(s)) stack.push({ node: s, next: 0 });
      } else {
        stack.pop();
        if (!ids.has(top.node)) visit(top.node);
      }
    }
  }
  return { roots, order, leaves, key: `${text.join("\n")}\n=${roots.map((r) => ids.get(r))}` };
}

/** @throws {ReferenceError} When the storage was written in place after it held the value of the node, or freed */
export function checkFresh(node: Node): void {
  const storage = node.storage!;
  if (node.version !== storage.version) {
    throw new ReferenceError(
      "Cannot compute this value: it was described from a tensor that has been changed in place since " +
        "(by an optimizer step, say); call realize() on it before the change",
    );
  }
  void storage.buffer;
}

const plans = new Map<string, { plan: Plan; executables: (Executable | undefined)[] }>();
const executables = new Map<string, Map<string, Executable>>();

function executable(
  backend: Backend,
  device: string,
  step: Plan["steps"][number],
): Executable | undefined {
  if (step.kind !== "kernel") return undefined;
  let cache = executables.get(device);
  if (cache === undefined) executables.set(device, cache = new Map());
  let exe = cache.get(step.kernel.key);
  if (exe === undefined) {
    log(4, `kernel ${step.kernel.name} for ${backend.name}\n${step.kernel.key}`);
    cache.set(step.kernel.key, exe = backend.compile(step.kernel, step.extent));
  }
  return exe;
}

/** Frees the plans and compiled kernels that are cached. */
export function clearPlans(): void {
  plans.clear();
  executables.clear();
}

let pending: () => readonly Node[] = () => [];
let settled: () => void = () => {};

/** Adds nodes to every realization: `more` names them, `done` is called afterwards. */
export function onRealize(more: () => readonly Node[], done: () => void): void {
  pending = more;
  settled = done;
}

let inspector: ((roots: readonly Node[], compute: (node: Node) => void) => void) | undefined;

/** Has somebody look at what is going to be computed; it may compute nodes by themselves. */
export function setInspector(next: typeof inspector): void {
  inspector = next;
}

/**
 * Computes nodes, all in one plan, and gives each its storage.
 *
 * @throws {ReferenceError} When the graph reads memory that was freed or overwritten
 * @throws {RangeError} When an index is out of range
 */
export function realizeNodes(nodes: readonly Node[]): void {
  if (nodes.every((n) => n.storage !== undefined)) return;
  // Gradients come first, the last layer's before all: what it was made of is free before the next one's is computed.
  // A loss, though, comes last: with its consumers in front it would part from its gradient's row kernel.
  const due = pending(), isScalar = (n: Node) => numel(n.shape) === 1;
  const roots = [...new Set([...due.filter((n) => !isScalar(n)), ...nodes, ...due])].filter((n) =>
    n.storage === undefined
  );
  const grad = setGradEnabled(false);
  try {
    inspector?.(roots, (node) => run([node]));
    for (const device of new Set(roots.map((r) => r.device))) {
      run(roots.filter((r) => r.device === device));
    }
  } finally {
    setGradEnabled(grad);
    // Also after an error: a value that cannot be computed must not spoil every later run.
    settled();
  }
}

function run(roots: readonly Node[]): void {
  const device = roots[0].device, backend = backendOf(device);
  const graph = collect(roots);
  const key = `${device} ${settings.fuse}\n${graph.key}`;
  let entry = plans.get(key);
  if (entry === undefined) {
    counters.plansMade++;
    const folded = foldEpilogues(graph, backend.wantsEpilogue?.bind(backend));
    const arranged = arrangeChannels(folded, backend.channelsLast?.bind(backend));
    const plan = schedule(arranged.graph, settings.fuse, arranged.apart);
    entry = { plan, executables: plan.steps.map((s) => executable(backend, device, s)) };
    plans.set(key, entry);
    if (debug >= 3) logPlan(plan);
  }
  const { plan } = entry;
  counters.plansRun++;
  const owned = new Map<number, Storage>();
  const buffers: (Buffer | undefined)[] = plan.slots.map((s) => {
    if (s.kind !== "leaf") return undefined;
    recorder?.uses(graph.leaves[s.leaf]);
    return graph.leaves[s.leaf].buffer;
  });
  const take = (slot: number): Buffer => {
    const known = buffers[slot];
    if (known !== undefined) return known;
    const s = plan.slots[slot];
    if (s.kind === "leaf") throw new Error("A leaf slot has no memory");
    const made = recorder !== undefined
      ? recorder.alloc(backend, s.dtype, s.length)
      : backend.alloc(s.dtype, s.length);
    return buffers[slot] = made;
  };
  const waiting = new Map<number, RoutineLaunch>();
  const finish = (step: number) => {
    const wait = waiting.get(step)?.wait;
    waiting.delete(step);
    if (wait !== undefined) go(wait);
  };
  const go = (launch: Launch) => {
    launch();
    recorder?.record(launch, backend);
  };
  try {
    plan.steps.forEach((step, i) => {
      step.waits.forEach(finish);
      const args = step.slots.map(take);
      if (step.kind === "kernel") {
        counters.kernels++;
        const launch = backend.bind(entry.executables[i]!, step.extent, args);
        if (debug >= 2) logTimed(backend, step.kernel.name, launch);
        else launch();
        recorder?.record(launch, backend);
      } else {
        counters.routines++;
        const routine =
          (backend.routines[step.call.name] as (c: unknown, b: unknown) => RoutineLaunch)(
            step.call,
            args,
          );
        go(routine.start);
        if (routine.wait !== undefined) waiting.set(i, routine);
      }
      for (const slot of step.frees) {
        const buffer = buffers[slot]!;
        buffers[slot] = undefined;
        if (recorder !== undefined) recorder.free(backend, buffer);
        else backend.free(buffer);
      }
    });
    for (const step of [...waiting.keys()]) finish(step);
    // Here an index out of range comes to light, before any result counts as computed.
    if (recorder === undefined) checkDevice(backend);
  } catch (error) {
    // Whatever this run allocated goes back; what it wrote in place cannot be undone.
    plan.slots.forEach((s, i) => {
      const b = buffers[i];
      if (s.kind === "temp" && b !== undefined && recorder === undefined) backend.free(b);
    });
    throw explainIndexError(error, graph.order);
  }
  for (const leaf of plan.written) graph.leaves[leaf].version++;
  settleAssigns(graph);
  roots.forEach((root, i) => {
    const slot = plan.results[i], s = plan.slots[slot];
    let storage = s.kind === "leaf" ? graph.leaves[s.leaf] : owned.get(slot);
    if (storage === undefined) {
      storage = new Storage(device, root.dtype, numel(root.shape), take(slot));
      owned.set(slot, storage);
      if (recorder !== undefined) recorder.adopt(storage);
      else scopeOwn(storage);
    }
    root.storage = storage;
    root.version = storage.version;
  });
}

/**
 * Gives assignments that have run the memory of their targets, so that nobody runs them again. Those that a later one has overwritten get a version that
 * the memory never has.
 */
function settleAssigns(graph: Graph): void {
  const done = graph.order.filter((n) => n.kind === "assign" && n.storage === undefined);
  const overwritten = new Set(done.map((n) => n.src[0]));
  for (const node of done) {
    // Sources come first in the order, so a chain of assignments is settled from its start.
    const storage = node.src[0].storage;
    if (storage === undefined) continue;
    node.storage = storage;
    node.version = overwritten.has(node) ? -1 : storage.version;
  }
}

function logTimed(backend: Backend, name: string, launch: Launch): void {
  const start = performance.now();
  launch();
  backend.synchronize();
  log(2, `kernel ${name} ${((performance.now() - start) * 1e3).toFixed(1)} us`);
}

function logPlan(plan: Plan): void {
  const lines = plan.steps.map((s, i) =>
    s.kind === "kernel"
      ? `  ${i}: kernel ${s.kernel.name} outer [${s.kernel.outer}] reduce [${s.kernel.reduce}] slots ${s.slots}`
      : `  ${i}: routine ${s.call.name} ${
        s.call.operands.map((o) => `[${o.shape}]`).join(" ")
      } slots ${s.slots}`
  );
  log(3, `plan of ${plan.steps.length} steps\n${lines.join("\n")}`);
}
