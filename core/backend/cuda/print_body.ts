/** Writes the values of a kernel as CUDA C: a text for each loop level, filled by demand. */
import { roundTo } from "../../dtype.ts";
import { type Address, fullValues, type Kernel, stages, type Store } from "../../kernel.ts";
import { packs, type Schedule, varying } from "./print_schedule.ts";
import { constantText, opTexts, typeTexts } from "./print_table.ts";

/** Where a value is computed: once a row, once for the neighbours that a thread handles together, or for each of them. */
export type Level = 0 | 1 | 2;

/** Statements of one level, and the names that are declared there. */
interface Scope {
  readonly lines: string[];
  readonly names: Map<string, string>;
}
const newScope = (): Scope => ({ lines: [], names: new Map() });

/** A value that a thread keeps in registers from the stage that computes it to later ones. */
export interface Kept {
  /** Stage that computes it. */
  readonly stage: number;
  /** Its element for the current point. */
  readonly element: string;
}

/** Indents lines. */
export function indent(lines: readonly string[]): string[] {
  return lines.map((l) => l.startsWith("#") ? l : `  ${l}`);
}

/** The writer of one kernel body. */
export class Body {
  /** For each value, whether it varies along the row. */
  readonly full: readonly boolean[];
  /** For each value, the passes that must come before it. */
  readonly stage: readonly number[];
  /** For each value, whether it differs between the neighbours that a thread handles together. */
  readonly vary: readonly boolean[];
  /** Number of outer dimensions. */
  readonly rank: number;
  /** Dimension whose neighbours a thread handles together. */
  readonly axis: number;
  /** Values kept in registers. */
  kept: ReadonlyMap<number, Kept> = new Map();
  /** Stage that is being written. */
  now = 0;
  #scopes: [Scope, Scope, Scope] = [newScope(), newScope(), newScope()];

  /**
   * Starts with nothing written.
   *
   * @param kernel What is written
   * @param schedule How threads share it
   * @param width As in the schedule, or 1 for what is left over
   */
  constructor(
    readonly kernel: Kernel,
    readonly schedule: Schedule,
    readonly width: number = schedule.width,
  ) {
    this.full = fullValues(kernel);
    this.stage = stages(kernel);
    this.rank = kernel.outer.length;
    this.axis = this.rank + kernel.reduce.length - 1;
    this.vary = width > 1 ? varying(kernel, this.axis) : kernel.values.map(() => false);
  }

  /** Type of an index. */
  get index(): string {
    return this.schedule.wide ? "i64" : "int";
  }

  /** Statements written so far at a level. */
  lines(level: Level): string[] {
    return this.#scopes[level].lines;
  }

  /** Forgets what was written at the inner levels; `rows` also what belongs to the row. */
  open(rows = false): void {
    this.#scopes = [rows ? newScope() : this.#scopes[0], newScope(), newScope()];
    for (const d of [...this.#asked]) if (rows || d >= this.rank) this.#asked.delete(d);
  }

  /** Level of the innermost statements. */
  get inner(): Level {
    return this.width > 1 ? 2 : 1;
  }

  /** Level at which a value is computed. */
  level(id: number): Level {
    if (this.kernel.reduce.length > 0 && !this.full[id]) return 0;
    return this.vary[id] ? 2 : 1;
  }

  /** Declares a name once; `make` gives its type and expression. */
  #declare(level: Level, name: string, make: () => readonly [string, string]): string {
    const { names, lines } = this.#scopes[level];
    const known = names.get(name);
    if (known !== undefined) return known;
    const [type, text] = make();
    lines.push(`const ${type} ${name} = ${text};`);
    names.set(name, name);
    return name;
  }

  /** Makes a name known that somebody else declares. */
  name(level: Level, key: string, name: string): void {
    this.#scopes[level].names.set(key, name);
  }

  /** The expression of a value: a name or a literal. */
  value(id: number): string {
    const v = this.kernel.values[id];
    if (v.kind === "const") return constantText(v.dtype, roundTo(v.dtype, v.value));
    const level = this.level(id);
    if (v.kind === "reduce") {
      const known = this.#scopes[0].names.get(`v${id}`);
      if (known === undefined) throw new Error(`Value ${id} is read before it is reduced`);
      return known;
    }
    const kept = this.kept.get(id);
    if (kept !== undefined && kept.stage < this.now) return kept.element;
    const text = typeTexts[v.dtype];
    const first = !this.#scopes[level].names.has(`v${id}`);
    const name = this.#declare(level, `v${id}`, () => {
      if (v.kind === "index") return ["int", this.#cast(this.#sum(v.offset, v.strides, level))];
      if (v.kind === "load") return [text.register, text.read(this.#element(v.address, level))];
      const operand = this.kernel.values[v.args[v.args.length - 1]].dtype;
      const args = v.args.map((a) => this.value(a));
      return [text.register, opTexts[v.op]({ operand, result: v.dtype }, ...args)];
    });
    if (first && kept !== undefined) this.#scopes[level].lines.push(`${kept.element} = ${name};`);
    return name;
  }

  #cast(x: string): string {
    return this.schedule.wide ? `(int)(${x})` : x;
  }

  /** `offset + sum(strides[d] * i[d])` at a level. */
  #sum(offset: number, strides: readonly number[], level: Level, more: string[] = []): string {
    const terms = strides.flatMap((s, d) => s === 0 ? [] : [scaled(this.coordinate(d), s)]);
    const step = strides[this.axis];
    if (level === 2 && step !== 0) terms.push(scaled("u", step));
    terms.push(...more);
    const constant = this.schedule.wide && terms.length === 0 ? `${offset}ll` : `${offset}`;
    return (offset !== 0 || terms.length === 0 ? [constant, ...terms] : terms).join(" + ");
  }

