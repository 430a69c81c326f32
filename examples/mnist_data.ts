/** MNIST: four files, downloaded once to a cache folder and checked. */
import { data, tensor } from "@pta/accelerated";

const source = "https://storage.googleapis.com/cvdf-datasets/mnist/";

/** SHA-256 of the gzipped files as their authors published them. */
const checksums = {
  "train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
  "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
  "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
  "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
};

/** The training and test sets, pixels scaled to 0..1; ends the program with one line when they cannot be had. */
export async function loadMnist(
  cache = ".cache/mnist",
): Promise<{ train: data.TensorDataset; test: data.TensorDataset }> {
  try {
    return { train: await load(cache, "train", 60_000), test: await load(cache, "t10k", 10_000) };
  } catch (error) {
    const reason = error instanceof Error ? error.message : error;
    console.error(
      `Cannot load MNIST: put the four files of ${source} into ${cache}, or go online (${reason})`,
    );
    Deno.exit(1);
  }
}

async function load(cache: string, part: "train" | "t10k", n: number): Promise<data.TensorDataset> {
  const images = await fetchIdx(cache, `${part}-images-idx3-ubyte.gz`, [n, 28, 28]);
  const labels = await fetchIdx(cache, `${part}-labels-idx1-ubyte.gz`, [n]);
  return new data.TensorDataset(
    tensor(Float32Array.from(images, (x) => x / 255), { shape: [n, 784] }),
    tensor(BigInt64Array.from(labels, BigInt)),
  );
}

async function fetchIdx(
  cache: string,
  name: keyof typeof checksums,
  shape: number[],
): Promise<Uint8Array> {
  const path = `${cache}/${name}`;
  let zipped = await Deno.readFile(path).catch(() => undefined);
  if (zipped === undefined) {
    const response = await fetch(source + name);
    if (!response.ok) throw new Error(`${source}${name} answers ${response.status}`);
    zipped = await response.bytes();
    await check(name, zipped);
    await Deno.mkdir(cache, { recursive: true });
    // Another rank may be reading: a file appears whole or not at all.
    const part = await Deno.makeTempFile({ dir: cache });
    await Deno.writeFile(part, zipped);
    await Deno.rename(part, path);
  } else await check(name, zipped);
  const stream = new Blob([zipped]).stream().pipeThrough(new DecompressionStream("gzip"));
  const bytes = await new Response(stream).bytes();
  // IDX: two zero bytes, the type (8 = unsigned byte), the rank, then each size as a big-endian word.
  const header = new DataView(bytes.buffer, bytes.byteOffset);
  const sizes = shape.map((_, i) => header.getUint32(4 + 4 * i));
  if (header.getUint32(0) !== 0x800 + shape.length || sizes.join() !== shape.join()) {
    throw new Error(`${name} holds [${sizes}], wanted [${shape}] bytes`);
  }
  return bytes.subarray(4 + 4 * shape.length);
}

async function check(name: keyof typeof checksums, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
  if (digest !== checksums[name]) throw new Error(`${name} is damaged: its SHA-256 is ${digest}`);
}
