/** A reader of C headers that have been through the preprocessor: function prototypes, enums, and the type names that they need. */

/** What a C type is to a caller. */
export type CType =
  | { readonly kind: "void" }
  | { readonly kind: "pointer"; readonly handle: boolean }
  | { readonly kind: "enum" }
  | { readonly kind: "number"; readonly native: string }
  | { readonly kind: "struct"; readonly bytes: number | undefined };

/** A parameter. */
export interface CParameter {
  /** Name, or `p0`, `p1`, ... where the header gives none. */
  readonly name: string;
  /** As written. */
  readonly text: string;
  /** What it is. */
  readonly type: CType;
}

/** A prototype. */
export interface CFunction {
  /** As written, in one line. */
  readonly text: string;
  /** Type of the result, as written. */
  readonly resultText: string;
  /** Type of the result. */
  readonly result: CType;
  /** Parameters in order. */
  readonly parameters: readonly CParameter[];
}

// LP64, the model of every platform with CUDA except Windows, where only `long` differs; no prototype that is wanted has one.
const numbers: Readonly<Record<string, string>> = {
  "char": "i8",
  "signed char": "i8",
  "unsigned char": "u8",
  "short": "i16",
  "unsigned short": "u16",
  "int": "i32",
  "unsigned": "u32",
  "unsigned int": "u32",
  "long long": "i64",
  "long long int": "i64",
  "unsigned long long": "u64",
  "float": "f32",
  "double": "f64",
  "size_t": "usize",
  "int32_t": "i32",
  "uint32_t": "u32",
  "int64_t": "i64",
  "uint64_t": "u64",
};

/** A preprocessed header. */
export class CHeader {
  readonly #text: string;
  readonly #typedefs = new Map<string, string>();
  readonly #enums = new Map<string, Map<string, number>>();
  readonly #functions = new Map<string, CFunction | undefined>();
  /** Every enumerator of the header. */
  readonly enumerators: Map<string, number> = new Map();

