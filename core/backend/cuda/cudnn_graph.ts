/** Operation graphs of cuDNN: their tensors and operations, the choice of an engine, plans kept in memory and on disk, and their execution. */
import {
  cudnnBackendHeurMode_t as modes,
  cudnnBackendNumericalNote_t as notes,
  type CudnnCalls,
  cudnnDataType_t as dataTypes,
} from "@pta/ffi";
import { log } from "../../debug.ts";
import type { DType } from "../../dtype.ts";
import { Descriptor, type DescriptorKind } from "./cudnn_descriptors.ts";
import { DiskCache } from "./disk_cache.ts";

/** What plans are made for: a device by the library's handle, or by the text of its properties, which needs no device. */
export type PlanTarget = { readonly handle: bigint } | { readonly properties: string };

/** The type of a dtype's elements; undefined where cuDNN computes with none. */
export const cudnnTypes: { readonly [D in DType]?: number } = {
  float32: dataTypes.CUDNN_DATA_FLOAT,
  float64: dataTypes.CUDNN_DATA_DOUBLE,
  float16: dataTypes.CUDNN_DATA_HALF,
  bfloat16: dataTypes.CUDNN_DATA_BFLOAT16,
};

/** A tensor of a graph. */
export interface TensorOptions {
  /** `cudnnDataType_t`. */
  readonly type: number;
  /** Sizes. */
  readonly shape: readonly number[];
  /** Distances in elements. */
  readonly strides: readonly number[];
  /** Number by which its memory is given. */
  readonly id: number;
  /** Bytes that its address is a multiple of; 16 by default. */
  readonly alignment?: number;
  /** Never in memory. */
  readonly virtual?: boolean;
  /** A number in host memory. */
  readonly byValue?: boolean;
}

/** What an engine may do. */
export interface Choice {
  /** Whether it may use tensor cores; for float32 they round factors to TF32. */
  readonly tensorCores: boolean;
  /** Bytes of scratch memory that it may use. */
  readonly workspace: number;
  /** Whether results must be the same bits every time; true when absent. */
  readonly repeats?: boolean;
}

/** A plan that can be executed. */
export interface CudnnPlan {
  /** The execution plan. */
  readonly descriptor: Descriptor;
  /** Bytes of scratch memory that it uses. */
  readonly workspace: number;
  /** `cudnnBackendNumericalNote_t` of its engine; unknown for one from the disk. */
  readonly notes?: readonly number[];
}

/** Plans that are tried before giving up. */
const CANDIDATES = 64;

/** cuDNN for one device. */
export class CudnnGraphs {
  /** The library. */
  readonly calls: CudnnCalls;
  readonly #target: PlanTarget;
  readonly #properties: Descriptor | undefined;
  readonly #plans: Map<string, CudnnPlan | undefined> = new Map();
  readonly #disk: DiskCache;
  readonly #stamp: string;
  /** Plans made by choosing an engine, and plans read from the disk, so far. */
  readonly counts: { built: number; fromDisk: number } = { built: 0, fromDisk: 0 };

  /**
   * @param calls The library
   * @param target Device to plan for
   * @param device What tells the device from others, for plans on disk
   * @param disk Where plans are kept
   */
  constructor(
    calls: CudnnCalls,
    target: PlanTarget,
    device: string,
    disk: DiskCache = new DiskCache(),
  ) {
    this.calls = calls;
    this.#target = target;
    this.#disk = disk;
    this.#stamp = `cudnn ${calls.cudnnGetVersion()} ${device}`;
    if ("properties" in target) {
      this.#properties = this.describe("DEVICEPROP")
        .text("DEVICEPROP_JSON_REPRESENTATION", target.properties).finalize();
    }
  }

  /** A descriptor to be filled. */
  describe(kind: DescriptorKind): Descriptor {
    return new Descriptor(this.calls, kind);
  }

  /** A final tensor. */
  tensor(t: TensorOptions): Descriptor {
    const made = this.describe("TENSOR")
      .choice("TENSOR_DATA_TYPE", "DATA_TYPE", t.type)
      .int64("TENSOR_DIMENSIONS", t.shape)
      .int64("TENSOR_STRIDES", t.strides)
      .int64("TENSOR_UNIQUE_ID", [t.id])
      .int64("TENSOR_BYTE_ALIGNMENT", [t.alignment ?? 16]);
    if (t.virtual) made.bool("TENSOR_IS_VIRTUAL", true);
    if (t.byValue) made.bool("TENSOR_IS_BY_VALUE", true);
    return made.finalize();
  }

