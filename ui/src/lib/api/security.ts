// The shapes of the security part of the REST API. Keys are written, and never come back.

import type { Mode } from "./bootstrap";

/** How a device may prove who it is. */
export interface Credential {
  endpoint?: string;
  mode: Mode;
  identity?: string;
  identity_hex?: string;
  key_hex?: string;
  /** The server keeps a key; it stays when none is written. */
  key_set?: boolean;
  public_key_pem?: string;
  public_key_sha256?: string;
  certificate_pem?: string;
  certificate_sha256?: string;
  name?: string;
  /** What the kept certificate says. */
  certificate?: Certificate;
  changed_at?: string;
  warnings?: string[];
}

/** What a file of certificates, or a bare public key, says. */
export interface Explanation {
  certificates: Certificate[];
  public_key?: PublicKey;
  trusted?: boolean;
  trust_reason?: string;
  endpoints?: string[];
  warnings: CertificateWarning[];
}

export interface CertificateWarning {
  kind: string;
  text: string;
  certificate?: number;
}

export interface PublicKey {
  kind: string;
  curve?: string;
  bits?: number;
  supported: boolean;
  spki_hex: string;
  spki_base64: string;
  sha256: string;
}

export interface Certificate {
  version: number;
  subject: string;
  issuer: string;
  serial: string;
  valid_from: string;
  valid_until: string;
  days_left: number;
  common_name?: string;
  alternative_names?: string[];
  alternative_names_left_out?: number;
  public_key: PublicKey;
  signature_algorithm: string;
  key_usage?: string[];
  extended_key_usage?: string[];
  authority: boolean;
  path_length?: number;
  self_signed: boolean;
  signed_by?: number;
  signed_by_next?: boolean;
  sha256: string;
  pem: string;
  warnings: CertificateWarning[];
}

/** What came of a table of credentials, or would. */
export interface CredentialImport {
  dry_run: boolean;
  created: number;
  replaced: number;
  refused: number;
  rows: { line: number; endpoint?: string; result: "created" | "replaced" | "refused"; column?: string; reason?: string; warnings?: string[] }[];
}

/** The servers of the house; each has credentials of its own. */
export const ROLES = ["lwm2m", "bootstrap"] as const;
export type Role = (typeof ROLES)[number];

/** One handshake, or the end of the session that came of it. */
export interface Handshake {
  time: string;
  result: "opened" | "failed" | "closed";
  server: Role;
  address: string;
  endpoint?: string;
  mode?: Mode;
  identity?: string;
  server_name?: string;
  cipher_suite?: string;
  cid?: string;
  resumed?: boolean;
  reason?: string;
  count?: number;
  last_at?: string;
}

/** The session by which a device is reached. */
export interface SecureSession {
  opened_at: string;
  age_s: number;
  resumed: boolean;
  cid?: string | null;
  rrc: boolean;
  /** The bytes that a record to the device carries at most, if it has told a limit. */
  record_size_limit?: number | null;
  server_name?: string | null;
  /** Records that came for it and were dropped, by reason. */
  dropped?: Record<string, number>;
}

/** What was dropped, behind a number. */
export const DROPPED_TEXTS: Record<string, string> = {
  bad_mac: "records that are not authentic",
  replayed: "records that were seen before, or are too old",
  other: "records for other reasons",
};

export interface CertificateFacts {
  names: string[];
  sha256: string;
  pem: string;
  meaning?: Certificate;
}

export interface ServerIdentity {
  server: Role;
  names?: string[];
  public_key_pem: string;
  public_key_sha256: string;
  certificate?: CertificateFacts;
  /** Made at the start, gone with the process. */
  ephemeral?: boolean;
}

export interface SecurityOverview {
  allow_nosec: boolean;
  cipher_suites: string[];
  cid: boolean;
  rrc: boolean;
  key_log: boolean;
  endpoint_rules: string[];
  identities: ServerIdentity[];
  trust: CertificateFacts[];
  sessions: number;
  handshakes: number;
}
