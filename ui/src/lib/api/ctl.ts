// The same request as a line for `lightship ctl`.

import type { Node, Scalar, ValueType } from "./types";
import { base64ToBytes, bytesToHex } from "../lwm2m/bytes";
import { flatten } from "../lwm2m/node";
import type { Call } from "./client";
import { shellQuote } from "./curl";
import { withoutSecrets } from "./secrets";

const DEFAULT_ORIGIN = "http://127.0.0.1:8080";

/** Something that can be done, as the page does it and as a shell does. */
export interface Deed {
  title: string;
  call: Call;
  /** What follows `lightship ctl`. */
  ctl: string[];
  /** What `ctl` reads from its standard input, as JSON. */
  input?: unknown;
}

/** The line behind which `ctl` reads this JSON from its standard input; keys do not stand in it. */
export function pipedTo(line: string, input: unknown): string {
  return `printf %s ${shellQuote(JSON.stringify(withoutSecrets(input)))} | ${line}`;
}

/** `args` = what follows `lightship ctl`. The token comes from LIGHTSHIP_TOKEN and stands in no line. */
export function ctlLine(origin: string, args: string[], query: Record<string, string | undefined> = {}): string {
  const parts = ["lightship", "ctl"];
  if (origin !== DEFAULT_ORIGIN) parts.push("--url", origin);
  parts.push(...args);
  for (const name of ["format", "wait"]) {
    const value = query[name];
    if (value) parts.push(`--${name}`, value);
  }
  if (query["queue"]) parts.push("--queue");
  if (query["raw"]) parts.push("--raw");
  return parts.map((part) => (part === "" ? "''" : shellQuote(part))).join(" ");
}

function valueText(value: Scalar, type: ValueType | undefined): string {
  if (type !== "opaque") return String(value);
  const bytes = base64ToBytes(String(value));
  return bytes ? `0x${bytesToHex(bytes).replaceAll(" ", "")}` : String(value);
}

// A first dash begins a flag, unless a number follows.
const looksLikeFlag = (text: string): boolean => text.startsWith("-") && !/^-\d/.test(text);

/** The values of a Node as `ctl write` takes them, or the Node itself where they cannot say it. */
export function nodeArgs(path: string, node: Node): string[] {
  const entries = flatten({ ...node, path });
  const [only] = entries;
  if (only && entries.length === 1 && only.path === path) {
    const text = valueText(only.value, only.type);
    return looksLikeFlag(text) ? ["--node", JSON.stringify(node)] : [text];
  }
  return entries.map((entry) => `${entry.path.slice(path.length + 1)}=${valueText(entry.value, entry.type)}`);
}

/** The values of several Nodes, each behind its path. */
export function compositeArgs(nodes: Node[]): string[] {
  return flatten(nodes).map((entry) => `${entry.path}=${valueText(entry.value, entry.type)}`);
}

export function attributeArgs(change: Record<string, number | null>): string[] {
  return Object.entries(change).map(([name, value]) => `${name}=${value}`);
}
