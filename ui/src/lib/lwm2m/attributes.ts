// Notification attributes a server can write (TS_Core 7.3).

export interface AttributeInfo {
  name: string;
  label: string;
  unit?: string;
  kind: "count" | "number" | "flag";
  /** Only where a number is reported. */
  numeric?: boolean;
  since: "1.0" | "1.1" | "1.2";
}

export const ATTRIBUTES: AttributeInfo[] = [
  { name: "pmin", label: "Shortest time between two reports", unit: "s", kind: "count", since: "1.0" },
  { name: "pmax", label: "Longest time without a report", unit: "s", kind: "count", since: "1.0" },
  { name: "gt", label: "Report when rising above", kind: "number", numeric: true, since: "1.0" },
  { name: "lt", label: "Report when falling below", kind: "number", numeric: true, since: "1.0" },
  { name: "st", label: "Report a change of at least", kind: "number", numeric: true, since: "1.0" },
  { name: "epmin", label: "Shortest time between two measurements", unit: "s", kind: "count", since: "1.1" },
  { name: "epmax", label: "Longest time between two measurements", unit: "s", kind: "count", since: "1.1" },
  { name: "edge", label: "Report a change to (1 = true, 0 = false)", kind: "flag", since: "1.2" },
  { name: "con", label: "Ask for confirmation of each report", kind: "flag", since: "1.2" },
  { name: "hqmax", label: "Reports to keep while offline", kind: "count", since: "1.2" },
];

const NAMES = new Set(ATTRIBUTES.map((attribute) => attribute.name));

/** Those of a discovered link that a server can write, as text. */
export function writable(attributes: Record<string, unknown> | undefined): Record<string, string> {
  const found: Record<string, string> = {};
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (NAMES.has(name) && value !== null && value !== undefined) found[name] = String(value);
  }
  return found;
}

export type AttributeChange = Record<string, number | null>;

/** What Write-Attributes has to carry, or why it cannot: fields by name, empty = unset. */
export function attributeChange(
  before: Record<string, string>,
  fields: Record<string, string>,
): { change: AttributeChange } | { error: string } {
  const change: AttributeChange = {};
  const after: Record<string, number> = {};
  for (const { name, kind } of ATTRIBUTES) {
    const text = (fields[name] ?? "").trim();
    if (text === "") {
      if (before[name] !== undefined) change[name] = null;
      continue;
    }
    const value = Number(text);
    if (!Number.isFinite(value)) return { error: `${name} must be a number.` };
    if (kind !== "number" && (!Number.isInteger(value) || value < 0)) {
      return { error: `${name} must be a whole number, 0 or more.` };
    }
    if (kind === "flag" && value > 1) return { error: `${name} must be 0 or 1.` };
    after[name] = value;
    if (before[name] === undefined || Number(before[name]) !== value) change[name] = value;
  }
  const { pmin, pmax, epmin, epmax, gt, lt, st } = after;
  // 0 means "no limit" for pmax, so it may stand below pmin.
  if (pmin !== undefined && pmax !== undefined && pmax !== 0 && pmax < pmin) {
    return { error: "pmax must not be shorter than pmin." };
  }
  if (epmin !== undefined && epmax !== undefined && epmax !== 0 && epmax < epmin) {
    return { error: "epmax must not be shorter than epmin." };
  }
  if (st !== undefined && st < 0) return { error: "st must not be negative." };
  if (lt !== undefined && gt !== undefined && lt + 2 * (st ?? 0) >= gt) {
    return { error: "lt plus twice st must stay below gt." };
  }
  return { change };
}
