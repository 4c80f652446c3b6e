// Credentials between a form and the API; handshakes in words.

import type { Account, Mode } from "../api/bootstrap";
import type { Credential, Handshake, Role } from "../api/security";
import { shellQuote } from "../api/curl";
import type { StateText } from "./commands";

export const MODE_TEXTS: Record<Mode, string> = {
  psk: "Pre-shared key",
  rpk: "Raw public key",
  x509: "Certificate",
  nosec: "None (plain CoAP)",
};

export const ROLE_TEXTS: Record<Role, string> = { lwm2m: "LwM2M Server", bootstrap: "Bootstrap-Server" };

/** What a certificate must show. */
export const PROOFS = ["endpoint", "name", "certificate"] as const;
export type Proof = (typeof PROOFS)[number];

/** A credential as people edit it. Secrets live here only until they are kept. */
export interface Draft {
  mode: Mode;
  identity: string;
  /** The identity is written in hex. */
  hex: boolean;
  key: string;
  /** PEM, or the SHA-256 of the key in hex. */
  publicKey: string;
  proof: Proof;
  name: string;
  /** PEM, or the SHA-256 of the certificate in hex. */
  certificate: string;
}

export function draftOf(endpoint: string, kept: Credential | undefined): Draft {
  const exact = kept?.certificate_sha256 !== undefined;
  return {
    mode: kept?.mode ?? "psk",
    identity: kept?.identity ?? kept?.identity_hex ?? (kept ? "" : endpoint),
    hex: kept?.identity_hex !== undefined,
    key: "",
    publicKey: kept?.public_key_sha256 ?? "",
    proof: exact ? "certificate" : kept?.name !== undefined ? "name" : "endpoint",
    name: kept?.name ?? "",
    certificate: kept?.certificate_sha256 ?? "",
  };
}

const IDENTITY_BYTES_MAX = 128;
const KEY_BYTES_MAX = 64;
/** Shorter keys can be guessed. */
const KEY_BYTES_SAFE = 16;

const isHex = (text: string): boolean => /^([0-9a-f]{2})+$/i.test(text);
const isDigest = (text: string): boolean => /^[0-9a-f]{64}$/i.test(text);

/** The key stays when none is given, for the same kind of credential. */
export const keepsKey = (draft: Draft, kept: Credential | undefined): boolean => draft.mode === "psk" && kept?.mode === "psk" && kept.key_set === true;

/** What is wrong before anyone is asked. */
export function draftError(draft: Draft, kept: Credential | undefined): string | undefined {
  if (draft.mode === "psk") {
    if (draft.identity === "") return "The identity is missing.";
    if (draft.hex && !isHex(draft.identity)) return "The identity is no hex: two digits for each byte.";
    const length = draft.hex ? draft.identity.length / 2 : new TextEncoder().encode(draft.identity).length;
    if (length > IDENTITY_BYTES_MAX) return `The identity has ${length} bytes; ${IDENTITY_BYTES_MAX} are allowed.`;
    if (draft.key === "") return keepsKey(draft, kept) ? undefined : "The key is missing.";
    if (!isHex(draft.key)) return "The key is no hex: two digits for each byte.";
    return draft.key.length / 2 > KEY_BYTES_MAX ? `The key has ${draft.key.length / 2} bytes; ${KEY_BYTES_MAX} are allowed.` : undefined;
  }
  if (draft.mode === "rpk" && !isDigest(draft.publicKey.trim()) && !/-----BEGIN PUBLIC KEY-----/.test(draft.publicKey)) {
    return "The public key is a PEM block (BEGIN PUBLIC KEY), or its SHA-256 in hex.";
  }
  if (draft.mode !== "x509") return undefined;
  if (draft.proof === "name" && draft.name === "") return "The name is missing.";
  if (draft.proof === "certificate" && !isDigest(draft.certificate.trim()) && !/-----BEGIN CERTIFICATE-----/.test(draft.certificate)) {
    return "The certificate is a PEM block (BEGIN CERTIFICATE), or its SHA-256 in hex.";
  }
  return undefined;
}

/** What is allowed and not wise. */
export function draftWarning(draft: Draft): string | undefined {
  if (draft.mode === "nosec") return "Anybody who can reach the server can then speak in this device's name.";
  if (draft.mode === "psk" && draft.key !== "" && isHex(draft.key) && draft.key.length / 2 < KEY_BYTES_SAFE) {
    return `A key of ${draft.key.length / 2} bytes can be guessed; ${KEY_BYTES_SAFE} random bytes cannot.`;
  }
  return undefined;
}

