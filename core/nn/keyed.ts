/** What containers by name share. */

/**
 * Names and values of an object or of pairs.
 *
 * @throws {TypeError} When a name is empty or has a dot, which keys of state could not tell from a level
 */
export function entriesOf<T>(
  container: string,
  items: Readonly<Record<string, T>> | Iterable<readonly [string, T]>,
): (readonly [string, T])[] {
  const entries = Symbol.iterator in items
    ? [...items as Iterable<readonly [string, T]>]
    : Object.entries(items);
  for (const [name] of entries) {
    if (typeof name !== "string" || name === "" || name.includes(".")) {
      throw new TypeError(
        `Cannot put "${name}" into a ${container}: a name is not empty and has no dot`,
      );
    }
  }
  return entries;
}

/** @throws {RangeError} Always: there is nothing of that name */
export function missingKey(container: string, name: string, known: Iterable<string>): never {
  throw new RangeError(
    `Cannot take "${name}" of ${container}: it has ${[...known].join(", ") || "nothing"}`,
  );
}
