/** CUDA C of kernels with rows: a team of threads walks each row once a stage and joins what it reduced. */
import type { Kernel, Store, Value } from "../../kernel.ts";
import { Body, indent } from "./print_body.ts";
import { chooseKept, gatheredStores, type RowPlan, rowPlan, storeArgs } from "./print_row_plan.ts";
import { argsOf, product, rowsPerBlock, type Schedule } from "./print_schedule.ts";
import { joinTexts, startText, typeTexts } from "./print_table.ts";

type Reduce = Extract<Value, { kind: "reduce" }>;

/** Reductions that something stored depends on, with their numbers. */
function reductionsOf(kernel: Kernel): { id: number; v: Reduce; order: number }[] {
  const live = new Set<number>();
  const visit = (id: number): void => {
    if (live.has(id)) return;
    live.add(id);
    argsOf(kernel.values[id]).forEach(visit);
  };
  for (const s of kernel.stores) storeArgs(s).forEach(visit);
  return kernel.values
    .flatMap((v, id) => v.kind === "reduce" && live.has(id) ? [{ id, v }] : [])
    .map((r, order) => ({ ...r, order }));
}

/** Opens the loop over rows: declares `o`, `live` where some threads may have no row, and the coordinates of the row. */
function rowLoop(
  body: Body,
  perBlock: number,
  place: string,
  inner: readonly string[],
): string[] {
  const { index, rank } = body, many = perBlock > 1;
  const by = many ? ` * ${perBlock}` : "", coordinates = body.coordinates(0, rank, "o");
  // Where there is one row only, nothing depends on its number.
  const numbered = coordinates.length > 0 || inner.some((line) => /\bo\b/.test(line));
  const number = many ? `live ? first + ${place} : rows - 1` : "first";
  return [
    `for (${index} first = (${index})blockIdx.x${by}; first < rows; first += (${index})gridDim.x${by}) {`,
    ...indent([
      ...(many ? [`const bool live = first + ${place} < rows;`] : []),
      ...(numbered ? [`const ${index} o = ${number};`] : []),
      ...coordinates,
      ...inner,
    ]),
    "}",
  ];
}

const rowsLine = (body: Body): string => {
  const inner = product(body.kernel.outer.slice(1));
  return `const ${body.index} rows = (${body.index})extent${inner === 1 ? "" : ` * ${inner}`};`;
};

/** The body of the (first) kernel function, and whether its threads gather sums of columns. */
export function rowsText(
  kernel: Kernel,
  schedule: Schedule,
): { lines: string[]; gathers: boolean } {
  return new Rows(kernel, schedule).text();
}

class Rows {
  readonly body: Body;
  readonly plan: RowPlan;
  readonly gathered: readonly Store[];
  /** Rows that a block works on at the same time; in `columns` also the distance of a team's threads. */
  readonly across: number;
  /** Number of a thread in its team. */
  readonly t: string;

  constructor(readonly kernel: Kernel, readonly schedule: Schedule) {
    this.body = new Body(kernel, schedule);
    this.plan = rowPlan(kernel, schedule, this.body);
    this.gathered = gatheredStores(kernel, schedule, this.plan);
    this.body.kept = chooseKept(kernel, this.body, this.plan, this.gathered);
    this.across = rowsPerBlock(schedule);
    this.t = schedule.team > 1 ? "t" : "0";
  }

