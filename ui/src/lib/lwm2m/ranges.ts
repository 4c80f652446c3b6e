// The legal values of a resource, from the registry's words for people: `0..100`, `0-255`, `0,1,2`, `0..3, 99`,
// `0..255 bytes`. Read as the server reads them; what is not understood allows everything. Some list values with what they
// mean, one a line, `1: normal`: that is a menu, and forbids nothing.

import type { Scalar, ValueType } from "../api/types";
import { base64ToBytes } from "./bytes";

export type Span = [low: number, high: number];

export interface Range {
  /** Empty = no limits, or words that say nothing a machine understands. */
  spans: Span[];
  /** What they limit. */
  of: "number" | "length";
  /** One number alone: the largest that is legal, or the length that is. */
  lone?: number;
  /** What values mean, where the words say so. */
  labels?: Record<number, string>;
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
  const labels = parseLabels(text);
  if (labels) return { ...UNLIMITED, labels };
  const spans = numbers.split(/[,;]/).map(parseSpan);
  if (spans.some((span) => span === undefined)) return UNLIMITED;
  const lone = /^-?\d+(\.\d+)?$/.test(numbers) ? { lone: Number(numbers) } : {};
  return { spans: spans.filter((span) => span !== undefined), of: numbers === text ? "number" : "length", ...lone };
}

/** `0: disabled` and so on, one a line. */
function parseLabels(text: string): Record<number, string> | undefined {
  const lines = text.split("\n").map((line) => /^\s*(-?\d+)\s*:\s*(\S.*?)\s*$/.exec(line));
  if (lines.length < 2 || lines.some((line) => line === null)) return undefined;
  return Object.fromEntries(lines.map((line) => [Number(line?.[1]), (line?.[2] ?? "").replaceAll("_", " ").toLowerCase()]));
}

/** The spans of numbers: one number alone is the largest. */
function numberSpans({ spans, lone }: Range): Span[] {
  return lone === undefined ? spans : [[Math.min(0, lone), Math.max(0, lone)]];
}

/** `0 to 100`, `0 to 3, 99`; for texts and bytes what their length may be. */
export function rangeText(range: Range, type?: ValueType): string {
  const spans = isText(type) ? range.spans : numberSpans(range);
  return spans.map(([low, high]) => (low === high ? String(low) : `${low} to ${high}`)).join(", ");
}

function isText(type: ValueType | undefined): boolean {
  return type === "string" || type === "corelnk" || type === "opaque";
}

/** What is wrong with a value, or undefined when it is legal. For texts and bytes a range means their length. */
export function rangeError(value: Scalar, type: ValueType, range: Range): string | undefined {
  if (range.spans.length === 0) return undefined;
  const spans = isText(type) ? range.spans : numberSpans(range);
  const inside = (number: number): boolean => spans.some(([low, high]) => low <= number && number <= high);
  if (isText(type)) {
    const bytes = type === "opaque" ? base64ToBytes(String(value)) : new TextEncoder().encode(String(value));
    const length = bytes?.length ?? 0;
    return inside(length) ? undefined : `Must have ${rangeText(range, type)} bytes, has ${length}.`;
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
  labels ??= range.labels;
  if (labels) return Object.entries(labels).map(([value, label]) => ({ value, label: `${value} · ${label}` }));
  if (range.spans.length === 0 || range.of === "length") return undefined;
  const values: number[] = [];
  for (const [low, high] of numberSpans(range)) {
    for (let value = Math.ceil(low); value <= high; value += 1) {
      values.push(value);
      if (values.length > MENU_MAX) return undefined;
    }
  }
  return [...new Set(values)].map((value) => ({ value: String(value), label: String(value) }));
}

/** The one span of numbers that a slider can show. */
export function sliderSpan(type: ValueType, range: Range): Span | undefined {
  const [span] = numberSpans(range);
  const isNumber = type === "integer" || type === "unsigned" || type === "float";
  if (!isNumber || range.of === "length" || range.spans.length !== 1 || !span) return undefined;
  const width = span[1] - span[0];
  return width > 0 && width <= 1000 ? span : undefined;
}
