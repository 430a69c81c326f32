/** The 1,797 handwritten digits in examples/data: 8 x 8 pixels from 0 to 16 and a class. */
import { data, randomPermutation, tensor } from "@pta/accelerated";

/** The digits, 80 % to train and 20 % to test, pixels scaled to 0..1; the split depends on the seed alone. */
export async function loadDigits(
  seed = 0,
): Promise<{ train: data.TensorDataset; test: data.TensorDataset }> {
  const file = await Deno.open(new URL("./data/digits.csv.gz", import.meta.url));
  const text = await new Response(file.readable.pipeThrough(new DecompressionStream("gzip")))
    .text();
  const rows = text.trim().split("\n").map((line) => line.split(",").map(Number));
  const shuffled = Array.from(randomPermutation(rows.length, seed), (i) => rows[i]);
  const dataset = (part: number[][]) =>
    new data.TensorDataset(
      tensor(Float32Array.from(part.flatMap((row) => row.slice(0, 64)), (x) => x / 16), {
        shape: [part.length, 64],
      }),
      tensor(BigInt64Array.from(part, (row) => BigInt(row[64]))),
    );
  const cut = Math.round(0.8 * rows.length);
  return { train: dataset(shuffled.slice(0, cut)), test: dataset(shuffled.slice(cut)) };
}
