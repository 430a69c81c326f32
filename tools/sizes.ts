/**
 * `deno task sizes`: prints files above the budget of 300 lines, and totals by folder. A tool for review: it fails nothing, for a file may have
 * a reason, which its first comment then gives.
 */
const budget = 300, root = new URL("..", import.meta.url);
const folders = ["ffi", "core", "trainer", "launch", "examples", "tests", "bench", "tools"];

function* sources(folder: string): Generator<string> {
  for (const { name, isDirectory } of Deno.readDirSync(new URL(folder, root))) {
    const path = `${folder}/${name}`;
    if (isDirectory) yield* sources(path);
    else if (name.endsWith(".ts")) yield path;
  }
}

const long: [string, number][] = [];
for (const folder of folders) {
  let files = 0, lines = 0;
  for (const path of sources(folder)) {
    const count = Deno.readTextFileSync(new URL(path, root)).split("\n").length - 1;
    files++;
    lines += count;
    if (count > budget) long.push([path, count]);
  }
  console.log(
    `${folder.padEnd(9)} ${String(files).padStart(4)} files ${String(lines).padStart(6)} lines`,
  );
}
for (const [path, count] of long.toSorted((a, b) => b[1] - a[1])) {
  console.log(`${String(count).padStart(6)} lines  ${path}`);
}
