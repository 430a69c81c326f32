/**
 * Plans the backend's cuDNN graphs for devices that are not here, by their property sheets, and prints what came of it as JSON. A process of its own: cuDNN compiles some engines
 * only where a driver is loaded, and the one that this loads does nothing.
 *
 * Arguments: a library to load as the driver, or `none`; then names of devices.
 */
import { openCudnn } from "@pta/ffi";
import {
  attentionBackward,
  attentionForward,
  attentionKey,
} from "../core/backend/cuda/cudnn_attention.ts";
import {
  type ConvolutionGraph,
  convolutionKey,
  convolutionOperations,
} from "../core/backend/cuda/cudnn_convolution.ts";
import { CudnnGraphs } from "../core/backend/cuda/cudnn_graph.ts";
import { type NormGraph, normKey, normOperations } from "../core/backend/cuda/cudnn_norm.ts";
import { attentionGraph } from "../core/backend/cuda/routine_attention.ts";
import type { Operand } from "../core/device.ts";
import { DiskCache } from "../core/backend/cuda/disk_cache.ts";
import { channelsLastStrides } from "../core/channel_order.ts";

/** What came of the plans of one device. */
export interface Planned {
  readonly device: string;
  /** What the engines do with numbers, by what was planned; null where no engine fits. */
  readonly notes: { readonly [label: string]: readonly number[] | null };
  /** Bytes of scratch memory, likewise. */
  readonly scratch: { readonly [label: string]: number };
  readonly counts: { readonly built: number; readonly fromDisk: number };
  /** The same, by a second process that shares the folder of plans. */
  readonly again: { readonly built: number; readonly fromDisk: number };
}

const common = {
  cudaDeviceId: 0,
  driverVer: 13000,
  maxGridSize: [2147483647, 65535, 65535],
  maxBlockSize: [1024, 1024, 64],
  isTccDriver: 0,
  maxThreadsPerBlock: 1024,
  maxThreadsPerSM: 2048,
  maxRegistersPerSM: 65536,
  regsPerBlock: 65536,
  warpSize: 32,
  reservedSharedMemoryPerBlock: 1024,
  maxSharedMemoryPerBlock: 49152,
  pciDeviceId: 0,
  smCountOrigin: 0,
  supportCoopLaunch: 1,
  maxCtasPerSM: 32,
};
/** Property sheets as cuDNN reads them. */
const sheets: Readonly<Record<string, object>> = {
  h100: {
    ...common,
    deviceName: "NVIDIA H100 80GB HBM3",
    deviceVer: 900,
    multiProcessorCount: 132,
    maxSharedMemoryPerBlockOptin: 232448,
    totalGlobalMem: 85017100288,
    l2CacheSize: 52428800,
    memClockRateKHz: 2619000,
    smClockRateKHz: 1980000,
  },
  a100: {
    ...common,
    deviceName: "NVIDIA A100-SXM4-80GB",
    deviceVer: 800,
    multiProcessorCount: 108,
    maxSharedMemoryPerBlockOptin: 166912,
    totalGlobalMem: 85017100288,
    l2CacheSize: 41943040,
    memClockRateKHz: 1593000,
    smClockRateKHz: 1410000,
  },
  b200: {
    ...common,
    deviceName: "NVIDIA B200",
    deviceVer: 1000,
    multiProcessorCount: 148,
    maxSharedMemoryPerBlockOptin: 232448,
    totalGlobalMem: 191000000000,
    l2CacheSize: 132120576,
    memClockRateKHz: 3996000,
    smClockRateKHz: 1965000,
  },
  rtx4090: {
    ...common,
    deviceName: "NVIDIA GeForce RTX 4090",
    deviceVer: 890,
    multiProcessorCount: 128,
    maxThreadsPerSM: 1536,
    maxSharedMemoryPerBlockOptin: 101376,
    totalGlobalMem: 25000000000,
    l2CacheSize: 75497472,
    maxCtasPerSM: 24,
    memClockRateKHz: 10501000,
    smClockRateKHz: 2520000,
  },
};

const convolutions = (["convolution", "convolutionInput", "convolutionWeight"] as const).flatMap(
  (name) => {
    const graph = (dtype: ConvolutionGraph["dtype"], groups: number): ConvolutionGraph => ({
      name,
      dtype,
      params: { stride: [2, 2], padding: [1, 1], dilation: [1, 1], groups },
      shapes: [[32, 64, 56, 56], [128, 64 / groups, 3, 3], [32, 128, 28, 28]],
      alignment: 16,
    });
    const volume: ConvolutionGraph = {
      name,
      dtype: "float32",
      params: { stride: [1, 1, 1], padding: [1, 1, 1], dilation: [1, 1, 1], groups: 1 },
      shapes: [[2, 8, 8, 16, 16], [16, 8, 3, 3, 3], [2, 16, 8, 16, 16]],
      alignment: 16,
    };
    return [
      { label: `${name} float32`, graph: graph("float32", 1), tensorCores: false },
      { label: `${name} float32 tf32`, graph: graph("float32", 1), tensorCores: true },
      { label: `${name} float32 groups`, graph: graph("float32", 4), tensorCores: false },
      { label: `${name} float32 volume`, graph: volume, tensorCores: false },
      { label: `${name} bfloat16`, graph: graph("bfloat16", 1), tensorCores: true },
      { label: `${name} float16`, graph: graph("float16", 1), tensorCores: true },
    ];
  },
);
/** An operand `[batch, position, head, element]`, row-major or a part of a projection that holds more. */
const operand = (
  dtype: "float16" | "bfloat16",
  shape: readonly [number, number, number, number],
  width: number = shape[2] * shape[3],
): Operand => ({ dtype, shape, strides: [shape[1] * width, width, shape[3], 1], offset: 0 });
const twelve = operand("bfloat16", [4, 1024, 12, 64], 3 * 768);
const attentions: readonly {
  readonly label: string;
  readonly operands: readonly Operand[];
  readonly causal: boolean;
}[] = [
  { label: "causal, of one projection", operands: [twelve, twelve, twelve], causal: true },
  {
    label: "shared keys, odd lengths",
    operands: [
      operand("float16", [3, 333, 8, 128]),
      operand("float16", [3, 77, 2, 128]),
      operand("float16", [3, 77, 2, 128]),
    ],
    causal: false,
  },
];

