/** Text for the character models: the TypeScript sources of this project, one in twenty files held back. */
import { rand, randint, type Tensor, tensor } from "@pta/accelerated";

/** Characters as numbers; all others become `?`. */
const alphabet = "\n" + Array.from({ length: 95 }, (_, i) => String.fromCharCode(32 + i)).join("");

/** Number of different characters. */
export const vocabulary = alphabet.length;

/** Text as character numbers. */
export function encode(text: string): Int32Array {
  const unknown = alphabet.indexOf("?"), numbers = new Int32Array(text.length);
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    numbers[i] = code === 10 ? 0 : code >= 32 && code < 127 ? code - 31 : unknown;
  }
  return numbers;
}

/** Character numbers as text. */
export const decode = (numbers: Iterable<number>): string =>
  Array.from(numbers, (n) => alphabet[n]).join("");

async function sources(folder: URL, found: URL[] = []): Promise<URL[]> {
  for await (const entry of Deno.readDir(folder)) {
    const url = new URL(entry.isDirectory ? `${entry.name}/` : entry.name, folder);
    if (entry.isDirectory) await sources(url, found);
    else if (entry.name.endsWith(".ts")) found.push(url);
  }
  return found;
}

/** All sources: text to train on and text held back. */
export async function loadText(): Promise<{ train: Int32Array; validation: Int32Array }> {
  const root = new URL("../", import.meta.url);
  const files =
    (await Promise.all(["core/", "trainer/", "launch/"].map((f) => sources(new URL(f, root)))))
      .flat().sort((a, b) => a.href < b.href ? -1 : 1);
  const texts = await Promise.all(files.map((f) => Deno.readTextFile(f)));
  const part = (keep: (i: number) => boolean) => encode(texts.filter((_, i) => keep(i)).join("\n"));
  return { train: part((i) => i % 20 !== 10), validation: part((i) => i % 20 === 10) };
}

/** Draws windows of a text: inputs `[batch, length]` and the characters that follow each, flat. */
export function windows(text: Tensor, batch: number, length: number): [Tensor, Tensor] {
  const starts = randint(0, text.shape[0] - length - 1, [batch, 1], { dtype: "int32" });
  const steps = tensor(Int32Array.from({ length: length + 1 }, (_, i) => i));
  const block = text.indexSelect(0, starts.add(steps).reshape(-1)).reshape(batch, length + 1);
  return [block.narrow(1, 0, length), block.narrow(1, 1, length).reshape(-1)];
}

/** The next characters after `prompt`, drawn from what `logits` gives for the last `length` of them. */
export function sample(
  prompt: string,
  count: number,
  length: number,
  logits: (window: Tensor) => Tensor,
): string {
  const numbers = [...encode(prompt.padStart(length, "\n"))];
  const draws = rand([count]).data() as Float32Array;
  for (let i = 0; i < count; i++) {
    const last = logits(tensor(Int32Array.from(numbers.slice(-length)), { shape: [1, length] }));
    const p = last.mul(1.25).softmax(-1).data() as Float32Array;
    let left = draws[i] * p.reduce((a, b) => a + b, 0), at = 0;
    while (at < p.length - 1 && (left -= p[at]) > 0) at++;
    numbers.push(at);
  }
  return decode(numbers.slice(length));
}
