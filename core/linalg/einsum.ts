/** Sums of products in Einstein's notation. */
import { isAutocasting, underPolicy } from "../amp/cast.ts";
import { shapeText } from "../shape.ts";
import type { Tensor } from "../tensor/tensor.ts";

/** Labels of the dimensions of each operand and of the result; those of an ellipsis are numbered from the last, `.0`, `.1`. */
interface Parsed {
  readonly operands: readonly (readonly string[])[];
  readonly output: readonly string[];
}

/** A factor whose dimensions carry distinct labels. */
interface Term {
  readonly x: Tensor;
  readonly labels: readonly string[];
}

/** Letters and ellipsis of one operand, the ellipsis being `rank` dimensions. */
function labelsOf(text: string, rank: number, equation: string): string[] {
  const [before, after, ...more] = text.replaceAll(/\s/g, "").split("...");
  const letters = before + (after ?? "");
  if (more.length > 0 || !/^[a-zA-Z]*$/.test(letters)) {
    throw new SyntaxError(
      `Cannot read "${text}" of the equation "${equation}": letters and at most one ellipsis are needed`,
    );
  }
  const dots = after === undefined
    ? []
    : Array.from({ length: rank }, (_, i) => `.${rank - 1 - i}`);
  return [...before, ...dots, ...(after ?? "")];
}

/** Letters of a text without its ellipsis. */
const letterCount = (text: string): number => text.replaceAll(/[\s.]/g, "").length;

function parse(equation: string, tensors: readonly Tensor[]): Parsed {
  const [left, right, ...more] = equation.split("->"), texts = left.split(",");
  if (more.length > 0) {
    throw new SyntaxError(`Cannot read the equation "${equation}": it has more than one arrow`);
  }
  if (texts.length !== tensors.length) {
    throw new TypeError(
      `Cannot apply the equation "${equation}" to ${tensors.length} tensors: it names ${texts.length}`,
    );
  }
  const ranks = texts.map((t, i) => tensors[i].ndim - letterCount(t));
  const operands = texts.map((t, i) => {
    const labels = labelsOf(t, Math.max(0, ranks[i]), equation);
    if (labels.length !== tensors[i].ndim) {
      throw new TypeError(
        `Cannot apply "${t.trim()}" of the equation "${equation}" to ${
          shapeText(tensors[i].shape)
        }: it names ${labels.length} dimensions`,
      );
    }
    return labels;
  });
  const widest = texts.reduce((n, t, i) => t.includes("...") ? Math.max(n, ranks[i]) : n, 0);
  const all = operands.flat();
  if (right === undefined) {
    // By PyTorch's rule: the ellipsis, then letters that occur once, in alphabetical order.
    const once = [...new Set(all)].filter((l) =>
      l[0] !== "." && all.indexOf(l) === all.lastIndexOf(l)
    );
    return { operands, output: [...labelsOf("...", widest, equation), ...once.sort()] };
  }
  const output = labelsOf(right, widest, equation);
  const odd = output.find((l, i) => !all.includes(l) || output.indexOf(l) !== i);
  if (odd !== undefined) {
    throw new SyntaxError(
      `Cannot read the equation "${equation}": "${odd}" of the result ${
        all.includes(odd) ? "occurs twice" : "is in no operand"
      }`,
    );
  }
  return { operands, output };
}

/** Takes the diagonal where a label occurs twice. */
function distinct(x: Tensor, labels: readonly string[], equation: string): Term {
  const at = labels.findIndex((l, i) => labels.indexOf(l) !== i);
  if (at < 0) return { x, labels };
  const first = labels.indexOf(labels[at]);
  if (x.shape[first] !== x.shape[at]) {
    throw new TypeError(
      `Cannot apply the equation "${equation}": "${labels[at]}" has sizes ${x.shape[first]} and ${
        x.shape[at]
      } in ${shapeText(x.shape)}`,
    );
  }
  const rest = labels.filter((_, i) => i !== first && i !== at);
  return distinct(x.diagonal(0, first, at), [...rest, labels[at]], equation);
}

