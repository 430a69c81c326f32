/** Drills: `deno task drill NAME ...` runs `tools/drill_NAME.ts`, which does damage on purpose and counts what came of it. */

/** What a drill has: takes the rest of the command line, gives an exit code. */
interface Drill {
  drill(args: readonly string[]): Promise<number>;
}

async function main([name = "", ...args]: readonly string[]): Promise<number> {
  const here = new URL(".", import.meta.url);
  const names = [...Deno.readDirSync(here)].map((e) => /^drill_([a-z]+)\.ts$/.exec(e.name)?.[1])
    .filter((x) => x !== undefined).sort();
  if (!names.includes(name)) {
    console.error(`Cannot run the drill "${name}": the drills are ${names.join(", ")}`);
    return 2;
  }
  const module = await import(new URL(`drill_${name}.ts`, here).href) as Drill;
  return await module.drill(args);
}

if (import.meta.main) Deno.exit(await main(Deno.args));
