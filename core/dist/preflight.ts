/** Whether the ranks fit together, found out before the first collective: a verdict for each node. */
import config from "../deno.json" with { type: "json" };

/** What each rank tells the main rank when it joins. */
export interface NodeFacts {
  readonly rank: number;
  /** Where the rank before it in the ring connects. */
  readonly hostname: string;
  readonly port: number;
  /** Name of the machine. */
  readonly host: string;
  readonly version: string;
  readonly deno: string;
  readonly worldSize: number;
  /** Value of `PTA_DEVICE`, or `default`. */
  readonly device: string;
  readonly bigEndian: boolean;
}

/** Facts on which all ranks must agree, and what they are called. */
const AGREED = {
  version: "pta",
  deno: "Deno",
  worldSize: "world size",
  device: "device",
  bigEndian: "big-endian",
} as const satisfies { [K in keyof NodeFacts]?: string };

/** The facts of this process. */
export function ownFacts(
  place: Pick<NodeFacts, "rank" | "hostname" | "port" | "worldSize" | "device">,
): NodeFacts {
  const host = Deno.permissions.querySync({ name: "sys", kind: "hostname" }).state === "granted"
    ? Deno.hostname()
    : place.hostname;
  return {
    ...place,
    host,
    version: config.version,
    deno: Deno.version.deno,
    bigEndian: new Uint8Array(new Uint16Array([1]).buffer)[0] === 0,
  };
}

/**
 * Judges the nodes. Rank 0 is the measure of all others.
 *
 * @param facts By rank; `undefined` where a rank has not joined
 * @param seconds How long they had been waited for
 * @returns Empty when all fit, otherwise the verdict: one line for each node
 */
export function verdict(facts: readonly (NodeFacts | undefined)[], seconds: number): string {
  const first = facts[0];
  const lines = new Map<string, { ranks: number[]; says: string }>();
  let complaint = "";
  facts.forEach((own, rank) => {
    const complaints = own === undefined
      ? [`did not join in ${seconds} s`]
      : first === undefined
      ? []
      : (Object.keys(AGREED) as (keyof typeof AGREED)[])
        .filter((key) => own[key] !== first[key])
        .map((key) => `${AGREED[key]} is ${own[key]}, on rank 0 ${first[key]}`);
    const says = complaints.join("; ") || "ok";
    if (says !== "ok") {
      complaint ||= own === undefined
        ? `Lost rank ${rank}: it ${says}`
        : `Cannot join rank ${rank}: ${says}`;
    }
    const key = `${own?.host}\0${says}`;
    const line = lines.get(key) ?? { ranks: [], says: `${own?.host ?? "unknown node"}: ${says}` };
    line.ranks.push(rank);
    lines.set(key, line);
  });
  if (complaint === "") return "";
  const rows = [...lines.values()].map(({ ranks, says }) =>
    `  ${ranks.length === 1 ? "rank" : "ranks"} ${ranks.join(", ")} on ${says}`
  );
  return [complaint, ...rows].join("\n");
}
