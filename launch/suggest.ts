/** Which known name somebody meant. */

/**
 * The nearest known name.
 *
 * @returns The name, `undefined` when none is near
 */
export function nearest(name: string, known: readonly string[]): string | undefined {
  const plain = (text: string) => text.toLowerCase().replaceAll("_", "-");
  const wanted = plain(name);
  if (wanted === "") return undefined;
  const starts = known.find((k) => wanted.length > 1 && plain(k).startsWith(wanted));
  if (starts !== undefined) return starts;
  const ranked = known.map((k) => [editDistance(wanted, plain(k)), k] as const)
    .sort((a, b) => a[0] - b[0]);
  const best = ranked.at(0);
  return best !== undefined && best[0] <= Math.min(3, wanted.length / 2) ? best[1] : undefined;
}

/** Least number of letters added, removed or changed (Levenshtein, 1966). */
export function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(change, row[j] + 1, next[j - 1] + 1));
    }
    row = next;
  }
  return row[b.length];
}
