// Addresses of the pages, kept in the hash so that any file server can serve them.

import { parsePath } from "../lwm2m/path";

export const TABS = ["data", "composite", "observations", "commands", "events"] as const;
export type Tab = (typeof TABS)[number];

export type Route =
  | { page: "devices" }
  | { page: "device"; endpoint: string; tab: Tab; path: string | undefined }
  | { page: "events" }
  | { page: "unknown" };

export function parseRoute(hash: string): Route {
  const parts = hash.replace(/^#?\/?/, "").split("/");
  const [page, endpoint, tab = "data", ...ids] = parts;
  if (page === "" || (page === "devices" && !endpoint)) return { page: "devices" };
  if (page === "events" && parts.length === 1) return { page: "events" };
  if (page !== "devices" || !endpoint) return { page: "unknown" };
  let name: string;
  try {
    name = decodeURIComponent(endpoint);
  } catch {
    return { page: "unknown" };
  }
  const known = TABS.find((candidate) => candidate === tab);
  if (!known) return { page: "unknown" };
  const path = ids.length > 0 && parsePath(ids.join("/")) ? `/${ids.join("/")}` : undefined;
  return { page: "device", endpoint: name, tab: known, path };
}

export function devicesHref(): string {
  return "#/devices";
}

export function eventsHref(): string {
  return "#/events";
}

export function deviceHref(endpoint: string, tab: Tab = "data", path?: string): string {
  const base = `#/devices/${encodeURIComponent(endpoint)}`;
  if (path && path !== "/") return `${base}/${tab}${path}`;
  return tab === "data" ? base : `${base}/${tab}`;
}
