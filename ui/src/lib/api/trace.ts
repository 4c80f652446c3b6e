// The trace: the last messages of a device, and the calls that give them.

import { endpointPath, type Call } from "./client";
import type { Node } from "./types";

export interface TraceOption {
  name: string;
  value: string;
}

export interface TracePayload {
  length: number;
  nodes?: Node[];
  links?: { path: string; attributes: Record<string, unknown> }[];
  text?: string;
  undecoded?: string;
  hidden?: boolean;
  part?: boolean;
}

export interface TraceItem {
  id: string;
  time: string;
  direction: "in" | "out";
  server: "lwm2m" | "bootstrap";
  address: string;
  secured: boolean;
  type?: string;
  code?: string;
  code_name?: string;
  message_id?: number;
  token?: string;
  operation?: string;
  path?: string;
  options?: TraceOption[];
  format?: string;
  payload?: TracePayload;
  bytes_hex: string;
  length: number;
  repeated?: boolean;
  dropped?: string;
  reason?: string;
  exchange: string;
  elapsed_us?: number;
}

export interface TracePage {
  items: TraceItem[];
  next: string;
  gap?: boolean;
}

export function traceCall(endpoint: string, limit: number): Call {
  return { method: "GET", path: endpointPath(endpoint, "trace"), query: { limit: String(limit) } };
}

/** Each message behind a place, as it comes and goes. */
export function followCall(endpoint: string, after?: string): Call {
  return { method: "GET", path: endpointPath(endpoint, "trace"), query: { follow: "true", after } };
}

export function captureCall(endpoint: string): Call {
  return { method: "GET", path: endpointPath(endpoint, "trace.pcapng") };
}
