// What a request needs of its caller, as the server's table says it; the server has the last word.

import type { Call } from "./client";

export const CALLER_ROLES = ["viewer", "operator", "admin"] as const;
export type CallerRole = (typeof CALLER_ROLES)[number];

/** Who the server says that we are. */
export interface Caller {
  name: string;
  role: CallerRole;
  token_id?: string;
  expires_at?: string;
}

/** Whether a role may what another one may. */
export function covers(role: CallerRole, needed: CallerRole): boolean {
  return CALLER_ROLES.indexOf(role) >= CALLER_ROLES.indexOf(needed);
}

/** Below these only an admin changes anything. */
const OF_ADMINS = ["/credentials", "/bootstrap", "/bootstrap-credentials", "/bootstrap-templates", "/models", "/tokens"];
/** POST that only asks. */
const ASKING = [/\/composite\/read$/, /^\/certificates\/explain$/];

export function neededRole(call: Pick<Call, "method" | "path" | "query">): CallerRole {
  const { method, path, query } = call;
  if (path === "/tokens" || path === "/audit") return "admin";
  // How many devices it would be asked of: that changes nothing.
  if (path === "/bulk" && query?.dry_run === "true") return "viewer";
  if (query?.queue === "true") return "operator";
  if (method === "GET" || (method === "POST" && ASKING.some((pattern) => pattern.test(path)))) return "viewer";
  return OF_ADMINS.some((root) => path === root || path.startsWith(`${root}/`)) ? "admin" : "operator";
}
