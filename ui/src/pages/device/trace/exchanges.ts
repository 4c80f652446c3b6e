// Messages that belong together, and which of them somebody wants to see.

import type { TraceItem } from "../../../lib/api/trace";
import { flatten } from "../../../lib/lwm2m/node";

export interface Exchange {
  id: string;
  /** In the order of time. */
  items: TraceItem[];
}

export const KINDS = ["all", "errors", "dropped"] as const;
export type Kind = (typeof KINDS)[number];

/** The newest exchange first: the one in which something was said last. */
export function exchanges(items: readonly TraceItem[]): Exchange[] {
  const found = new Map<string, Exchange>();
  for (const item of items) {
    const known = found.get(item.exchange);
    found.delete(item.exchange);
    const exchange = known ?? { id: item.exchange, items: [] };
    exchange.items.push(item);
    found.set(item.exchange, exchange);
  }
  return [...found.values()].reverse();
}

/** What it is about. Where the address does not say it, as with a Send and with several paths together, what was sent does. */
export function about(exchange: Exchange): string[] {
  const path = exchange.items.find((item) => item.path !== undefined)?.path;
  if (path !== undefined && path !== "/" && path !== "/dp") return [path];
  const nodes = exchange.items.flatMap((item) => item.payload?.nodes ?? []);
  const values = flatten(nodes).map((entry) => entry.path);
  const paths = new Set(values.length > 0 ? values : nodes.flatMap((node) => node.path ?? []));
  if (paths.size > 0) return [...paths];
  return path === undefined ? [] : [path];
}

/** The code of the answer, if there is one; a notification is its own. */
export function answerCode(exchange: Exchange): string | undefined {
  return exchange.items.findLast((item) => item.code !== undefined && /^[2-5]\./.test(item.code))?.code;
}

export function isRefused(exchange: Exchange): boolean {
  return exchange.items.some((item) => item.type === "RST" || (item.code !== undefined && /^[45]\./.test(item.code)));
}

export function drops(exchange: Exchange): TraceItem[] {
  return exchange.items.filter((item) => item.dropped !== undefined);
}

/** A request that has waited for its answer so far, and nothing else came of it. */
export function isOpen(exchange: Exchange): boolean {
  const [first] = exchange.items;
  const asks = first?.type === "CON" && first.dropped === undefined;
  return asks && !exchange.items.some((item) => item.direction !== first.direction);
}

/** From the first message to the last answer, in microseconds. */
export function span(exchange: Exchange): number | undefined {
  const spans = exchange.items.map((item) => item.elapsed_us).filter((us) => us !== undefined);
  return spans.length > 0 ? Math.max(...spans) : undefined;
}

export function repeats(exchange: Exchange): number {
  return exchange.items.filter((item) => item.repeated).length;
}

/** Every word must be part of an operation, a path or its name, a code with its name, an address, an option or a reason. */
export function matches(exchange: Exchange, kind: Kind, text: string, nameOf: (path: string) => string = () => ""): boolean {
  if (kind === "errors" && !isRefused(exchange) && !exchange.items.some((item) => item.payload?.undecoded !== undefined)) return false;
  if (kind === "dropped" && drops(exchange).length === 0) return false;
  const words = text.toLowerCase().split(/\s+/).filter((word) => word !== "");
  if (words.length === 0) return true;
  const paths = about(exchange);
  const messages = exchange.items.flatMap((item) => [
    item.operation,
    item.path,
    item.code,
    item.code_name,
    item.type,
    item.address,
    item.format,
    item.dropped,
    ...(item.options ?? []).map((option) => `${option.name}=${option.value}`),
  ]);
  const said = [...paths, ...paths.map(nameOf), ...messages];
  const all = said.filter((part) => part !== undefined).join("\n").toLowerCase();
  return words.every((word) => all.includes(word));
}

/** `1.2 ms`, `340 µs`, `2.1 s`; the server looks at its clock once a step, and what it answers in the same step it answers at once. */
export function spanText(us: number): string {
  if (us < 1) return "at once";
  if (us < 1000) return `${us} µs`;
  if (us < 1_000_000) return `${(us / 1000).toFixed(us < 10_000 ? 1 : 0)} ms`;
  return `${(us / 1_000_000).toFixed(1)} s`;
}

/** The same of a message that answers another. */
export function afterText(us: number): string {
  return us < 1 ? spanText(us) : `after ${spanText(us)}`;
}

const WORDS: Record<string, string> = {
  "register": "Register",
  "update": "Update",
  "deregister": "De-register",
  "send": "Send",
  "notify": "Notify",
  "read": "Read",
  "discover": "Discover",
  "write": "Write",
  "write-attributes": "Write-Attributes",
  "execute": "Execute",
  "create": "Create",
  "delete": "Delete",
  "observe": "Observe",
  "cancel-observation": "Cancel Observation",
  "read-composite": "Read-Composite",
  "write-composite": "Write-Composite",
  "observe-composite": "Observe-Composite",
  "cancel-composite": "Cancel Observation-Composite",
  "ping": "Ping",
};

/** The operation as the standard calls it. */
export function operationText(operation: string | undefined): string {
  if (operation === undefined) return "Unknown";
  return WORDS[operation] ?? operation.replace(/(^|-)[a-z]/g, (letter) => letter.toUpperCase());
}

export interface HexLine {
  at: string;
  hex: string;
  ascii: string;
}

/** Bytes in lines of sixteen, with what of them is ASCII. */
export function hexLines(hex: string): HexLine[] {
  const bytes = (hex.match(/../g) ?? []).map((pair) => parseInt(pair, 16));
  const lines: HexLine[] = [];
  for (let at = 0; at < bytes.length; at += 16) {
    const part = bytes.slice(at, at + 16);
    lines.push({
      at: at.toString(16).padStart(4, "0"),
      hex: part.map((byte) => byte.toString(16).padStart(2, "0")).join(" "),
      ascii: part.map((byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : "·")).join(""),
    });
  }
  return lines;
}