  text(): { lines: string[]; gathers: boolean } {
    const { body, schedule, kernel, across } = this, { team, block, kind } = schedule;
    const columns = kind === "columns", lines = [rowsLine(body)];
    if (team > 1) {
      const t = columns
        ? `threadIdx.x / ${across}`
        : team === block
        ? "threadIdx.x"
        : `threadIdx.x & ${team - 1}`;
      lines.push(`const int t = ${t};`);
    }
    const slots = columns ? (team > 1 ? block : 0) : team > 32 ? team / 32 : 0;
    if (slots > 0) {
      for (const { id, v } of reductionsOf(kernel)) {
        lines.push(`__shared__ ${typeTexts[v.dtype].register} s${id}[${slots}];`);
      }
    }
    if (schedule.split) {
      lines.push(
        `const ${body.index} span = (${this.plan.vectors} + (${body.index})chunks - 1) / (${body.index})chunks;`,
        `const ${body.index} from = (${body.index})blockIdx.y * span;`,
        `const ${body.index} to = from + span < ${this.plan.vectors} ? from + span : ${this.plan.vectors};`,
      );
    }
    this.gathered.forEach((s, n) => {
      const type = typeTexts[kernel.values[s.value].dtype].register;
      lines.push(`${type} g${n}[${this.plan.steps * schedule.width}] = {};`);
    });
    const place = columns ? `(int)(threadIdx.x % ${across})` : `(int)(threadIdx.x / ${team})`;
    lines.push(...rowLoop(body, across, place, this.#row()));
    if (this.gathered.length > 0) lines.push(...this.#scatterGathered());
    return { lines, gathers: this.gathered.length > 0 };
  }

  /** The stages of one row and what is stored once a row. */
  #row(): string[] {
    const { body, kernel, plan, schedule } = this;
    const arrays = [...body.kept].map(([id, k]) => {
      const name = k.element.slice(0, k.element.indexOf("["));
      const size = plan.steps * (body.level(id) === 2 ? schedule.width : 1);
      return `${typeTexts[kernel.values[id].dtype].register} ${name}[${size}];`;
    });
    body.open(true);
    body.lines(0).push(...arrays);
    for (let s = 0; s < plan.stages; s++) this.#stage(s);
    if (schedule.split) this.#leaveParts();
    else rowStores(body, this.#teamBarrier(), this.across > 1);
    return body.lines(0);
  }

  #teamBarrier(): string | undefined {
    const { kind, team } = this.schedule;
    if (team === 1) return undefined;
    return kind === "rows" && team <= 32 ? "__syncwarp();" : "__syncthreads();";
  }

  #stage(now: number): void {
    const { body, kernel, plan } = this;
    const reduced = reductionsOf(kernel).filter(({ v }) => body.stage[v.arg] === now);
    const stores = kernel.stores.filter((_, i) => plan.storeStage[i] === now);
    if (reduced.length === 0 && stores.length === 0) return;
    body.now = now;
    for (const { id, v } of reduced) {
      const { register } = typeTexts[v.dtype];
      body.lines(0).push(`${register} r${id} = ${startText(v.op, v.dtype)};`);
    }
    body.open();
    const updates = reduced.map(({ id, v }) =>
      `r${id} = ${joinTexts[v.op]}::join(r${id}, ${typed(body, v.arg)});`
    );
    const live = this.across > 1 ? "live" : undefined;
    const gathers = stores.filter((s) => this.gathered.includes(s)).map((s) => {
      const n = this.gathered.indexOf(s);
      const sum = `g${n}[${this.#slot()}] += ${body.value(s.value)};`;
      return live === undefined ? sum : `if (${live}) ${sum}`;
    });
    body.lines(body.inner).push(...updates, ...gathers);
    body.stores(stores.filter((s) => !this.gathered.includes(s)), live);
    body.lines(0).push(...this.#walk(body.point()), ...this.#join(reduced));
  }

  /** Where an element of the current point lies in an array of registers. */
  #slot(): string {
    return this.body.inner === 2 ? `k * ${this.schedule.width} + u` : "k";
  }

  /** The team's loop over a row. */
  #walk(point: readonly string[], body: Body = this.body): string[] {
    const { index, rank } = body, { plan, schedule: { team, width, split } } = this;
    const depth = rank + this.kernel.reduce.length;
    const coordinates = body.coordinates(rank, depth, "p", width);
    const lines = [...coordinates, ...point];
    if (plan.vectors === 0) return [];
    if (split) {
      return [
        `for (${index} p = from + ${this.t}; p < to; p += ${team}) {`,
        ...indent(lines),
        "}",
      ];
    }
    if (!plan.unrolled) {
      return [
        `for (${index} p = ${this.t}; p < ${plan.vectors}; p += ${team}) {`,
        ...indent(lines),
        "}",
      ];
    }
    const whole = plan.vectors % team === 0;
    const position = `const ${index} p = ${team > 1 ? `t + k * ${team}` : "k"};`;
    return [
      "#pragma unroll",
      `for (int k = 0; k < ${plan.steps}; ++k) {`,
      ...indent([
        ...(whole && coordinates.length === 0 ? [] : [position]),
        ...(whole ? lines : [`if (p < ${plan.vectors}) {`, ...indent(lines), "}"]),
      ]),
      "}",
    ];
  }

