/** Flags of the examples: `--epochs`, `--steps`, `--batch-size`, `--learning-rate`, `--seed`, whichever one has. */

/** Reads the flags over an example's defaults; a wrong one ends the program with the usage. */
export function parseFlags<T extends Record<string, number>>(defaults: T): T {
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
  return values as T;
}
