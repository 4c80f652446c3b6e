// Values: how they are shown, and how what a person types becomes JSON.

import type { Scalar, ValueType } from "../api/types";
import { base64ToBytes, bytesToBase64, bytesToHex, hexToBytes } from "./bytes";
import { rangeError, type Range } from "./ranges";

/**
 * Control characters, halves of letters, ends of lines, letters that cannot be seen and those that turn the direction of what
 * follows, by what Unicode says of them. Without such a property: the annotations (U+FFF9 …), the empty braille pattern and the note
 * without a head, of which nothing is drawn either.
 */
const DECEPTIVE = /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\p{Bidi_Control}\ufff9-\ufffb\u2800\u{1d159}]/gu;

/** What ASCII calls its control characters; pictures of them are in few fonts. */
const CONTROLS = "NUL SOH STX ETX EOT ENQ ACK BEL BS TAB LF VT FF CR SO SI DLE DC1 DC2 DC3 DC4 NAK SYN ETB CAN EM SUB ESC FS GS RS US".split(" ");

/** The same made visible, so that a device's text cannot disguise itself. */
export function printable(text: string): string {
  return text.replace(DECEPTIVE, (char) => {
    const code = char.codePointAt(0) ?? 0;
    const name = code === 0x7f ? "DEL" : CONTROLS[code];
    return `\u27e8${name ?? `U+${code.toString(16).toUpperCase().padStart(4, "0")}`}\u27e9`;
  });
}

function formatNumber(value: number): string {
  if (Number.isInteger(value)) return String(value);
  // Devices report 32-bit floats: seven digits are what is meant, the rest is noise of the conversion.
  return String(Number(value.toPrecision(7)));
}

function formatOpaque(base64: string, bytesMax: number): string {
  const bytes = base64ToBytes(base64);
  if (!bytes) return printable(base64);
  if (bytes.length === 0) return "(empty)";
  const hex = bytesToHex(bytes.subarray(0, bytesMax));
  return bytes.length > bytesMax ? `${hex} … (${bytes.length} bytes)` : hex;
}

/** Local date and time to the second, sortable. */
export function formatDateTime(ms: number): string {
  const date = new Date(ms);
  if (Number.isNaN(date.getTime())) return "not a date";
  const two = (n: number): string => String(n).padStart(2, "0");
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

/** Letters of a text in one line. */
const TEXT_MAX = 300;

function formatText(text: string): string {
  if (text === "") return "(empty)";
  if (text.length <= TEXT_MAX) return printable(text);
  return `${printable(text.slice(0, TEXT_MAX))} … (${text.length.toLocaleString("en")} letters)`;
}

/** A moment for a title: as it is here, and without a doubt. */
export function exactTime(ms: number): string {
  const local = formatDateTime(ms);
  return Number.isFinite(ms) && Math.abs(ms) < 8.64e15 ? `${local} here, ${new Date(ms).toISOString()}` : local;
}

/** A value as one line of text; a long one is cut. */
export function formatValue(value: Scalar | undefined, type?: ValueType, opaqueBytesMax = 8): string {
  if (value === undefined || value === null) return "–";
  if (typeof value === "boolean") return value ? "true" : "false";
  if (type === "time") return formatDateTime(Number(value) * 1000);
  if (type === "opaque" && typeof value === "string") return formatOpaque(value, opaqueBytesMax);
  if (typeof value === "number") return formatNumber(value);
  return formatText(value);
}

/** A number to draw, or undefined when this value is none. */
export function numeric(value: Scalar | undefined, type?: ValueType): number | undefined {
  if (typeof value === "boolean") return value ? 1 : 0;
  if (typeof value === "number") return Number.isFinite(value) ? value : undefined;
  if (typeof value === "string" && (type === "integer" || type === "unsigned")) return Number(value);
  return undefined;
}

/** What a form starts with for a value. Opaque values start as hex. */
export function toField(value: Scalar | undefined, type: ValueType): string {
  if (value === undefined || value === null) return type === "boolean" ? "false" : "";
  if (type === "opaque") return bytesToHex(base64ToBytes(String(value)) ?? new Uint8Array());
  if (type === "time") return toLocalInput(Number(value));
  return String(value);
}

/** Seconds since 1970 as `<input type=datetime-local step=1>` wants it, in the viewer's zone. */
export function toLocalInput(seconds: number): string {
  return formatDateTime(seconds * 1000).replace(" ", "T");
}

export type Parsed = { value: Scalar } | { error: string };

const INTEGER_LIMITS: Record<"integer" | "unsigned", [bigint, bigint]> = {
  integer: [-(2n ** 63n), 2n ** 63n - 1n],
  unsigned: [0n, 2n ** 64n - 1n],
};

function parseInteger(text: string, type: "integer" | "unsigned"): Parsed {
  if (!/^[-+]?\d+$/.test(text)) return { error: "Must be a whole number." };
  const big = BigInt(text.replace(/^\+/, ""));
  const [least, most] = INTEGER_LIMITS[type];
  if (big < least || big > most) return { error: "Does not fit in 64 bits." };
  const small = Number(big);
  // The API's rule: what a JSON number cannot hold exactly travels as a string.
  return { value: Number.isSafeInteger(small) ? small : big.toString() };
}

/** What was typed, as the JSON value that the API wants, or what is wrong with it. */
export function fromField(field: string, type: ValueType, range?: Range): Parsed {
  const parsed = parseField(field, type);
  if ("error" in parsed || !range) return parsed;
  const error = rangeError(parsed.value, type, range);
  return error === undefined ? parsed : { error };
}

function parseField(field: string, type: ValueType): Parsed {
  const text = field.trim();
  switch (type) {
    case "boolean":
      return text === "true" || text === "false" ? { value: text === "true" } : { error: "Must be true or false." };
    case "integer":
    case "unsigned":
      return parseInteger(text, type);
    case "float": {
      const value = Number(text);
      return text === "" || !Number.isFinite(value) ? { error: "Must be a number." } : { value };
    }
    case "time": {
      const value = /^-?\d+$/.test(text) ? Number(text) : Math.floor(new Date(text).getTime() / 1000);
      return text === "" || !Number.isFinite(value) ? { error: "Must be a date and time." } : { value };
    }
    case "opaque": {
      const bytes = hexToBytes(field);
      return bytes ? { value: bytesToBase64(bytes) } : { error: "Must be pairs of hex digits, such as 0a ff." };
    }
    case "objlnk": {
      const ids = /^(\d{1,5}):(\d{1,5})$/.exec(text);
      if (!ids || Number(ids[1]) > 65535 || Number(ids[2]) > 65535) {
        return { error: "Must be object:instance, such as 3:0 (65535:65535 links nothing)." };
      }
      return { value: `${Number(ids[1])}:${Number(ids[2])}` };
    }
    default:
      return { value: field };
  }
}

/** What a form has typed in it beyond what was sent from it: an answer that comes late must take nothing of that away. */
export function typedSince<K extends string | number>(now: Record<K, string>, sent: Record<K, string>): Record<K, string> {
  return Object.fromEntries(Object.entries(now).filter(([name, text]) => sent[name as K] !== text)) as Record<K, string>;
}
