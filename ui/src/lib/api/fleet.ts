// The fleet as a whole: shapes and calls.

import type { Call } from "./client";
import type { Registration, Scalar, ValueType } from "./types";

export interface KnownValue {
  path: string;
  type?: ValueType;
  value: Scalar;
  time: string;
  source: "notify" | "send" | "read" | "write";
}

/** A device in the list, with the columns that were asked for. */
export interface Listed extends Registration {
  values?: Record<string, KnownValue>;
}

export interface ListPage {
  items: Listed[];
  next?: string | null;
  total?: number | null;
}

export interface Fleet {
  as_of: string;
  registered: number;
  awake: number;
  asleep: number;
  late: number;
  lost: number;
  lost_devices: { endpoint: string; since: string }[];
  lwm2m: Record<string, number>;
  security: Record<string, number>;
  bindings: Record<string, number>;
  firmware: { value: string; count: number }[];
  models: { manufacturer: string; model: string; count: number }[];
  noisiest: { endpoint: string; messages_per_minute: number }[];
  unknown: { endpoint?: string; address: string; reason: string; count: number; last: string }[];
}

export interface Rates {
  step_s: number;
  from: string;
  series: Record<string, (number | null)[]>;
  failures: Record<string, (number | null)[]>;
}

export interface BulkOrder {
  filter: string;
  endpoints?: string[];
  operation: string;
  path: string;
  content?: unknown;
  not_after?: string;
}

export interface BulkPreview {
  matches: number;
  sample: string[];
}

export interface Bulk {
  id: string;
  order: BulkOrder;
  created_at: string;
  ended_at?: string;
  state: "running" | "done" | "cancelled";
  matches: number;
  made: number;
  counts: Record<string, number>;
  failures: Record<string, number>;
}

/** What a list shows; it is kept in the address of the page. */
export interface ListQuery {
  filter: string;
  /** Resources whose last known values are columns. */
  columns: string[];
  sort: string;
}

export const SORTS = ["name", "updated", "-updated", "registered", "-registered"] as const;

export const fleetCalls = {
  fleet: (): Call => ({ method: "GET", path: "/fleet" }),
  rates: (minutes: number): Call => ({ method: "GET", path: "/fleet/rates", query: { minutes: String(minutes) } }),
  list: (query: ListQuery, more: Record<string, string | undefined> = {}): Call => ({
    method: "GET",
    path: "/endpoints",
    query: { filter: query.filter, columns: query.columns.join(","), sort: query.sort === "name" ? undefined : query.sort, ...more },
  }),
  preview: (body: BulkOrder): Call => ({ method: "POST", path: "/bulk", query: { dry_run: "true" }, body }),
  startBulk: (body: BulkOrder): Call => ({ method: "POST", path: "/bulk", body }),
  bulks: (): Call => ({ method: "GET", path: "/bulk" }),
  bulk: (id: string): Call => ({ method: "GET", path: `/bulk/${encodeURIComponent(id)}` }),
  cancelBulk: (id: string): Call => ({ method: "DELETE", path: `/bulk/${encodeURIComponent(id)}` }),
};

/** What follows `lightship ctl` for the same list. */
export function listArgs(query: ListQuery): string[] {
  const args = ["endpoints"];
  if (query.filter) args.push("--filter", query.filter);
  if (query.columns.length > 0) args.push("--columns", query.columns.join(","));
  if (query.sort !== "name") args.push("--sort", query.sort);
  return args;
}

/** What follows `lightship ctl` for the same bulk operation. */
export function bulkArgs(order: BulkOrder): string[] {
  const args = ["bulk", "start", order.operation, order.path];
  if (order.endpoints?.length) for (const endpoint of order.endpoints) args.push("--endpoint", endpoint);
  else args.push("--filter", order.filter);
  if (order.content !== undefined) args.push("--content", JSON.stringify(order.content));
  if (order.not_after) args.push("--not-after", order.not_after);
  return args;
}
