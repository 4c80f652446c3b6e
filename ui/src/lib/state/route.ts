// Addresses of the pages, kept in the hash so that any file server can serve them.

import { parsePath } from "../lwm2m/path";

export const TABS = ["data", "composite", "observations", "commands", "events"] as const;
export type Tab = (typeof TABS)[number];

export type Route =
  | { page: "devices" }
  | { page: "device"; endpoint: string; tab: Tab; path: string | undefined }
  | { page: "events" }
  | { page: "bootstrap"; endpoint?: string; template?: string }
  | { page: "unknown" };

export function parseRoute(hash: string): Route {
  const parts = hash.replace(/^#?\/?/, "").split("/");
  const [page, endpoint, tab = "data", ...ids] = parts;
  if (page === "" || (page === "devices" && !endpoint)) return { page: "devices" };
  if (page === "events" && parts.length === 1) return { page: "events" };
  if (page === "bootstrap") return parseBootstrap(parts.slice(1));
  if (page !== "devices" || !endpoint) return { page: "unknown" };
  const name = decode(endpoint);
  if (name === undefined) return { page: "unknown" };
  const known = TABS.find((candidate) => candidate === tab);
  if (!known) return { page: "unknown" };
  const path = ids.length > 0 && parsePath(ids.join("/")) ? `/${ids.join("/")}` : undefined;
  return { page: "device", endpoint: name, tab: known, path };
}

function decode(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}

function parseBootstrap([kind, encoded, ...rest]: string[]): Route {
  if (!kind) return { page: "bootstrap" };
  const name = decode(encoded ?? "");
  if (!name || rest.length > 0) return { page: "unknown" };
  if (kind === "devices") return { page: "bootstrap", endpoint: name };
  return kind === "templates" ? { page: "bootstrap", template: name } : { page: "unknown" };
}

export function bootstrapHref(endpoint?: string): string {
  return endpoint === undefined ? "#/bootstrap" : `#/bootstrap/devices/${encodeURIComponent(endpoint)}`;
}

export function templateHref(name: string): string {
  return `#/bootstrap/templates/${encodeURIComponent(name)}`;
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
