// The calls about object definitions, so that the page and its lines for the shell say the same.

import type { Call } from "../api/client";

const of = (object: number, rest = ""): string => `/models/${object}${rest}`;

export const catalogue = {
  list: (text: string): Call => ({ method: "GET", path: "/models", query: { q: text } }),
  show: (object: number, version?: string): Call => ({ method: "GET", path: of(object), query: { version } }),
  diff: (object: number, from: string, to: string): Call => ({ method: "GET", path: of(object, "/diff"), query: { from, to } }),
  devices: (object: number, version?: string, cursor?: string): Call => ({
    method: "GET",
    path: of(object, "/devices"),
    query: { version, cursor, limit: "50" },
  }),
  check: (text: string, file: string): Call => ({ method: "POST", path: "/models", query: { dry_run: "true" }, xml: { text, file } }),
  add: (text: string, file: string): Call => ({ method: "POST", path: "/models", xml: { text, file } }),
  remove: (object: number, version: string): Call => ({ method: "DELETE", path: of(object), query: { version } }),
};