  /** A final graph of final operations. */
  graph(operations: readonly Descriptor[]): Descriptor {
    const graph = this.describe("OPERATIONGRAPH").descriptors(
      "OPERATIONGRAPH_OPS",
      ...operations,
    );
    if ("handle" in this.#target) graph.library("OPERATIONGRAPH_HANDLE", this.#target.handle);
    return graph.finalize();
  }

  /**
   * A plan for a graph: from memory, from the disk, or the first engine of cuDNN's choice that fits.
   *
   * @param key Tells the graph from others
   * @param operations Makes the operations
   * @param choice What the engine may do
   * @returns undefined when no engine fits
   */
  plan(key: string, operations: () => Descriptor[], choice: Choice): CudnnPlan | undefined {
    const all = `${key} ${choice.tensorCores} ${choice.workspace}`;
    if (this.#plans.has(all)) return this.#plans.get(all);
    const plan = this.#fromDisk(all) ?? this.#build(all, operations, choice);
    if (plan === undefined) log(1, `cuDNN has no engine for ${all}`);
    this.#plans.set(all, plan);
    return plan;
  }

  /**
   * Runs a plan on the stream of the handle.
   *
   * @param plan The plan
   * @param ids Numbers of the tensors
   * @param pointers Their addresses: of device memory, or of host memory for numbers given by value
   * @param workspace Address of the scratch memory
   */
  execute(
    plan: CudnnPlan,
    ids: readonly number[],
    pointers: BigUint64Array<ArrayBuffer>,
    workspace: number,
  ): void {
    if (!("handle" in this.#target)) throw new Error("Cannot execute a plan without a device");
    const pack = this.describe("VARIANT_PACK")
      .int64("VARIANT_PACK_UNIQUE_IDS", ids)
      .pointers("VARIANT_PACK_DATA_POINTERS", pointers)
      .pointers("VARIANT_PACK_WORKSPACE", BigUint64Array.of(BigInt(workspace)))
      .finalize();
    try {
      this.calls.cudnnBackendExecute(this.#target.handle, plan.descriptor.handle, pack.handle);
    } finally {
      pack.destroy();
    }
  }

  #build(key: string, operations: () => Descriptor[], choice: Choice): CudnnPlan | undefined {
    let graph: Descriptor;
    try {
      graph = this.graph(operations());
    } catch (error) {
      log(1, `cuDNN does not take ${key}: ${(error as Error).message}`);
      return undefined;
    }
    for (const mode of [modes.CUDNN_HEUR_MODE_A, modes.CUDNN_HEUR_MODE_FALLBACK]) {
      for (const config of this.#configurations(graph, mode)) {
        const found = notesOf(config);
        const plan = allowed(found, choice) ? this.#finish(config, choice) : undefined;
        if (plan === undefined) continue;
        this.counts.built++;
        this.#keep(key, plan);
        return { ...plan, notes: found };
      }
    }
    return undefined;
  }

  #configurations(graph: Descriptor, mode: number): Descriptor[] {
    try {
      const heuristics = this.describe("ENGINEHEUR")
        .descriptors("ENGINEHEUR_OPERATION_GRAPH", graph)
        .choice("ENGINEHEUR_MODE", "HEUR_MODE", mode);
      if (this.#properties !== undefined) {
        heuristics.descriptors("ENGINEHEUR_DEVICEPROP", this.#properties);
      }
      return heuristics.finalize().readDescriptors("ENGINEHEUR_RESULTS", "ENGINECFG", CANDIDATES);
    } catch (error) {
      log(2, `cuDNN's heuristics of mode ${mode} fail: ${(error as Error).message}`);
      return [];
    }
  }

  #finish(config: Descriptor, choice: Choice): CudnnPlan | undefined {
    const descriptor = this.#newPlan();
    try {
      descriptor.descriptors("EXECUTION_PLAN_ENGINE_CONFIG", config).finalize();
      const workspace = descriptor.readInt64("EXECUTION_PLAN_WORKSPACE_SIZE");
      if (workspace <= choice.workspace) return { descriptor, workspace };
    } catch (error) {
      log(2, `cuDNN rejects an engine: ${(error as Error).message}`);
    }
    descriptor.destroy();
    return undefined;
  }

  #newPlan(): Descriptor {
    const plan = this.describe("EXECUTION_PLAN");
    return "handle" in this.#target
      ? plan.library("EXECUTION_PLAN_HANDLE", this.#target.handle)
      : plan.descriptors("EXECUTION_PLAN_DEVICEPROP", this.#properties!);
  }

  #fromDisk(key: string): CudnnPlan | undefined {
    const home = this.#disk.homeOf(this.#disk.key(`${this.#stamp}\n${key}`));
    const text = home === undefined ? undefined : this.#disk.load(home);
    if (text === undefined) return undefined;
    const descriptor = this.#newPlan();
    try {
      descriptor.text("EXECUTION_PLAN_JSON_REPRESENTATION", new TextDecoder().decode(text))
        .finalize();
      this.counts.fromDisk++;
      return { descriptor, workspace: descriptor.readInt64("EXECUTION_PLAN_WORKSPACE_SIZE") };
    } catch (error) {
      log(1, `A plan on disk does not fit: ${(error as Error).message}`);
      descriptor.destroy();
      return undefined;
    }
  }

  #keep(key: string, { descriptor }: CudnnPlan): void {
    try {
      const text = descriptor.readText("EXECUTION_PLAN_JSON_REPRESENTATION");
      const keys = [this.#disk.key(`${this.#stamp}\n${key}`)];
      this.#disk.store(new TextEncoder().encode(text), keys);
    } catch (error) {
      log(2, `A plan is not kept: ${(error as Error).message}`);
    }
  }
}

/** What the engine of a configuration does with numbers. */
function notesOf(config: Descriptor): number[] {
  const [engine] = config.readDescriptors("ENGINECFG_ENGINE", "ENGINE", 1);
  const found = engine.readChoices("ENGINE_NUMERICAL_NOTE", "NUMERICAL_NOTE");
  engine.destroy();
  return found;
}

/** Whether an engine does only what it may. */
function allowed(found: readonly number[], { tensorCores, repeats = true }: Choice): boolean {
  const unwanted: number[] = [notes.CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION];
  if (repeats) unwanted.push(notes.CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC);
  if (!tensorCores) {
    unwanted.push(
      notes.CUDNN_NUMERICAL_NOTE_TENSOR_CORE,
      notes.CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS,
    );
  }
  return found.every((note) => !unwanted.includes(note));
}