  /** Joins what the threads of a team reduced, and rounds it. */
  #join(reduced: readonly { id: number; v: Reduce }[]): string[] {
    const { schedule: { team, kind, split }, body, across } = this, lines: string[] = [];
    if (reduced.length === 0) return lines;
    const join = (f: string, arg: (id: number) => string) => {
      for (const { id, v } of reduced) {
        lines.push(`r${id} = ${f.replace("R", joinTexts[v.op])}(${arg(id)});`);
      }
    };
    if (kind === "rows" && team > 1) join(`joinLanes<R, ${Math.min(32, team)}>`, (id) => `r${id}`);
    if (kind === "rows" && team > 32) {
      const writes = reduced.map(({ id }) => `s${id}[threadIdx.x >> 5] = r${id};`);
      lines.push("__syncthreads();", "if ((threadIdx.x & 31) == 0) {", ...indent(writes), "}");
      lines.push("__syncthreads();");
      join(`joinParts<R, ${team / 32}, 1>`, (id) => `s${id}`);
    }
    if (kind === "columns" && team > 1) {
      lines.push("__syncthreads();", ...reduced.map(({ id }) => `s${id}[threadIdx.x] = r${id};`));
      lines.push("__syncthreads();");
      join(`joinParts<R, ${team}, ${across}>`, (id) => `s${id} + threadIdx.x % ${across}`);
    }
    if (!split) lines.push(...declareReduced(body, reduced));
    return lines;
  }

  /** Leaves the results of a chunk in scratch memory. */
  #leaveParts(): void {
    const { kernel, body, across } = this;
    const writes = reductionsOf(kernel).map(({ id, v, order }) =>
      `*reinterpret_cast<${typeTexts[v.dtype].register} *>(${part(order, "blockIdx.y")}) = r${id};`
    );
    const when = `${this.t} == 0${across > 1 ? " && live" : ""}`;
    body.lines(0).push(`if (${when}) {`, ...indent(writes), "}");
  }

  /** Adds gathered sums of columns to memory. */
  #scatterGathered(): string[] {
    const { kernel, schedule } = this, body = new Body(kernel, schedule);
    const adds = this.gathered.map((s, n) => {
      const text = typeTexts[kernel.buffers[s.address.buffer].dtype];
      const at = body.address(s.address, body.inner);
      return text.add(`b${s.address.buffer} + ${at}`, `g${n}[${this.#slot()}]`);
    });
    body.lines(body.inner).push(...adds);
    return this.#walk(body.point(), body);
  }
}

/** A value, of the exact type of its accumulator: both operands of a join are of one type. */
function typed(body: Body, id: number): string {
  const v = body.kernel.values[id], x = body.value(id);
  return v.kind === "const" ? `(${typeTexts[v.dtype].register})${x}` : x;
}

/** Address of the part of reduction `order` that chunk `chunk` of row `o` has left. */
const part = (order: number, chunk: string) =>
  `scratch + ((${order} * (i64)rows + o) * chunks + ${chunk}) * 8`;

function declareReduced(body: Body, reduced: readonly { id: number; v: Reduce }[]): string[] {
  return reduced.map(({ id, v }) => {
    const { register, round } = typeTexts[v.dtype];
    body.name(0, `v${id}`, `v${id}`);
    return `const ${register} v${id} = ${round(`r${id}`)};`;
  });
}

/** What is stored once a row, by the first thread of its team. */
function rowStores(body: Body, barrier: string | undefined, many: boolean): void {
  const { kernel } = body, stores = kernel.stores.filter((s) => s.level === "row");
  if (stores.length === 0) return;
  const writes = stores.map((s) => {
    const { dtype } = kernel.buffers[s.address.buffer], text = typeTexts[dtype];
    const value = body.value(s.value), at = body.address(s.address, 0);
    return s.mode === "add"
      ? text.add(`b${s.address.buffer} + ${at}`, value)
      : `b${s.address.buffer}[${at}] = ${text.write(value)};`;
  });
  // The other threads may not have read yet what is overwritten here.
  const rewrites = stores.some((s) => kernel.buffers[s.address.buffer].access === "both");
  if (rewrites && barrier !== undefined) body.lines(0).push(barrier);
  const conditions = [...(barrier === undefined ? [] : ["t == 0"]), ...(many ? ["live"] : [])];
  body.lines(0).push(
    ...(conditions.length === 0
      ? writes
      : [`if (${conditions.join(" && ")}) {`, ...indent(writes), "}"]),
  );
}

/** The second function of a split schedule: a warp joins the parts of a row and stores what is left. */
export function finishText(kernel: Kernel, schedule: Schedule): string[] {
  const body = new Body(kernel, schedule), all = reductionsOf(kernel);
  const lines = body.lines(0);
  for (const { id, v, order } of all) {
    const { register } = typeTexts[v.dtype], join = joinTexts[v.op];
    lines.push(
      `${register} r${id} = ${startText(v.op, v.dtype)};`,
      `for (i64 c = t; c < chunks; c += 32) {`,
      `  r${id} = ${join}::join(r${id}, *reinterpret_cast<const ${register} *>(${
        part(order, "c")
      }));`,
      "}",
      `r${id} = joinLanes<${join}, 32>(r${id});`,
    );
  }
  lines.push(...declareReduced(body, all));
  rowStores(body, "__syncwarp();", true);
  return [
    rowsLine(body),
    "const int t = threadIdx.x & 31;",
    ...rowLoop(body, 4, "(int)(threadIdx.x / 32)", lines),
  ];
}
