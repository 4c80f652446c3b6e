// Bootstrap documents between a form, JSON and the API; sessions in words.

import type { Account, BootstrapDocument, SessionResult } from "../api/bootstrap";
import type { StateText } from "./commands";

/** A document to begin with: one server, the one that shows this page. */
export function newDocument(host: string): BootstrapDocument {
  return { servers: [newAccount([], host)] };
}

export function newAccount(others: Account[], host: string): Account {
  const taken = new Set(others.map((account) => account.short_server_id));
  let id = 1;
  while (taken.has(id)) id += 1;
  return { short_server_id: id, uri: `coap://${host.includes(":") ? `[${host}]` : host}:5683`, mode: "nosec", lifetime_s: 86_400, binding: "U" };
}

/** As people edit it: without what only the server says. */
export function documentText(document: BootstrapDocument): string {
  const { from: _, ...rest } = document;
  return JSON.stringify(rest, null, 2);
}

export function parseDocument(text: string): { document: BootstrapDocument } | { error: string } {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== "object" || value === null || Array.isArray(value)) return { error: "A document is a JSON object." };
    return { document: value as BootstrapDocument };
  } catch (error) {
    return { error: error instanceof Error ? error.message : String(error) };
  }
}

/** Keeps of an account what its mode uses, so that nothing of another mode is written by accident. */
export function withMode(account: Account, mode: Account["mode"]): Account {
  const { identity, key_hex, public_key_pem, certificate_pem, secret_key_pem, server_key_pem, key_set, ...rest } = account;
  const port = mode === "nosec" ? 5683 : 5684;
  const uri = rest.uri.replace(/^coaps?:/, mode === "nosec" ? "coap:" : "coaps:").replace(/:568[34]$/, `:${port}`);
  if (mode === account.mode) return account;
  return { ...rest, mode, uri };
}

/** What is wrong with a server before anyone is asked. */
export function accountError(account: Account): string | undefined {
  if (!Number.isInteger(account.short_server_id) || account.short_server_id < 1 || account.short_server_id > 65_534) {
    return "The short server ID is a number from 1 to 65534.";
  }
  if (!/^coaps?:\/\/[^/]+/.test(account.uri)) return "The address is a URI such as coaps://lwm2m.example:5684.";
  if (account.mode !== "nosec" && account.uri.startsWith("coap://")) return "With keys the address begins with coaps://.";
  if (account.mode === "nosec" && account.uri.startsWith("coaps://")) return "Without keys the address begins with coap://.";
  if (account.mode === "psk") {
    if (!account.identity) return "A pre-shared key needs an identity.";
    const key = account.key_hex ?? "";
    if (key === "" && !account.key_set) return "The key is missing.";
    if (!/^([0-9a-f]{2})*$/i.test(key) || key.length > 128) return "The key is 1 to 64 bytes in hex.";
  }
  return undefined;
}

/** 16 random bytes, as hex. */
export function newKey(fill: (bytes: Uint8Array<ArrayBuffer>) => void = (bytes) => crypto.getRandomValues(bytes)): string {
  const bytes = new Uint8Array(16);
  fill(bytes);
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

const RESULTS: Record<SessionResult, StateText> = {
  running: { tone: "accent", text: "under way" },
  finished: { tone: "good", text: "finished" },
  refused: { tone: "bad", text: "refused by the device" },
  lost: { tone: "bad", text: "device lost" },
  displaced: { tone: "", text: "begun anew" },
  failed: { tone: "bad", text: "not done" },
};

export function resultText(result: string): StateText {
  return RESULTS[result as SessionResult] ?? { tone: "", text: result };
}

/** `template:NAME` and `document` in words. */
export function sourceText(from: string | undefined): string {
  if (from === undefined) return "nothing";
  if (from === "document") return "its own document";
  return from.startsWith("template:") ? `the template ${from.slice("template:".length)}` : from;
}

/** `bootstrap-write` is `Write`. */
export function stepText(operation: string): string {
  const text = operation.replace(/^bootstrap-/, "");
  return text.charAt(0).toUpperCase() + text.slice(1);
}
