// The shapes of the bootstrap part of the REST API.

import type { Link, Node } from "./types";

export const MODES = ["nosec", "psk", "rpk", "x509"] as const;
export type Mode = (typeof MODES)[number];

export interface Account {
  short_server_id: number;
  uri: string;
  mode: Mode;
  identity?: string;
  key_hex?: string;
  public_key_pem?: string;
  certificate_pem?: string;
  secret_key_pem?: string;
  server_key_pem?: string;
  /** The server keeps a secret for it; it stays when none is written. */
  key_set?: boolean;
  lifetime_s?: number;
  binding?: string;
  queue_mode?: boolean;
  security?: Record<string, Node>;
  server?: Record<string, Node>;
}

export interface BootstrapDocument {
  delete?: string[];
  format?: string;
  servers?: Account[];
  write?: Node[];
  read?: string[];
  pack?: boolean;
  /** `document`, or `template:NAME`; said by the server. */
  from?: string;
}

export interface Template {
  name?: string;
  pattern: string;
  document: BootstrapDocument;
}

export type SessionResult = "running" | "finished" | "refused" | "lost" | "displaced" | "failed";

export interface Entry {
  endpoint: string;
  document: boolean;
  from?: string;
  result?: SessionResult;
  last_session_at?: string;
  reason?: string;
}

export interface Step {
  operation: string;
  path: string;
  method: string;
  format?: string;
  nodes?: Node[];
  payload_bytes?: number;
  code?: string;
  detail?: string;
  elapsed_ms?: number;
  attempts?: number;
  content?: Node[];
  links?: Link[];
}

export interface Plan {
  from: string;
  assumes: string;
  steps: Step[];
  notes?: string[];
  refused?: string;
}

export interface Session {
  started_at: string;
  ended_at?: string;
  result: SessionResult;
  reason?: string;
  address: string;
  security: string;
  from?: string;
  lwm2m_version?: string;
  preferred_format?: string;
  steps: Step[];
  notes?: string[];
}
