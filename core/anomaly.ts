/** `PTA_DETECT_ANOMALY=1`: every value is looked at, and the first operator that makes a non-finite one is named. */
import { env } from "./env.ts";
import { codecs, isFloat } from "./dtype.ts";
import { type Node, onNode } from "./node.ts";
import { activeRecorder, setInspector } from "./realize.ts";
import { shapeText } from "./shape.ts";

/** Where a node was made. */
interface Origin {
  /** Public name of the operator. */
  readonly operator: string;
  /** Module in whose `forward` that was. */
  readonly module: string | undefined;
  /** Line of the user's code. */
  readonly site: string | undefined;
  /** The node whose gradient it belongs to. */
  readonly gradientOf: Node | undefined;
}

const origins = new WeakMap<Node, Origin>();
let isEnabled = false, walking: Node | undefined;

/** Tells whose gradient is being made, and returns what was told before. */
export function setWalking(node: Node | undefined): Node | undefined {
  const before = walking;
  walking = node;
  return before;
}

const operatorFolders = /\/core\/(tensor|nn\/functional|linalg|signal)\//;
const ownFolders = /\/(core|trainer)\/(?!.*_test\.ts)/;

/** Reads the stack: the outermost function of the operator, the module around it, the first line outside. */
function originOf(): Origin {
  const frames = (new Error().stack ?? "").split("\n").slice(1).map((line) => {
    const found = /^\s*at (?:(?:new )?(\S+) )?(?:\[as \S+\] )?\(?(\S+?)\)?$/.exec(line);
    return { name: found?.[1] ?? "", place: found?.[2] ?? "" };
  });
  let operator = "";
  for (const { name, place } of frames) {
    if (operatorFolders.test(place)) operator = name || operator;
    else if (operator !== "" && !place.includes("/core/amp/")) break;
  }
  const module = frames.find((f) => /\.forward$/.test(f.name))?.name.replace(/\.forward$/, "");
  const site = frames.find((f) => f.place.includes(":") && !ownFolders.test(f.place))?.place;
  return { operator: operator.replace(/^.*Tensor\./, ""), module, site, gradientOf: walking };
}

function describe(node: Node): string {
  const origin = origins.get(node);
  if (origin === undefined) return `an operator of kind ${node.kind}`;
  const { operator, module, site, gradientOf } = origin;
  const place = (module === undefined ? "" : ` in ${module}`) +
    (site === undefined ? "" : ` at ${site}`);
  if (gradientOf === undefined) return `${operator}${place}`;
  return `the backward pass of ${describe(gradientOf)}`;
}

/** How a value is not finite. */
interface Finding {
  readonly nan: number;
  readonly infinite: number;
  /** Row-major place of the first. */
  readonly first: number;
}

function look(node: Node): Finding {
  if (node.kind === "const") {
    const { value } = node.arg;
    return { nan: +Number.isNaN(value), infinite: +(Math.abs(value) === Infinity), first: 0 };
  }
  const storage = node.storage, count = node.shape.reduce((a, b) => a * b, 1);
  if (storage === undefined || storage.freed || count === 0 || !isFloat(node.dtype)) {
    return { nan: 0, infinite: 0, first: -1 };
  }
  const data = storage.backend.read(storage.buffer, 0, storage.length);
  const { decode } = codecs[node.dtype];
  let nan = 0, infinite = 0, first = -1;
  for (let i = 0; i < data.length; i++) {
    const x = decode(data[i]);
    if (Number.isFinite(x)) continue;
    if (first < 0) first = i;
    if (Number.isNaN(x)) nan++;
    else infinite++;
  }
  return { nan, infinite, first };
}

/** What a node computes with: through views to their bases. */
const operands = (node: Node): readonly Node[] =>
  node.src.map((s) => s.kind === "view" && s.storage === undefined ? s.src[0] : s);

/**
 * Computes every operator by itself and throws at the first that makes NaN of operands without, or infinity of finite ones. What depends on a change in
 * place is left out.
 */
function inspect(roots: readonly Node[], compute: (node: Node) => void): void {
  const recorder = activeRecorder();
  if (recorder !== undefined) {
    recorder.spoil("anomalies are looked for, which reads every value");
    return;
  }
  const findings = new Map<Node, Finding>(), late = new Set<Node>(), seen = new Set<Node>();
  const finding = (node: Node): Finding => {
    let known = findings.get(node);
    if (known === undefined) findings.set(node, known = look(node));
    return known;
  };
  const stack: { node: Node; next: number }[] = roots.map((node) => ({ node, next: 0 })).reverse();
  while (stack.length > 0) {
    const top = stack[stack.length - 1], { node } = top;
    if (seen.has(node) || node.storage !== undefined) {
      stack.pop();
      seen.add(node);
      continue;
    }
    if (top.next < node.src.length) {
      stack.push({ node: node.src[top.next++], next: 0 });
      continue;
    }
    stack.pop();
    seen.add(node);
    if (node.kind === "assign" || node.src.some((s) => late.has(s))) {
      late.add(node);
      continue;
    }
    if (node.kind === "view" || node.kind === "const" || node.kind === "index") continue;
    compute(node);
    const made = finding(node);
    if (made.nan + made.infinite === 0) continue;
    const given = operands(node).map(finding);
    const passesNaN = given.some((f) => f.nan > 0);
    const passes = passesNaN || given.some((f) => f.infinite > 0);
    if ((made.nan > 0 && !passesNaN) || (made.infinite > 0 && !passes)) fail(node, made);
  }
}

function fail(node: Node, { nan, infinite, first }: Finding): never {
  const counts = [nan > 0 ? `${nan} NaN` : "", infinite > 0 ? `${infinite} infinite` : ""]
    .filter(Boolean).join(" and ");
  throw new RangeError(
    `Found a value that is not finite: ${describe(node)} made ${counts} of ${
      node.shape.reduce((a, b) => a * b, 1)
    } elements, ${shapeText(node.shape)} ${node.dtype}, the first at ${first}`,
  );
}

/**
 * Looks for the first operator, forward or backward, that makes NaN or infinity: computing raises a RangeError that names operator, module and line.
 * Every operator runs by itself and is read back, so this is slow, and steps are not captured. `PTA_DETECT_ANOMALY=1` turns it on at the start.
 *
 * An operator that is given NaN or infinity, such as a mask of `-Infinity`, may pass it on.
 *
 * @param enabled Whether to look
 * @returns Whether it was on before
 */
export function setDetectAnomaly(enabled: boolean): boolean {
  const before = isEnabled;
  isEnabled = enabled;
  if (enabled) Error.stackTraceLimit = Math.max(Error.stackTraceLimit, 40);
  onNode(enabled ? (node) => void origins.set(node, originOf()) : undefined);
  setInspector(enabled ? inspect : undefined);
  return before;
}

/** Whether anomalies are looked for. */
export function isDetectingAnomaly(): boolean {
  return isEnabled;
}

if (env("PTA_DETECT_ANOMALY") === "1") setDetectAnomaly(true);