export function bodyOf(draft: Draft): Credential {
  switch (draft.mode) {
    case "psk": {
      const body: Credential = { mode: "psk", [draft.hex ? "identity_hex" : "identity"]: draft.identity };
      if (draft.key === "") body.key_set = true;
      else body.key_hex = draft.key;
      return body;
    }
    case "rpk":
      return { mode: "rpk", ...digestOr(draft.publicKey, "public_key_sha256", "public_key_pem") };
    case "x509":
      if (draft.proof === "name") return { mode: "x509", name: draft.name };
      if (draft.proof === "endpoint") return { mode: "x509" };
      return { mode: "x509", ...digestOr(draft.certificate, "certificate_sha256", "certificate_pem") };
    case "nosec":
      return { mode: "nosec" };
  }
}

function digestOr(text: string, digest: keyof Credential, pem: keyof Credential): Partial<Credential> {
  return isDigest(text.trim()) ? { [digest]: text.trim().toLowerCase() } : { [pem]: text.trim() };
}

/**
 * The credential by which the server lets in what an account of a bootstrap document gives to the device; undefined where none or several
 * of its accounts bring a new key.
 */
export function credentialOf(servers: Account[]): Credential | undefined {
  const all = servers.flatMap((account): Credential[] => {
    const { mode, identity, key_hex, public_key_pem } = account;
    if (mode === "psk" && identity && key_hex) return [{ mode, identity, key_hex }];
    return mode === "rpk" && public_key_pem ? [{ mode, public_key_pem }] : [];
  });
  return all.length === 1 ? all[0] : undefined;
}

/** How a credential is told apart from others, in one line. */
export function credentialText(credential: Credential): string {
  switch (credential.mode) {
    case "psk":
      return credential.identity ?? (credential.identity_hex ? `hex ${credential.identity_hex}` : "");
    case "rpk":
      return `SHA-256 ${shortDigest(credential.public_key_sha256)}`;
    case "x509":
      if (credential.certificate_sha256) return `exactly SHA-256 ${shortDigest(credential.certificate_sha256)}`;
      return credential.name ?? "its endpoint name";
    case "nosec":
      return "it may come without security";
  }
}

export function shortDigest(digest: string | undefined): string {
  return digest && digest.length > 20 ? `${digest.slice(0, 8)}…${digest.slice(-8)}` : (digest ?? "");
}

export function handshakeText(item: Handshake): StateText {
  if (item.result === "failed") return { tone: "bad", text: "failed" };
  if (item.result === "closed") return { tone: "", text: "ended" };
  return item.resumed ? { tone: "good", text: "resumed" } : { tone: "good", text: "full handshake" };
}

/** What a failed handshake claimed to be, as the draft of a credential; undefined where nothing can be made of it. */
export function claimed(item: Handshake): Partial<Draft> | undefined {
  const { identity, mode } = item;
  if (item.result !== "failed" || identity === undefined || identity === "") return undefined;
  const digest = /\b[0-9a-f]{64}\b/i.exec(identity)?.[0];
  if (mode === "rpk") return digest ? { mode, publicKey: digest } : undefined;
  if (mode === "x509" && BAD_CERTIFICATE.test(item.reason ?? "")) return undefined;
  if (mode === "x509") return { mode, proof: "name", name: identity };
  // What was no text is shown escaped, and what it was cannot be told from that.
  return mode === "psk" && !identity.includes("\\") ? { mode, identity } : undefined;
}

/** Reasons that lie in a certificate itself: the device needs another one, whatever is kept here. */
const BAD_CERTIFICATE =
  /\bexpired on \d|\bis not valid before \d|\bwere never valid\b|\bcertificate cannot be read|\bnot of version 3|\bnot one of P-256|\bunsupported algorithm|\bsignature of a certificate is wrong|\bmust not be used for this/;

/** The endpoint name that suggests itself for a claim. */
export function claimant(item: Handshake): string {
  return item.endpoint ?? (item.mode === "rpk" ? `device-${shortDigest(item.identity).slice(0, 8)}` : (item.identity ?? ""));
}

/** A device with that key, as a line for a shell. What a stranger claimed to be stands in quotes, and is no flag. */
export function deviceLine(role: Role, host: string, endpoint: string, identity: string, keyHex: string): string {
  const server = role === "lwm2m" ? ["--server", `coaps://${host}`] : ["--bootstrap", `coaps://${host}:5784`];
  const parts = ["lightship", "device", `--endpoint=${endpoint}`, ...server, `--psk-identity=${identity}`, "--psk-key", keyHex];
  return parts.map(shellQuote).join(" ");
}
