/** Devices that want channels last wherever they can: one that computes, by turning operands around the reference's routines, and one that only plans. */
import { NullBackend, RefBackend } from "../core/backend/mod.ts";
import { halfRoutines } from "../core/backend/cuda/routine_table.ts";
import type {
  Buffer,
  Executable,
  Operand,
  RoutineCall,
  RoutineLaunch,
  RoutineName,
  Routines,
} from "../core/device.ts";
import type { Kernel } from "../core/kernel.ts";
import { registerBackend } from "../core/runtime.ts";
import { channelsSecond } from "../core/channel_order.ts";
import { contiguousStrides, numel } from "../core/shape.ts";

type Bind = (call: RoutineCall, buffers: readonly Buffer[]) => RoutineLaunch;
type Values = { values: Float64Array };

const isTurned = (call: RoutineCall): boolean =>
  (call.params as { channelsLast?: boolean }).channelsLast === true;

/** Copies `[N, ..., C]` to `[N, C, ...]`, or back. */
function turn(from: Float64Array, to: Float64Array, shape: readonly number[], back: boolean): void {
  if (shape.length < 3) return to.set(from);
  const channels = shape[shape.length - 1], places = numel(shape.slice(1, -1));
  for (let i = 0; i < numel(shape); i++) {
    const c = i % channels, rest = Math.floor(i / channels), p = rest % places;
    const other = (Math.floor(rest / places) * channels + c) * places + p;
    if (back) to[i] = from[other];
    else to[other] = from[i];
  }
}

/** The reference with channels last; counts the calls that had them so. */
export class LastRef extends RefBackend {
  /** Calls with channels last, by name. */
  readonly turned: Partial<Record<RoutineName, number>> = {};
  /** What is wanted so. */
  wants: (call: RoutineCall) => boolean = () => true;
  channelsLast(call: RoutineCall): boolean {
    return this.wants(call);
  }
  /** Whether batch norm is a routine. */
  isNormalizing = false;
  normalizes(): boolean {
    return this.isNormalizing;
  }
  constructor() {
    super();
    const own = this.routines as unknown as Record<string, Bind>;
    const all = Object.entries(own).map(([name, bind]) => [name, this.#turning(bind)]);
    Object.assign(this, { routines: Object.fromEntries(all) as unknown as Routines });
  }
  #turning(bind: Bind): Bind {
    return (call, buffers) => {
      if (!isTurned(call)) return bind(call, buffers);
      this.turned[call.name] = (this.turned[call.name] ?? 0) + 1;
      const shapes = call.operands.map((o) => o.shape), first = shapes.length - (call.results ?? 1);
      const plain = shapes.map((s, i) => this.alloc(buffers[i].dtype, numel(s)));
      const operands = call.operands.map((o): Operand => {
        const shape = o.shape.length < 3 ? o.shape : channelsSecond(o.shape);
        return { ...o, shape, strides: contiguousStrides(shape) };
      });
      const inner = bind({ ...call, operands }, plain);
      const valuesOf = (b: Buffer) => (b as unknown as Values).values;
      return {
        start: () => {
          shapes.slice(0, first).forEach((s, i) =>
            turn(valuesOf(buffers[i]), valuesOf(plain[i]), s, false)
          );
          inner.start();
          shapes.slice(first).forEach((s, i) =>
            turn(valuesOf(plain[first + i]), valuesOf(buffers[first + i]), s, true)
          );
        },
      };
    };
  }
}

/** The null device with channels last; keeps the kernels that it is given, and the routines that it runs. */
export class LastNull extends NullBackend {
  readonly halfRoutines = halfRoutines;
  readonly kernels: Kernel[] = [];
  readonly calls: RoutineCall[] = [];
  channelsLast: ((call: RoutineCall) => boolean) | undefined = () => true;
  constructor() {
    super();
    for (const [name, bind] of Object.entries(this.routines)) {
      (this.routines as unknown as Record<string, Bind>)[name] = (call, buffers) => {
        this.calls.push(call);
        return (bind as Bind)(call, buffers);
      };
    }
  }
  override compile(kernel: Kernel): Executable {
    this.kernels.push(kernel);
    return super.compile(kernel);
  }
}

/** The devices, opened. */
export const lastRef: LastRef = new LastRef(), lastNull: LastNull = new LastNull();
registerBackend("ref-last", () => lastRef);
registerBackend("null-last", () => lastNull);
