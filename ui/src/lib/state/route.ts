// Addresses of the pages, kept in the hash so that any file server can serve them.

import { parsePath } from "../lwm2m/path";
import { SORTS, type ListQuery } from "../api/fleet";
import { ROLES, type Role } from "../api/security";

export const TABS = ["overview", "data", "composite", "observations", "queue", "history", "security", "trace", "bootstrap", "log"] as const;
export type Tab = (typeof TABS)[number];

/** Tabs that had another name once; what somebody kept of them still leads there. */
const FORMER: Record<string, Tab> = { commands: "queue", events: "log" };

export type Route =
  | { page: "overview" }
  | { page: "devices"; query: ListQuery; bulk?: string }
  | { page: "device"; endpoint: string; tab: Tab; path: string | undefined; detail?: string }
  | { page: "events" }
  | { page: "access" }
  | { page: "bootstrap"; endpoint?: string; template?: string }
  | { page: "security"; endpoint?: string; claim?: Claim }
  | { page: "models"; object?: number; version?: string; from?: string; upload?: boolean }
  | { page: "unknown" };

/** What somebody said to be, for a credential that is yet to be made. */
export interface Claim {
  server: Role;
  mode: string;
  identity: string;
}

export function parseRoute(hash: string): Route {
  const [address = "", search = ""] = hash.replace(/^#?\/?/, "").split("?", 2);
  const parts = address.split("/");
  const [page, endpoint, tab = "overview", ...ids] = parts;
  if (page === "") return { page: "overview" };
  if (page === "devices" && !endpoint) return { page: "devices", query: parseList(search), ...bulkOf(search) };
  if (page === "events" && parts.length === 1) return { page: "events" };
  if (page === "models") return parseModels(parts.slice(1));
  if (page === "access" && parts.length === 1) return { page: "access" };
  if (page === "bootstrap") return parseBootstrap(parts.slice(1));
  if (page === "security") return parseSecurity(parts.slice(1));
  if (page !== "devices" || !endpoint) return { page: "unknown" };
  const name = decode(endpoint);
  if (name === undefined) return { page: "unknown" };
  const known = TABS.find((candidate) => candidate === tab) ?? FORMER[tab];
  if (!known) return { page: "unknown" };
  if (known !== "data") return { page: "device", endpoint: name, tab: known, path: undefined, ...detailOf(ids) };
  const path = ids.length > 0 && parsePath(ids.join("/")) ? `/${ids.join("/")}` : undefined;
  return { page: "device", endpoint: name, tab: known, path };
}

function parseList(search: string): ListQuery {
  const asked = new URLSearchParams(search);
  const columns = (asked.get("columns") ?? "").split(",").filter((path) => (parsePath(path)?.length ?? 0) > 2);
  const wanted = asked.get("sort") ?? "";
  const byValue = wanted.startsWith("/") || wanted.startsWith("-/");
  const path = byValue ? parsePath(wanted.replace(/^-/, "")) : undefined;
  const sort = (path?.length ?? 0) > 2 ? wanted : (SORTS.find((known) => known === wanted) ?? "name");
  return { filter: asked.get("filter") ?? "", columns: [...new Set(columns)], sort };
}

/** The operation on many devices that the list is asked to show: one by its ID, or one that is yet to begin. */
function bulkOf(search: string): { bulk?: string } {
  const bulk = new URLSearchParams(search).get("bulk") ?? "";
  return bulk === NEW_BULK || /^\d{1,15}$/.test(bulk) ? { bulk } : {};
}

/** What a tab other than the tree is asked to show, in its own words. */
function detailOf(parts: string[]): { detail?: string } {
  const detail = decode(parts.join("/"));
  return detail ? { detail } : {};
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

const VERSION = /^\d+\.\d+$/;

function parseModels([object, version, word, from, ...rest]: string[]): Route {
  if (!object) return { page: "models" };
  if (object === "add" && version === undefined) return { page: "models", upload: true };
  const id = Number(object);
  if (!/^\d+$/.test(object) || id > 65534 || rest.length > 0) return { page: "unknown" };
  if (version === undefined) return { page: "models", object: id };
  if (!VERSION.test(version)) return { page: "unknown" };
  if (word === undefined) return { page: "models", object: id, version };
  return word === "since" && VERSION.test(from ?? "") ? { page: "models", object: id, version, from: from ?? "" } : { page: "unknown" };
}

/** `from` = the version that it is compared with. */
export function modelHref(object?: number, version?: string, from?: string): string {
  const parts = ["#/models", ...(object === undefined ? [] : [object, ...(version ? [version, ...(from ? ["since", from] : [])] : [])])];
  return parts.join("/");
}

export function addModelHref(): string {
  return "#/models/add";
}

function parseSecurity([kind, encoded, server, mode, claimed, ...rest]: string[]): Route {
  if (!kind) return { page: "security" };
  const endpoint = decode(encoded ?? "");
  if (kind !== "devices" || !endpoint || rest.length > 0) return { page: "unknown" };
  if (server === undefined) return { page: "security", endpoint };
  const role = ROLES.find((known) => known === server);
  const identity = decode(claimed ?? "");
  return role && mode && identity ? { page: "security", endpoint, claim: { server: role, mode, identity } } : { page: "unknown" };
}

export function securityHref(endpoint?: string, claim?: Claim): string {
  if (endpoint === undefined) return "#/security";
  const tail = claim ? [claim.server, claim.mode, claim.identity] : [];
  return ["#/security/devices", endpoint, ...tail].map((part, i) => (i === 0 ? part : encodeURIComponent(part))).join("/");
}

export function bootstrapHref(endpoint?: string): string {
  return endpoint === undefined ? "#/bootstrap" : `#/bootstrap/devices/${encodeURIComponent(endpoint)}`;
}

export function templateHref(name: string): string {
  return `#/bootstrap/templates/${encodeURIComponent(name)}`;
}

export function overviewHref(): string {
  return "#/";
}

export const NEW_BULK = "new";

/** The list, of all devices or of those that a query chooses; above it an operation on many, by its ID or `NEW_BULK`. */
export function devicesHref(query: Partial<ListQuery> = {}, bulk?: string): string {
  const asked = new URLSearchParams();
  if (query.filter) asked.set("filter", query.filter);
  if (query.columns?.length) asked.set("columns", query.columns.join(","));
  if (query.sort && query.sort !== "name") asked.set("sort", query.sort);
  if (bulk !== undefined) asked.set("bulk", bulk);
  const search = asked.toString();
  return search === "" ? "#/devices" : `#/devices?${search}`;
}

export function accessHref(): string {
  return "#/access";
}

export function eventsHref(): string {
  return "#/events";
}

/** `at` = the path that the tree shows, or what another tab is asked for. */
export function deviceHref(endpoint: string, tab: Tab = "overview", at?: string): string {
  const base = `#/devices/${encodeURIComponent(endpoint)}`;
  if (at && at !== "/") return `${base}/${tab}${tab === "data" ? at : `/${encodeURIComponent(at)}`}`;
  return tab === "overview" ? base : `${base}/${tab}`;
}
