// Nodes of the REST API, flattened to one entry for each value.

import type { Node, Scalar, ValueType } from "../api/types";
import { formatPath, parsePath } from "./path";

export interface Entry {
  path: string;
  value: Scalar;
  type?: ValueType;
  /** Milliseconds since 1970, when the device gave a time. */
  time?: number;
}

function isNode(value: unknown): value is Node {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function timeOf(node: Node): number | undefined {
  if (node.time === undefined || node.time === null) return undefined;
  const ms = typeof node.time === "number" ? node.time * 1000 : Date.parse(node.time);
  return Number.isFinite(ms) ? ms : undefined;
}

interface Inherited {
  type?: ValueType;
  time?: number;
}

function visit(node: Node, ids: number[], above: Inherited, into: Entry[]): void {
  const own: Inherited = { ...above };
  if (node.type) own.type = node.type;
  const time = timeOf(node);
  if (time !== undefined) own.time = time;

  if (node.value !== undefined) into.push({ path: formatPath(ids), value: node.value, ...own });
  for (const [id, child] of Object.entries(node.resources ?? {})) {
    visit(child, [...ids, Number(id)], own, into);
  }
  for (const [id, child] of Object.entries(node.instances ?? {})) {
    const at = [...ids, Number(id)];
    if (isNode(child)) visit(child, at, own, into);
    else into.push({ path: formatPath(at), value: child, ...own });
  }
}

/** Every value below a Node, a list of Nodes, or the Nodes of a composite answer, in the order of the document. */
export function flatten(content: unknown): Entry[] {
  const entries: Entry[] = [];
  const composite = typeof content === "object" && content !== null && "nodes" in content ? content.nodes : content;
  for (const node of Array.isArray(composite) ? (composite as unknown[]) : [composite]) {
    if (!isNode(node) || typeof node.path !== "string") continue;
    const ids = parsePath(node.path);
    if (ids) visit(node, ids, {}, entries);
  }
  return entries;
}