/** What a ResNet-50 is made of, with channels last and second. */
const bottleneck: readonly { label: string; graph: ConvolutionGraph }[] = ([
  ["stem", [64, 3, 224, 224], [64, 3, 7, 7], [64, 64, 112, 112], 2, 3],
  ["1x1", [64, 64, 56, 56], [256, 64, 1, 1], [64, 256, 56, 56], 1, 0],
  ["3x3", [64, 128, 28, 28], [128, 128, 3, 3], [64, 128, 28, 28], 1, 1],
  ["3x3 stride 2", [64, 128, 56, 56], [128, 128, 3, 3], [64, 128, 28, 28], 2, 1],
] as const).flatMap(([label, x, w, y, step, pad]) =>
  (["convolution", "convolutionInput", "convolutionWeight"] as const).flatMap((name) => {
    const second: ConvolutionGraph = {
      name,
      dtype: "bfloat16",
      params: { stride: [step, step], padding: [pad, pad], dilation: [1, 1], groups: 1 },
      shapes: [x, w, y],
      alignment: 16,
    };
    const last = { ...second, strides: [x, w, y].map(channelsLastStrides) };
    return [{ label: `${name} ${label} last`, graph: last }, {
      label: `${name} ${label} second`,
      graph: second,
    }];
  })
);
const norms: readonly { label: string; graph: NormGraph }[] = ([[64, 64, 112, 112], [
  64,
  2048,
  7,
  7,
]] as const).flatMap((shape) =>
  (["batchNorm", "batchNormGradient"] as const).flatMap((name) =>
    [true, false].map((channelsLast) => ({
      label: `${name} [${shape}] ${channelsLast ? "last" : "second"}`,
      graph: { name, dtype: "bfloat16" as const, shape, channelsLast },
    }))
  )
);

function plan(
  cudnn: CudnnGraphs,
  withAttention: boolean,
  scratch: Record<string, number> = {},
): Record<string, readonly number[] | null> {
  const all: Record<string, readonly number[] | null> = {};
  for (const { label, graph } of bottleneck) {
    const make = () => convolutionOperations(cudnn, graph);
    const choice = { tensorCores: true, workspace: 1 << 30 };
    const made = cudnn.plan(convolutionKey(graph), make, choice);
    all[`resnet ${label}`] = made?.notes ?? null;
    if (made !== undefined) scratch[`resnet ${label}`] = made.workspace;
  }
  for (const { label, graph, tensorCores } of convolutions) {
    const make = () => convolutionOperations(cudnn, graph);
    const choice = { tensorCores, workspace: 1 << 30 };
    all[label] = cudnn.plan(convolutionKey(graph), make, choice)?.notes ?? null;
  }
  if (!withAttention) return all;
  for (const { label, graph } of norms) {
    const choice = { tensorCores: true, workspace: 1 << 30 };
    const made = cudnn.plan(normKey(graph), () => normOperations(cudnn, graph), choice);
    all[label] = made?.notes ?? null;
    if (made !== undefined) scratch[label] = made.workspace;
  }
  for (const { label, operands, causal } of attentions) {
    const choice = { tensorCores: true, workspace: 1 << 30, repeats: false };
    const directions = { forward: attentionForward, backward: attentionBackward };
    for (const [direction, make] of Object.entries(directions)) {
      const way = direction as keyof typeof directions;
      const graph = attentionGraph(operands, { causal, scale: 0.125 }, way)!;
      const made = cudnn.plan(attentionKey(way, graph), () => make(cudnn, graph), choice);
      all[`attention ${direction} ${label}`] = made?.notes ?? null;
    }
  }
  return all;
}

if (import.meta.main) {
  const [driver, ...devices] = Deno.args;
  if (driver !== "none") Deno.dlopen(driver, {});
  const { calls } = openCudnn(), planned: Planned[] = [];
  for (const device of devices) {
    const folder = Deno.makeTempDirSync();
    const make = () =>
      new CudnnGraphs(
        calls,
        { properties: JSON.stringify(sheets[device]) },
        device,
        new DiskCache(folder),
      );
    const first = make(), second = make();
    const scratch: Record<string, number> = {};
    const notes = plan(first, driver !== "none", scratch);
    plan(second, driver !== "none");
    planned.push({ device, notes, scratch, counts: first.counts, again: second.counts });
    Deno.removeSync(folder, { recursive: true });
  }
  console.log(JSON.stringify(planned));
}