  /** Reads what `cc -E -P` printed. */
  constructor(preprocessed: string) {
    this.#text = preprocessed
      .replace(/__attribute__\s*\(\((?:[^()]|\([^()]*\))*\)\)/g, " ")
      .replace(/\b__(?!int|u?int)\w+__\b/g, " ")
      .replace(/\s+/g, " ");
    for (const [, from, to] of this.#text.matchAll(/\btypedef ([^;{}()]+?) ?\b(\w+) ?;/g)) {
      this.#typedefs.set(to, from);
    }
    for (
      const [, body, to] of this.#text.matchAll(/\btypedef struct ?\w* ?\{([^{}]*)\} ?(\w+) ?;/g)
    ) {
      this.#typedefs.set(to, `{${body}}`);
    }
    for (const [, tag, body, to] of this.#text.matchAll(/\benum (?:(\w+) )?\{([^}]*)\} ?(\w*)/g)) {
      const table = this.#enumerators(body);
      for (const name of [tag, to]) {
        // Both names of one enum; the first definition counts, for a header may repeat one behind a condition.
        if (name && !this.#enums.has(name)) this.#enums.set(name, table);
      }
    }
  }

  /** Whether the header declares a type of this name. */
  has(name: string): boolean {
    return this.#typedefs.has(name) || this.#enums.has(name) ||
      new RegExp(`} ?${name} ?;`).test(this.#text);
  }

  /** The enumerators of an enum, by its tag or its typedef name; follows further names. */
  enumOf(name: string): Map<string, number> | undefined {
    const table = this.#enums.get(name);
    const target = this.#typedefs.get(name);
    return table ?? (target === undefined ? undefined : this.enumOf(target.replace(/^enum /, "")));
  }

  /**
   * A prototype. A header that maps a plain name to a newer symbol (`cuEventElapsedTime` to `..._v2`) declares only the newer one: that
   * is taken, for the arguments are the same.
   */
  functionOf(name: string): CFunction | undefined {
    // A search of the whole text takes milliseconds.
    if (!this.#functions.has(name)) this.#functions.set(name, this.#prototype(name));
    return this.#functions.get(name);
  }

  #prototype(name: string): CFunction | undefined {
    const match = new RegExp(`([\\w*]+(?: [\\w*]+)*?) ?\\b${name}(?:_v\\d)? ?\\(([^)]*)\\) ?;`)
      .exec(this.#text);
    if (match === null) return undefined;
    const resultText = match[1].replace(/\b(extern|static|inline)\b/g, "").trim();
    const list = match[2].trim();
    const parameters = list === "" || list === "void" ? [] : list.split(",").map((part, i) => {
      const text = part.trim();
      const array = /^(.*?)\b(\w+) ?\[\w*\]$/.exec(text);
      if (array !== null) return this.#parameter(array[2], text, array[1] + "*");
      const named = /^(.*[\w*])( |(?<=\*))(\w+)$/.exec(text);
      // `unsigned int` and a lone type name have no parameter name.
      return named === null || this.#isType(text)
        ? this.#parameter(`p${i}`, text, text)
        : this.#parameter(named[3], text, named[1]);
    });
    return {
      text: `${resultText} ${name}(${list})`,
      resultText,
      result: this.typeOf(resultText),
      parameters,
    };
  }

  /** What a type is; typedefs are followed. */
  typeOf(text: string): CType {
    const name = text.replace(/\b(const|struct|volatile)\b/g, " ").replace(/\s+/g, " ").trim();
    if (name.endsWith("*")) return { kind: "pointer", handle: false };
    if (name in numbers) return { kind: "number", native: numbers[name] };
    if (name === "void") return { kind: "void" };
    if (name.startsWith("enum ") || this.#enums.has(name)) return { kind: "enum" };
    const target = this.#typedefs.get(name);
    if (target === undefined) throw new Error(`Cannot read the C type ${text}: it is not declared`);
    if (target.startsWith("{")) {
      const array = /^\{ ?(?:unsigned )?char \w+ ?\[ ?(\d+) ?\] ?; ?\}$/.exec(target);
      return { kind: "struct", bytes: array === null ? undefined : Number(array[1]) };
    }
    const type = this.typeOf(target);
    return type.kind === "pointer" ? { kind: "pointer", handle: true } : type;
  }

  #parameter(name: string, text: string, type: string): CParameter {
    return { name, text, type: this.typeOf(type) };
  }

  #isType(text: string): boolean {
    const name = text.replace(/\bconst\b/g, " ").trim();
    return name in numbers || this.#enums.has(name) || this.#typedefs.has(name);
  }

  #enumerators(body: string): Map<string, number> {
    const table = new Map<string, number>();
    let next = 0;
    for (const part of body.split(",").map((x) => x.trim()).filter((x) => x !== "")) {
      const [, name, expression] = /^(\w+)(?: ?= ?(.+))?$/.exec(part) ?? [];
      if (name === undefined) throw new Error(`Cannot read the enumerator ${part}`);
      if (expression !== undefined) next = this.#value(expression);
      table.set(name, next);
      this.enumerators.set(name, next);
      next++;
    }
    return table;
  }

  /** A constant expression: sums, shifts and ors of integers and earlier enumerators, in parentheses or not. NaN for any other, and for what counts on from it. */
  #value(expression: string): number {
    const tokens = expression.match(/0x[\da-fA-F]+|\w+|<<|\S/g) ?? [];
    let at = 0;
    const atom = (): number => {
      const token = tokens[at++];
      if (token === "-") return -atom();
      if (token === "(") {
        const value = or();
        return tokens[at++] === ")" ? value : NaN;
      }
      return this.enumerators.get(token) ?? Number(token?.replace(/[uUlL]+$/, ""));
    };
    const sum = (): number => {
      let value = atom();
      while (tokens[at] === "+" || tokens[at] === "-") {
        value += tokens[at++] === "+" ? atom() : -atom();
      }
      return value;
    };
    const shift = (): number => {
      let value = sum();
      // Powers instead of shifts: 1 << 31 is negative in an int, and header values reach past it.
      while (tokens[at] === "<<") {
        at++;
        value *= 2 ** sum();
      }
      return value;
    };
    const or = (): number => {
      let value = shift();
      while (tokens[at] === "|") {
        at++;
        const other = shift();
        // In halves: the operator of numbers has 32 bits, with a sign.
        const high = Math.floor(value / 2 ** 32) | Math.floor(other / 2 ** 32);
        value = Number.isNaN(value + other) ? NaN : high * 2 ** 32 + ((value | other) >>> 0);
      }
      return value;
    };
    const value = or();
    return at === tokens.length ? value : NaN;
  }
}
