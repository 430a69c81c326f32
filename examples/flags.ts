/** Flags that the examples share: `--epochs`, `--batch-size`, `--learning-rate`, `--seed`. */

/** Values of the flags. */
export interface Flags {
  readonly epochs: number;
  /** Samples of an optimizer step over all ranks. */
  readonly batchSize: number;
  readonly learningRate: number;
  readonly seed: number;
}

/** Reads the flags over an example's defaults; a wrong one ends the program with the usage. */
export function parseFlags(defaults: Flags): Flags {
  const values: Record<string, number> = { ...defaults };
  const args = Deno.args.flatMap((arg) => arg.includes("=") ? arg.split(/=(.*)/s, 2) : [arg]);
  for (let i = 0; i < args.length; i += 2) {
    const name = args[i].replace(/^--/, "").replace(/-(\w)/g, (_, c) => c.toUpperCase());
    const value = Number(args[i + 1]);
    if (!args[i].startsWith("--") || !(name in values) || !(value >= 0)) {
      const usage = Object.entries(defaults).map(([key, value]) =>
        `--${key.replace(/[A-Z]/g, (c) => `-${c.toLowerCase()}`)} ${value}`
      );
      console.error(`Cannot use ${args[i]} ${args[i + 1] ?? ""}: the flags are ${usage.join(" ")}`);
      Deno.exit(2);
    }
    values[name] = value;
  }
  return values as unknown as Flags;
}
