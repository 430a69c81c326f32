import { type Backend, backendOf, type Launch } from "@pta/core";
import { type Callback, callback } from "../callback.ts";
import { checkCount } from "../run_config.ts";
import type { Trainer } from "../trainer.ts";

/** Options of {@linkcode profiler}. */
export interface ProfilerOptions {
  /** File to write: Chrome's trace format, for chrome://tracing or ui.perfetto.dev. With several ranks, `.rank1` and so on go before the ending. */
  readonly path: string;
  /** Training steps (micro-batches) before recording starts; 5 by default, so that steps are captured by then. */
  readonly skip?: number;
  /** Training steps that are recorded; 10 by default. */
  readonly steps?: number;
  /**
   * Whether each kernel and routine is recorded too. The device is waited for after each, so that its time is its own: sums are right, overlap is lost. True by
   * default on `cpu`; elsewhere steps may be replayed as one launch, and then show as one.
   */
  readonly kernels?: boolean;
}

/** One event of the trace; times in microseconds. */
interface TraceEvent {
  readonly name: string;
  readonly cat: string;
  readonly ph: "X" | "i" | "M";
  readonly ts: number;
  readonly dur?: number;
  readonly pid: number;
  readonly tid: number;
  readonly args?: Readonly<Record<string, unknown>>;
  readonly s?: "p";
}

const loopThread = 1, deviceThread = 2;

/** Has every launch of a backend timed while `isOn` says so; returns what takes that back. */
function timeLaunches(
  backend: Backend,
  isOn: () => boolean,
  note: (name: string, kind: string, start: number) => void,
): () => void {
  const timed = (name: string, kind: string, launch: Launch): Launch => () => {
    if (!isOn()) return launch();
    const start = performance.now();
    launch();
    backend.synchronize();
    note(name, kind, start);
  };
  const undo: (() => void)[] = [];
  const replace = (holder: object, key: string, value: unknown) => {
    const own = Object.getOwnPropertyDescriptor(holder, key);
    Object.defineProperty(holder, key, { value, writable: true, configurable: true });
    undo.push(() => {
      if (own === undefined) delete (holder as Record<string, unknown>)[key];
      else Object.defineProperty(holder, key, own);
    });
  };
  const { bind } = backend;
  replace(
    backend,
    "bind",
    ((executable, extent, buffers) =>
      timed(
        executable.kernel.name,
        "kernel",
        bind.call(backend, executable, extent, buffers),
      )) satisfies Backend["bind"],
  );
  const routines = Object.fromEntries(
    Object.entries(backend.routines).map(([name, make]) => [
      name,
      (call: never, buffers: never) => {
        const routine = (make as (c: never, b: never) => { start: Launch; wait?: Launch })
          .call(backend.routines, call, buffers);
        return { ...routine, start: timed(name, "routine", routine.start) };
      },
    ]),
  );
  replace(backend, "routines", routines);
  return () => undo.reverse().forEach((f) => f());
}

/**
 * Records a stretch of training as a trace: waiting for data, steps, callbacks' time between them, evaluations, epochs, and kernels with their names. The
 * totals by kernel are printed, largest first.
 */
export function profiler(options: ProfilerOptions): Callback {
  const { path, skip = 5, steps = 10 } = options;
  checkCount("skip", skip, 0);
  checkCount("steps", steps);
  let events: TraceEvent[] = [];
  let seen = 0, isWritten = false, rank = 0;
  let restore: (() => void) | undefined;
  let stepStart = 0, stepEnd: number | undefined, evalStart: number | undefined;
  let epochStart = 0;

  const isOn = () => seen >= skip && seen < skip + steps && !isWritten;
  const add = (name: string, cat: string, start: number, tid: number, args?: TraceEvent["args"]) =>
    events.push({
      name,
      cat,
      ph: "X",
      ts: start * 1000,
      dur: (performance.now() - start) * 1000,
      pid: rank,
      tid,
      ...(args === undefined ? {} : { args }),
    });
  const write = async (trainer: Trainer) => {
    if (isWritten || events.length === 0) return;
    isWritten = true;
    const names: TraceEvent[] = [
      [0, "process_name", `rank ${rank}`] as const,
      [loopThread, "thread_name", "loop"] as const,
      [deviceThread, "thread_name", "device"] as const,
    ].map(([tid, name, text]) => ({
      name,
      cat: "__metadata",
      ph: "M",
      ts: 0,
      pid: rank,
      tid,
      args: { name: text },
    }));
    const file = rank === 0 ? path : path.replace(/(\.\w+)?$/, `.rank${rank}$1`);
    await Deno.writeTextFile(
      file,
      JSON.stringify({ traceEvents: [...names, ...events], displayTimeUnit: "ms" }),
    );
    trainer.print(`Trace of ${Math.min(seen - skip, steps)} steps in ${file}${totals(events)}`);
  };

  return callback({
    name: "profiler",
    onTrainingRunStart: (trainer) => {
      [events, seen, isWritten] = [[], 0, false];
      rank = trainer.runConfig.rank;
      const { device } = trainer.lossTracker;
      if (options.kernels ?? device === "cpu") {
        restore = timeLaunches(backendOf(device), isOn, (name, kind, start) => {
          add(name, kind, start, deviceThread);
        });
      }
    },
    onTrainEpochStart: () => {
      epochStart = performance.now();
      stepEnd = undefined;
    },
    onTrainStepStart: () => {
      if (isOn() && stepEnd !== undefined) add("data and callbacks", "loop", stepEnd, loopThread);
      stepStart = performance.now();
    },
    onTrainStepEnd: async (trainer, { step, isOptimizerStep }) => {
      if (isOn()) {
        // What was launched belongs to the step.
        backendOf(trainer.lossTracker.device).synchronize();
        add("train step", "loop", stepStart, loopThread, {
          step,
          isOptimizerStep,
          numUpdates: trainer.numUpdates,
          epoch: trainer.runHistory.currentEpoch,
        });
      }
      seen++;
      stepEnd = performance.now();
      if (seen >= skip + steps) await write(trainer);
    },
    onTrainEpochEnd: () => {
      if (isOn()) add("train epoch", "loop", Math.max(epochStart, firstOf(events)), loopThread);
    },
    onEvalEpochStart: () => {
      evalStart = performance.now();
    },
    onEvalEpochEnd: () => {
      if (isOn() && evalStart !== undefined) add("evaluation", "loop", evalStart, loopThread);
    },
    onTrainingRunEnd: write,
    cleanup: () => {
      restore?.();
      restore = undefined;
    },
  });
}

const firstOf = (events: readonly TraceEvent[]) => (events[0]?.ts ?? 0) / 1000;

/** The kernels that took the most time. */
function totals(events: readonly TraceEvent[]): string {
  const sums = new Map<string, { count: number; ms: number }>();
  for (const e of events) {
    if (e.tid !== deviceThread) continue;
    const sum = sums.get(e.name) ?? { count: 0, ms: 0 };
    sums.set(e.name, { count: sum.count + 1, ms: sum.ms + e.dur! / 1000 });
  }
  return [...sums].sort((a, b) => b[1].ms - a[1].ms).slice(0, 10)
    .map(([name, { count, ms }]) => `\n  ${ms.toFixed(2)} ms  ${count} x ${name}`).join("");
}
