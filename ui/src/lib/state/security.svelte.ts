// How devices may prove who they are, and how that went.

import type { Call } from "../api/client";
import type { Credential, Explanation, Handshake, Role, SecurityOverview } from "../api/security";
import type { Page } from "../api/types";
import { at, find } from "./attempt";
import { session } from "./session.svelte";

// At the plain word `import` tables are taken.
const ofServer = (endpoint: string): string => (endpoint === "import" ? "/credentials/%69mport" : at("credentials", endpoint));
const path = (role: Role, endpoint: string): string =>
  role === "lwm2m" ? ofServer(endpoint) : at("bootstrap", endpoint, "credential");

/** The calls, so that the page and its lines for the shell say the same. */
export const securityCalls = {
  overview: (): Call => ({ method: "GET", path: "/security" }),
  failures: (): Call => ({ method: "GET", path: "/security/failures" }),
  list: (role: Role, filter: string, cursor?: string): Call => {
    const query = { filter, limit: "100", cursor };
    return { method: "GET", path: role === "lwm2m" ? "/credentials" : "/bootstrap-credentials", query };
  },
  get: (role: Role, endpoint: string): Call => ({ method: "GET", path: path(role, endpoint) }),
  put: (role: Role, endpoint: string, body: Credential): Call => ({ method: "PUT", path: path(role, endpoint), body }),
  import: (role: Role, text: string, file: string, dryRun: boolean): Call => {
    const query = { dry_run: dryRun ? "true" : undefined };
    return { method: "POST", path: `${role === "lwm2m" ? "/credentials" : "/bootstrap-credentials"}/import`, query, csv: { text, file } };
  },
  explain: (bytes: BlobPart, file: string, endpoint?: string): Call => {
    return { method: "POST", path: "/certificates/explain", query: { endpoint }, bytes: { bytes, file } };
  },
  certificate: (endpoint: string): Call => ({ method: "GET", path: at("endpoints", endpoint, "certificate") }),
  remove: (role: Role, endpoint: string): Call => ({ method: "DELETE", path: path(role, endpoint) }),
  handshakes: (endpoint: string): Call => ({ method: "GET", path: at("endpoints", endpoint, "handshakes") }),
};

export const security = {
  overview: () => find<SecurityOverview>(securityCalls.overview()),
  failures: async () => (await find<{ items: Handshake[] }>(securityCalls.failures()))?.items ?? [],
  handshakes: async (endpoint: string) => (await find<{ items: Handshake[] }>(securityCalls.handshakes(endpoint)))?.items ?? [],
  list: (role: Role, filter: string, cursor?: string) => session.client.call<Page<Credential>>(securityCalls.list(role, filter, cursor)),
  certificate: (endpoint: string) => find<Explanation>(securityCalls.certificate(endpoint)),
  credential: (role: Role, endpoint: string) => find<Credential>(securityCalls.get(role, endpoint)),
};

/** Events that change what is shown about sessions and handshakes. */
export function concernsSecurity(type: string): boolean {
  return type.startsWith("session_") || type === "handshake_failed" || type === "bootstrap_started";
}

/** What follows `lightship ctl` for one credential. */
export function credentialArgs(role: Role, endpoint: string): string[] {
  return ["credentials", "get", endpoint, ...(role === "bootstrap" ? ["--bootstrap"] : [])];
}

/** What follows `lightship ctl` to take one away. */
export function credentialDelete(role: Role, endpoint: string): string[] {
  return ["credentials", "delete", endpoint, ...(role === "bootstrap" ? ["--bootstrap"] : [])];
}

/** What follows `lightship ctl` to keep one; what is long or a key is in a file, and what no flag says comes as JSON. */
export function credentialPut(role: Role, endpoint: string, body: Credential): { ctl: string[]; input?: unknown } {
  const head = ["credentials", "put", endpoint];
  const tail = role === "bootstrap" ? ["--bootstrap"] : [];
  const by = (...flags: string[]): { ctl: string[] } => ({ ctl: [...head, ...flags, ...tail] });
  if (body.mode === "nosec") return by("--nosec");
  if (body.mode === "psk" && body.identity !== undefined && body.key_hex !== undefined) return by("--psk-identity", body.identity, "--psk-key-file", "key.hex");
  if (body.public_key_pem !== undefined) return by("--rpk", "device.pub.pem");
  if (body.certificate_pem !== undefined) return by("--certificate", "device.pem");
  if (body.mode === "x509" && body.name !== undefined) return by("--name", body.name);
  if (body.mode === "x509" && body.certificate_sha256 === undefined) return by("--x509");
  return { ctl: [...head, "-", ...tail], input: body };
}

/** What follows `lightship ctl` to see what a file means. */
export function explainArgs(file: string, endpoint?: string): string[] {
  return ["certificate", "explain", file, ...(endpoint ? ["--endpoint", endpoint] : [])];
}

/** What follows `lightship ctl` for a table of credentials. */
export function importArgs(role: Role, file: string): string[] {
  return ["credentials", "import", file, ...(role === "bootstrap" ? ["--bootstrap"] : [])];
}
