/** Who looks something up by computed indices, so that an index out of range, found when values are computed, can name them. */
import type { Node } from "./node.ts";

/** Words for an index that a dimension of `size` elements does not have. */
export type IndexWords = (index: number, size: number) => string;

const lookups = new WeakMap<Node, { readonly size: number; readonly words: IndexWords }>();
let place: () => () => string = () => () => "";

/** Sets who knows where in a model the code runs now; the answer's text, such as `In blocks.0 (Block): `, is asked for after an error only. */
export function setPlace(where: () => () => string): void {
  place = where;
}

/**
 * Notes what an index out of range in a lookup means.
 *
 * @param node The lookup, or a view of it
 * @param size Size of the dimension that is looked into
 * @param words The error in words
 */
export function explainLookup(node: Node, size: number, words: IndexWords): void {
  const where = place();
  lookups.set(node, { size, words: (index, n) => where() + words(index, n) });
}

const pattern = /^Cannot index with (-?\d+): the dimension has size (\d+)$/;

/** The error of a device in the words of those who may have caused it: the lookups among `nodes` into as many elements. */
export function explainIndexError(error: unknown, nodes: readonly Node[]): unknown {
  const found = error instanceof RangeError ? pattern.exec(error.message) : null;
  if (found === null) return error;
  const [index, size] = [Number(found[1]), Number(found[2])];
  const texts = nodes.flatMap((n) => {
    const lookup = lookups.get(n);
    return lookup?.size === size ? [lookup.words(index, size)] : [];
  });
  const unique = [...new Set(texts)];
  return unique.length === 0 ? error : new RangeError(unique.join(", or: "), { cause: error });
}