  /** Dimensions whose coordinates have been asked for. */
  readonly #asked = new Set<number>();

  /** Name of the coordinate of a dimension; see {@linkcode Body.coordinates}. */
  coordinate(d: number): string {
    this.#asked.add(d);
    return `i${d}`;
  }

  /** The index of an element, with computed parts checked. */
  address(a: Address, level: Level): string {
    const dynamic = a.dynamic.map((t) => {
      const index = this.value(t.value), at = this.level(t.value);
      const size = this.schedule.wide ? `${t.size}ll` : `${t.size}`;
      const name = this.#declare(at, `x${t.value}_${t.size}`, () => [
        this.index,
        `${this.schedule.wide ? "" : "(int)"}checked(${index}, ${size}, error)`,
      ]);
      return scaled(name, t.stride);
    });
    return this.#sum(a.offset, a.strides, level, dynamic);
  }

  /** An element in memory, out of a pack where its neighbours are read with it. */
  #element(a: Address, level: Level): string {
    const text = typeTexts[this.kernel.buffers[a.buffer].dtype].memory;
    if (level !== 2 || !packs(a, this.axis, this.width, this.vary)) {
      return `b${a.buffer}[${this.address(a, level)}]`;
    }
    const type = `${text}, ${this.width}`, at = this.address(a, 1);
    const key = `pack ${a.buffer} ${at}`, { names, lines } = this.#scopes[1];
    let pack = names.get(key);
    if (pack === undefined) {
      pack = `p${[...names.keys()].filter((k) => k.startsWith("pack")).length}`;
      lines.push(`const Pack<${type}> ${pack} = loadPack<${type}>(b${a.buffer} + ${at});`);
      names.set(key, pack);
    }
    return `${pack}.x[u]`;
  }

  /**
   * Statements that write full values (all where there are no rows), to be put after every value of the point has been computed, and those
   * that follow the loop over neighbours.
   */
  stores(stores: readonly Store[], live?: string): void {
    const level = this.inner, writes: string[] = [];
    for (const [n, s] of stores.entries()) {
      const { dtype } = this.kernel.buffers[s.address.buffer], text = typeTexts[dtype];
      const value = this.value(s.value), { buffer } = s.address;
      const packed = level === 2 && s.mode === "set" &&
        packs(s.address, this.axis, this.width, this.vary);
      if (packed) {
        const type = `${text.memory}, ${this.width}`;
        this.lines(1).push(`Pack<${type}> q${n};`);
        this.lines(2).push(`q${n}.x[u] = ${text.write(value)};`);
        const at = this.address(s.address, 1);
        this.#after.push(guarded(live, `storePack<${type}>(b${buffer} + ${at}, q${n});`));
        continue;
      }
      const at = this.address(s.address, level);
      writes.push(guarded(
        live,
        s.mode === "add"
          ? text.add(`b${buffer} + ${at}`, value)
          : `b${buffer}[${at}] = ${text.write(value)};`,
      ));
    }
    this.lines(level).push(...writes);
  }
  #after: string[] = [];

  /** The statements of the point that was written, with the loop over neighbours. */
  point(): string[] {
    const after = this.#after;
    this.#after = [];
    if (this.width === 1) return [...this.lines(1), ...after];
    return [
      ...this.lines(1),
      "#pragma unroll",
      `for (int u = 0; u < ${this.width}; ++u) {`,
      ...indent(this.lines(2)),
      "}",
      ...after,
    ];
  }

  /** Declarations of the coordinates that were asked for, of some dimensions, out of a linear position `at` that counts `step` elements of the last one. */
  coordinates(from: number, to: number, at: string, step = 1): string[] {
    const sizes = [...this.kernel.outer, ...this.kernel.reduce];
    const lines: string[] = [];
    for (let d = from; d < to; d++) {
      if (!this.#asked.has(d)) continue;
      let below = 1;
      for (let e = d + 1; e < to; e++) below *= e === to - 1 ? sizes[e] / step : sizes[e];
      const size = d === to - 1 ? sizes[d] / step : sizes[d];
      let text = below === 1 ? at : `${at} / ${below}`;
      // The first dimension holds what is left; its extent is not known.
      if (d > from) text = size === 1 ? "0" : `${text} % ${size}`;
      if (d === to - 1 && step > 1) text = scaled(d > from ? `(${text})` : text, step);
      lines.push(`const ${this.index} i${d} = ${text};`);
    }
    return lines;
  }
}

const scaled = (x: string, by: number) => by === 1 ? x : by === -1 ? `-${x}` : `${x} * ${by}`;
const guarded = (live: string | undefined, statement: string) =>
  live === undefined ? statement : `if (${live}) ${statement}`;
