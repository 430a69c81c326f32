/** Attention by cuDNN on buffers: plans, numbers, scratch memory. */
import type { Launch } from "../../device.ts";
import {
  attentionBackward,
  attentionForward,
  type AttentionGraph,
  attentionIds,
  attentionKey,
} from "./cudnn_attention.ts";
import type { CudnnGraphs, CudnnPlan } from "./cudnn_graph.ts";
import { bindPlan } from "./cudnn_open.ts";
import type { CudaRuntime } from "./runtime.ts";

/** Addresses of what the forward pass reads and writes. */
export interface AttentionPointers {
  readonly query: number;
  readonly key: number;
  readonly value: number;
  readonly out: number;
  /** float32 `[batch, heads, queries]`: logarithm of the sum of the exponentials of each row's scores. */
  readonly stats: number;
}

/** Addresses of what the backward pass reads and writes beside those. */
export interface AttentionGradientPointers extends AttentionPointers {
  readonly outGradient: number;
  readonly queryGradient: number;
  readonly keyGradient: number;
  readonly valueGradient: number;
}

const WORKSPACE = 1 << 30;
/** The first cuDNN whose one operation of the forward pass masks the scores (9.21); engines before 9.6 also wanted cleared scratch memory. */
const OLDEST = 92100;
const aligned = (bytes: number) => Math.ceil(bytes / 256) * 256;

/** Plans that are built (not taken from the disk) for shapes that come by, each in a second or so: whoever has other lengths in every step should not wait for more. */
const MOST_BUILT = 128;

/** Attention on one device. */
export class CudnnAttention {
  readonly #plans: Map<string, CudnnPlan | undefined> = new Map();
  #built = 0;
  readonly #runtime: CudaRuntime;
  readonly #cudnn: CudnnGraphs;

  /** @param runtime The device; @param cudnn Graphs for it */
  constructor(runtime: CudaRuntime, cudnn: CudnnGraphs) {
    this.#runtime = runtime;
    this.#cudnn = cudnn;
  }

  /** Whether cuDNN has an engine; no longer asked for new shapes when there have been very many. */
  plans(direction: "forward" | "backward", g: AttentionGraph): boolean {
    const known = this.#plans.has(attentionKey(direction, g));
    return (known || this.#built < MOST_BUILT) && this.#plan(direction, g) !== undefined;
  }

  /** Binds the forward pass; undefined when cuDNN has no engine for it. */
  forward(g: AttentionGraph, scale: number, at: AttentionPointers): Launch | undefined {
    const plan = this.#plan("forward", g);
    return plan && this.#bind(plan, g, scale, { ...at }, 0);
  }

  /** Binds the backward pass; undefined when cuDNN has no engine for it. */
  backward(g: AttentionGraph, scale: number, at: AttentionGradientPointers): Launch | undefined {
    const plan = this.#plan("backward", g);
    if (plan === undefined) return undefined;
    const rows = aligned(g.batch * g.heads * g.queries * 4);
    const total = aligned(g.batch * g.heads * g.queries * g.size * 4);
    const scratch = this.#runtime.workspace(rows + total + plan.workspace);
    const more = { ...at, rowSums: scratch, queryTotal: scratch + rows };
    return this.#bind(plan, g, scale, more, rows + total);
  }

  #plan(direction: "forward" | "backward", g: AttentionGraph): CudnnPlan | undefined {
    const cudnn = this.#cudnn, backward = direction === "backward";
    if (cudnn.calls.cudnnGetVersion() < OLDEST) return undefined;
    // NVIDIA's own front end refuses this one, though there are engines.
    if (backward && g.queries === 1 && g.keys === 1) return undefined;
    const key = attentionKey(direction, g), known = this.#plans.get(key);
    if (known !== undefined || this.#plans.has(key)) return known;
    const make = backward ? attentionBackward : attentionForward, before = cudnn.counts.built;
    const plan = cudnn.plan(key, () => make(cudnn, g), {
      tensorCores: true,
      workspace: WORKSPACE,
      // The query's gradient is a sum of atomic additions.
      repeats: !backward,
    });
    this.#built += cudnn.counts.built - before;
    this.#plans.set(key, plan);
    return plan;
  }

  #bind(
    plan: CudnnPlan,
    g: AttentionGraph,
    scale: number,
    at: { readonly [name: string]: number },
    skip: number,
  ): Launch {
    const ids = attentionIds, known = ids as { readonly [name: string]: number };
    const tensors = Object.entries(at).map(([name, p]) => [known[name], p] as const);
    const numbers: (readonly [number, number])[] = [[ids.scale, scale]];
    if (g.causal) numbers.push([ids.lowest, -Infinity]);
    if ("rowSums" in at) numbers.push([ids.one, 1]);
    return bindPlan(this.#runtime, plan, { tensors, numbers, skip });
  }
}