/** Sums over labels that nobody else needs. */
function summed({ x, labels }: Term, needed: ReadonlySet<string>): Term {
  const dims = labels.flatMap((l, i) => needed.has(l) ? [] : [i]);
  if (dims.length === 0) return { x, labels };
  return { x: x.sum(dims), labels: labels.filter((l) => needed.has(l)) };
}

/** The dimensions of a term in the order of `labels`, 1 for those it does not have. */
function arranged({ x, labels }: Term, order: readonly string[]): Tensor {
  const present = order.filter((l) => labels.includes(l));
  const moved = x.permute(present.map((l) => labels.indexOf(l)));
  return moved.reshape(order.map((l) => labels.includes(l) ? x.shape[labels.indexOf(l)] : 1));
}

/** The product of two terms, summed over labels that are not needed later. */
function contract(a: Term, b: Term, needed: ReadonlySet<string>): Term {
  // Labels of one term alone are summed before, those of both within a matrix product.
  const left = summed(a, new Set([...needed, ...b.labels]));
  const right = summed(b, new Set([...needed, ...a.labels]));
  const shared = left.labels.filter((l) => right.labels.includes(l));
  const batch = shared.filter((l) => needed.has(l)), inner = shared.filter((l) => !needed.has(l));
  const rows = left.labels.filter((l) => !shared.includes(l));
  const columns = right.labels.filter((l) => !shared.includes(l));
  const labels = [...batch, ...rows, ...columns];
  if (inner.length === 0) return { x: arranged(left, labels).mul(arranged(right, labels)), labels };
  const size = (l: string) =>
    Math.max(
      ...[left, right].map((t) => t.labels.includes(l) ? t.x.shape[t.labels.indexOf(l)] : 1),
    );
  const product = (list: readonly string[]) => list.reduce((n, l) => n * size(l), 1);
  const stacked = (t: Term, order: readonly string[], shape: readonly number[]) =>
    arranged(t, order).expand(order.map(size)).reshape([...batch.map(size), ...shape]);
  const m = product(rows), k = product(inner), n = product(columns);
  const x = stacked(left, [...batch, ...rows, ...inner], [m, k])
    .matmul(stacked(right, [...batch, ...inner, ...columns], [k, n]));
  return { x: x.reshape(labels.map(size)), labels };
}

/**
 * Sums of products in Einstein's notation, PyTorch's rules: `"bij,bjk->bik"`. A letter that is not in the result is summed over, one that occurs
 * twice in an operand takes its diagonal, an ellipsis stands for dimensions that broadcast; without an arrow the result has the letters that
 * occur once, in alphabetical order. Operands are joined pair by pair from the left, each pair by one matrix product.
 *
 * @param equation Letters for the dimensions of each operand, separated by commas, and after an arrow those of the result
 * @throws {SyntaxError} When the equation cannot be read
 * @throws {TypeError} When it does not fit the operands
 */
export function einsum(equation: string, ...tensors: readonly Tensor[]): Tensor {
  if (isAutocasting()) return underPolicy("einsum", einsum, arguments);
  if (tensors.length === 0) {
    throw new TypeError(`Cannot apply the equation "${equation}": it has no operands`);
  }
  const { operands, output } = parse(equation, tensors);
  const terms = tensors.map((x, i) => distinct(x, operands[i], equation));
  const sizes = new Map<string, number>();
  for (const { x, labels } of terms) {
    labels.forEach((l, d) => {
      const known = sizes.get(l) ?? 1, size = x.shape[d];
      if (known !== size && known !== 1 && size !== 1) {
        throw new TypeError(
          `Cannot apply the equation "${equation}": ${
            l[0] === "." ? "the ellipsis" : `"${l}"`
          } has sizes ${known} and ${size}`,
        );
      }
      if (size !== 1) sizes.set(l, size);
    });
  }
  const wanted = new Set(output);
  let total = terms[0];
  for (let i = 1; i < terms.length; i++) {
    const later = new Set([...output, ...terms.slice(i + 1).flatMap((t) => t.labels)]);
    total = contract(total, terms[i], later);
  }
  const last = summed(total, wanted);
  return arranged(last, output);
}
