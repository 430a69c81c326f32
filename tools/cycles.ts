/**
 * `deno run -A tools/cycles.ts [FILE...]`: fails when modules import each other in a circle. Type-only imports (`import type`) do not count: they
 * vanish at run time.
 */

/** The part of `deno info --json` that is read. */
interface Info {
  readonly modules: readonly {
    readonly specifier: string;
    readonly dependencies?: readonly {
      readonly code?: { readonly specifier?: string };
      readonly isDynamic?: boolean;
    }[];
  }[];
}

/**
 * Groups of nodes that reach each other (Tarjan, "Depth-first search and linear graph algorithms", 1972).
 * @param edges What each node points to
 * @returns Groups of two or more, and nodes that point to themselves
 */
export function cycles(edges: ReadonlyMap<string, readonly string[]>): string[][] {
  const order = new Map<string, number>(), low = new Map<string, number>();
  const stack: string[] = [], onStack = new Set<string>(), found: string[][] = [];
  const visit = (node: string): void => {
    order.set(node, order.size);
    low.set(node, order.get(node)!);
    stack.push(node);
    onStack.add(node);
    for (const next of edges.get(node) ?? []) {
      if (!order.has(next)) visit(next);
      if (onStack.has(next)) low.set(node, Math.min(low.get(node)!, low.get(next)!));
    }
    if (low.get(node) !== order.get(node)) return;
    const group = stack.splice(stack.indexOf(node));
    for (const member of group) onStack.delete(member);
    if (group.length > 1 || (edges.get(node) ?? []).includes(node)) found.push(group);
  };
  for (const node of edges.keys()) if (!order.has(node)) visit(node);
  return found;
}

function edgesOf(file: string, root: string): Map<string, string[]> {
  const { code, stdout, stderr } = new Deno.Command(Deno.execPath(), {
    args: ["info", "--json", file],
    cwd: new URL(root),
  }).outputSync();
  if (code !== 0) {
    throw new Error(`Cannot read the imports of ${file}: ${new TextDecoder().decode(stderr)}`);
  }
  const { modules } = JSON.parse(new TextDecoder().decode(stdout)) as Info;
  const short = (specifier: string): string => specifier.replace(root, "");
  return new Map(modules.map((m) => [
    short(m.specifier),
    (m.dependencies ?? []).filter((d) => !d.isDynamic && d.code?.specifier?.startsWith(root))
      .map((d) => short(d.code!.specifier!)),
  ]));
}

if (import.meta.main) {
  const root = new URL("..", import.meta.url).href;
  const files = Deno.args.length > 0 ? Deno.args : ["mod.ts", "launch/launch.ts"];
  const edges = new Map(files.flatMap((file) => [...edgesOf(file, root)]));
  const found = cycles(edges);
  for (const group of found) console.error(`Modules import each other: ${group.join(" -> ")}`);
  if (found.length > 0) Deno.exit(1);
  console.log(`no cycles among ${edges.size} modules`);
}
