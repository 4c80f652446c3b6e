// Notification attributes a server can write (TS_Core 7.3).

import type { ValueType } from "../api/types";
import { parent, parsePath } from "./path";

export interface AttributeInfo {
  name: string;
  label: string;
  unit?: string;
  kind: "count" | "number" | "flag";
  /** Only for a resource that reports a value of this kind. */
  only?: "number" | "boolean";
  since: "1.0" | "1.1" | "1.2";
}

export const ATTRIBUTES: AttributeInfo[] = [
  { name: "pmin", label: "Shortest time between two reports", unit: "s", kind: "count", since: "1.0" },
  { name: "pmax", label: "Longest time without a report", unit: "s", kind: "count", since: "1.0" },
  { name: "gt", label: "Report when rising above", kind: "number", only: "number", since: "1.0" },
  { name: "lt", label: "Report when falling below", kind: "number", only: "number", since: "1.0" },
  { name: "st", label: "Report a change of at least", kind: "number", only: "number", since: "1.0" },
  { name: "epmin", label: "Shortest time between two measurements", unit: "s", kind: "count", since: "1.1" },
  { name: "epmax", label: "Longest time between two measurements", unit: "s", kind: "count", since: "1.1" },
  { name: "edge", label: "Report a change to (1 = true, 0 = false)", kind: "flag", only: "boolean", since: "1.2" },
  { name: "con", label: "Ask for confirmation of each report", kind: "flag", since: "1.2" },
  { name: "hqmax", label: "Reports to keep while offline", kind: "count", since: "1.2" },
];

const NAMES = new Set(ATTRIBUTES.map((attribute) => attribute.name));

const NUMBERS = new Set(["integer", "unsigned", "float", "time"]);

/** True when an attribute can be attached to a path of this depth (1 = object) and type, if that is known. */
export function fits(info: AttributeInfo, depth: number, type: ValueType | undefined): boolean {
  if (info.only === undefined) return true;
  if (depth < 3) return false;
  if (type === undefined) return true;
  return info.only === "boolean" ? type === "boolean" : NUMBERS.has(type);
}

export interface Effective {
  name: string;
  value: string;
  /** Where it is attached: the path itself or one above it; of a default the resource of the Server object. */
  from: string;
}

/** Default Minimum and Maximum Period of the Server object (1). */
const DEFAULTS = { 2: "pmin", 3: "pmax" } as const;

/**
 * The account (instance of object 1) that the device has with this server. With several in sight nothing tells which it
 * is, so there is none then.
 */
export function accountOf(paths: Iterable<string>): string | undefined {
  const accounts = new Set<string>();
  for (const path of paths) {
    const [object, instance] = parsePath(path) ?? [];
    if (object === 1 && instance !== undefined) accounts.add(`/1/${instance}`);
  }
  const [account] = accounts;
  return accounts.size === 1 ? account : undefined;
}

/** The default periods of an account; 0 is as good as none. */
export function accountDefaults(account: string | undefined, value: (path: string) => unknown): Effective[] {
  if (account === undefined) return [];
  return Object.entries(DEFAULTS).flatMap(([resource, name]) => {
    const from = `${account}/${resource}`;
    const seconds = Number(value(from) ?? 0);
    return seconds > 0 ? [{ name, value: String(seconds), from }] : [];
  });
}

/**
 * What holds for a path, and where it comes from (TS_Core 7.3.2). A device lists at the path that it was asked about
 * also what that path inherits, so a value that stands above as well is taken as inherited from there. Where nothing is
 * attached the defaults hold.
 */
export function effective(
  path: string,
  discovered: (path: string) => Record<string, unknown> | undefined,
  defaults: Effective[] = [],
): Effective[] {
  const found = new Map<string, Effective>();
  const overridden = new Set<string>();
  for (let at = path; at !== "/"; at = parent(at)) {
    for (const [name, value] of Object.entries(writable(discovered(at)))) {
      const below = found.get(name);
      if (below !== undefined && Number(below.value) !== Number(value)) overridden.add(name);
      if (!overridden.has(name)) found.set(name, { name, value: below?.value ?? value, from: at });
    }
  }
  for (const item of defaults) if (!found.has(item.name)) found.set(item.name, item);
  return ATTRIBUTES.flatMap(({ name }) => found.get(name) ?? []);
}

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
