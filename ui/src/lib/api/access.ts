// Tokens, and who did what: shapes and calls of the REST API.

import type { Call } from "./client";
import type { CallerRole } from "./roles";

export interface Token {
  id: string;
  name: string;
  role: CallerRole;
  created_at: string;
  created_by: string;
  expires_at?: string;
  expired: boolean;
  last_used_at?: string;
}

export interface MadeToken extends Token {
  /** Shown this once. */
  secret: string;
}

export interface AuditEntry {
  id: string;
  time: string;
  actor: string;
  role: CallerRole;
  token_id?: string;
  from?: string;
  action: string;
  endpoint?: string;
  path?: string;
  method: string;
  target: string;
  status?: number;
  code?: string;
  detail?: string;
}

export interface AuditFilter {
  actor: string;
  endpoint: string;
  from: string;
}

export const accessCalls = {
  tokens: (): Call => ({ method: "GET", path: "/tokens" }),
  make: (name: string, role: CallerRole, expiresInS: number | undefined): Call => ({
    method: "POST",
    path: "/tokens",
    body: { name, role, ...(expiresInS === undefined ? {} : { expires_in_s: expiresInS }) },
  }),
  takeAway: (id: string): Call => ({ method: "DELETE", path: `/tokens/${encodeURIComponent(id)}` }),
  audit: (of: string | undefined, filter: AuditFilter, limit: number, cursor?: string): Call => {
    const query = { actor: filter.actor, from: filter.from, limit: String(limit), cursor };
    if (of !== undefined) return { method: "GET", path: `/endpoints/${encodeURIComponent(of)}/audit`, query };
    return { method: "GET", path: "/audit", query: { ...query, endpoint: filter.endpoint } };
  },
};

/** What follows `lightship ctl audit` to see the same. */
export function auditArgs(of: string | undefined, filter: AuditFilter): string[] {
  const endpoint = of ?? filter.endpoint;
  const option = (name: string, value: string): string[] => (value === "" ? [] : [name, value]);
  return ["audit", ...(endpoint === "" ? [] : [endpoint]), ...option("--actor", filter.actor), ...option("--from", filter.from)];
}

/** `writeReplace` in words. */
export function actionText(action: string): string {
  const words = action.replace(/([a-z])([A-Z])/g, "$1 $2").toLowerCase();
  return words.charAt(0).toUpperCase() + words.slice(1);
}
