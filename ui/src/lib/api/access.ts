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

/** What is done, by the names that the server gives to operations; what is missing here is told by that name. */
const ACTIONS: Record<string, string> = {
  writeReplace: "Write",
  writePartialUpdate: "Write a part",
  cancelObservation: "Observe no longer",
  writeComposite: "Write a set of paths",
  observeComposite: "Observe a set of paths",
  cancelComposite: "Observe a set no longer",
  readComposite: "Read a set of paths",
  forgetEndpoint: "Forget the registration",
  cancelCommand: "Cancel a command",
  retryCommand: "Queue a command again",
  moveCommand: "Move a command in the queue",
  startBulk: "Run on many devices",
  cancelBulk: "Stop what runs on many devices",
  putCredentials: "Set the credential",
  deleteCredentials: "Take the credential away",
  importCredentials: "Import credentials",
  putBootstrapCredential: "Set the credential for bootstrap",
  deleteBootstrapCredential: "Take the credential for bootstrap away",
  importBootstrapCredentials: "Import credentials for bootstrap",
  putBootstrap: "Set the bootstrap document",
  deleteBootstrap: "Take the bootstrap document away",
  putBootstrapTemplate: "Set a bootstrap template",
  deleteBootstrapTemplate: "Take a bootstrap template away",
  addModel: "Add an object definition",
  deleteModel: "Remove an object definition",
  createToken: "Create a token",
  deleteToken: "Revoke a token",
  listTokens: "List the tokens",
  listAudit: "See the audit",
};

/** What a bulk operation was, and for whom; its address says neither. */
export function bulkText(entry: Pick<AuditEntry, "action" | "detail" | "path">): string | undefined {
  return /^(start|cancel)Bulk$/.test(entry.action) && entry.path !== undefined ? entry.detail : undefined;
}

/** `writeReplace` in words. */
export function actionText(action: string): string {
  const known = ACTIONS[action];
  if (known !== undefined) return known;
  const words = action.replace(/([a-z])([A-Z])/g, "$1 $2").toLowerCase();
  return words.charAt(0).toUpperCase() + words.slice(1);
}
