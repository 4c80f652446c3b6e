// The legal values of a resource, from the registry's words for people: `0..100`, `0-255`, `0,1,2`, `0..3, 99`,
// `0..255 bytes`. Read as the server reads them; what is not understood allows everything.

import type { Scalar, ValueType } from "../api/types";
import { base64ToBytes } from "./bytes";

export type Span = [low: number, high: number];

export interface Range {
  /** Empty = no limits, or words that say nothing a machine understands. */
  spans: Span[];
  /** What they limit. */
  of: "number" | "length";
}

const NUMBER = String.raw`-?\d+(?:\.\d+)?`;
const SPAN = new RegExp(String.raw`^(${NUMBER})(?:\s*(\.{2,3}|-)\s*(${NUMBER}))?$`);
const UNLIMITED: Range = { spans: [], of: "number" };

function parseSpan(text: string): Span | undefined {
  const match = SPAN.exec(text.trim());
  if (!match) return undefined;
  const low = Number(match[1]);
  const high = match[3] === undefined ? low : Number(match[3]);
  if (low <= high) return [low, high];
  return match[2] === "-" ? undefined : [high, low];
}

export function parseRange(words: string | undefined): Range {
  const text = words?.trim() ?? "";
  if (text === "") return UNLIMITED;
  const numbers = text.replace(/\s*bytes$/i, "");
  const spans = numbers.split(/[,;]/).map(parseSpan);
  if (spans.some((span) => span === undefined)) return UNLIMITED;
  return { spans: spans.filter((span) => span !== undefined), of: numbers === text ? "number" : "length" };
}

/** `0 to 100`, `0 to 3, 99` */
export function rangeText({ spans }: Range): string {
  return spans.map(([low, high]) => (low === high ? String(low) : `${low} to ${high}`)).join(", ");
}

/** What is wrong with a value, or undefined when it is legal. For texts and bytes a range means their length. */
export function rangeError(value: Scalar, type: ValueType, range: Range): string | undefined {
  if (range.spans.length === 0) return undefined;
  const inside = (number: number): boolean => range.spans.some(([low, high]) => low <= number && number <= high);
  if (type === "string" || type === "corelnk" || type === "opaque") {
    const bytes = type === "opaque" ? base64ToBytes(String(value)) : new TextEncoder().encode(String(value));
    const length = bytes?.length ?? 0;
    return inside(length) ? undefined : `Must have ${rangeText(range)} bytes, has ${length}.`;
  }
  const number = Number(value);
  if (range.of === "length" || typeof value === "boolean" || Number.isNaN(number)) return undefined;
  return inside(number) ? undefined : `Must be ${rangeText(range)}.`;
}

const MENU_MAX = 8;

/** The values to choose from, when they are whole numbers and few enough for a menu. */
export function choices(
  type: ValueType | undefined,
  range: Range,
  labels: Record<number, string> | undefined,
): { value: string; label: string }[] | undefined {
  if (type !== "integer" && type !== "unsigned") return undefined;
  if (labels) return Object.entries(labels).map(([value, label]) => ({ value, label: `${value} · ${label}` }));
  if (range.spans.length === 0 || range.of === "length") return undefined;
  const values: number[] = [];
  for (const [low, high] of range.spans) {
    for (let value = Math.ceil(low); value <= high; value += 1) {
      values.push(value);
      if (values.length > MENU_MAX) return undefined;
    }
  }
  return values.map((value) => ({ value: String(value), label: String(value) }));
}

/** The one span of numbers that a slider can show. */
export function sliderSpan(type: ValueType, range: Range): Span | undefined {
  const [span] = range.spans;
  const isNumber = type === "integer" || type === "unsigned" || type === "float";
  if (!isNumber || range.of === "length" || range.spans.length !== 1 || !span) return undefined;
  const width = span[1] - span[0];
  return width > 0 && width <= 1000 ? span : undefined;
}
