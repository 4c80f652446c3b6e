// The shapes of the REST API (`/api/v1`), as far as this UI uses them.

import type { Handshake, SecureSession } from "./security";

export type ValueType =
  | "string"
  | "integer"
  | "unsigned"
  | "float"
  | "boolean"
  | "opaque"
  | "time"
  | "objlnk"
  | "corelnk";

/** Integers outside ±2^53 travel as strings. */
export type Scalar = string | number | boolean | null;

/** One shape for any level of the data tree; the depth of `path` tells which fields are there. */
export interface Node {
  path?: string;
  name?: string;
  type?: ValueType;
  value?: Scalar;
  instances?: Record<string, Scalar | Node>;
  resources?: Record<string, Node>;
  time?: string | number;
}

export interface ObjectRef {
  path: string;
  version?: string | null;
}

export interface Security {
  mode: string;
  identity?: string | null;
  cipher_suite?: string | null;
  cid?: string | null;
}

export interface Registration {
  /** The secure session by which it is reached. */
  session?: SecureSession | null;
  endpoint: string;
  registration_id: string;
  lwm2m_version: string;
  lifetime_s: number;
  binding: string;
  queue_mode: boolean;
  /** `lost` only in lists of `state:lost`. */
  state: "awake" | "asleep" | "lost";
  address: string;
  registered_at: string;
  updated_at: string;
  /** Absent when the registration never ends (lifetime 0). */
  expires_at?: string | null;
  security?: Security | null;
  objects: ObjectRef[];
  attributes?: Record<string, unknown>;
  /** Until when a device in Queue Mode listens, as far as the server knows. */
  awake_until?: string | null;
  /** When a sleeping device should be back, by its rhythm. */
  expected_wake?: string | null;
  /** Commands that wait for it; absent when there are none. */
  commands_waiting?: number;
  /** Where the device departed from the standard, and how often. */
  deviations?: unknown;
  /** How long the server waits for it; only where one device is shown. */
  transmission?: Transmission;
}

/** When requests to a device are repeated, and when they are given up. */
export interface Transmission {
  ack_timeout_ms: number;
  ack_random_percent: number;
  max_retransmit: number;
  lost_after_ms: number;
  /** The names of the rule that fits the device; absent where it has what all have. */
  rule?: string[];
}

export interface Page<T> {
  items: T[];
  next?: string | null;
}

export interface Link {
  path: string;
  attributes?: Record<string, unknown>;
}

export interface Nodes {
  nodes: Node[];
}

export interface Links {
  links: Link[];
}

export interface RawPayload {
  content_format?: number;
  /** Base64. */
  payload: string;
}

/** Answer of a downlink operation: HTTP speaks for the server, `code` for the device. */
export interface Answer {
  operation: string;
  path: string;
  code: string;
  format?: string;
  elapsed_ms: number;
  /** Data (Read, Observe), nodes (composite Read and Observe) or links (Discover). */
  content?: Node | Nodes | Links;
  location?: string;
  diagnostic?: string;
  undecoded?: string;
  raw?: RawPayload;
}

/** RFC 9457. */
export interface Problem {
  type?: string;
  title?: string;
  status?: number;
  detail?: string;
  pointer?: string;
  retry_after_s?: number;
  /** Of a sleeping device. */
  expected_wake?: string;
}

export const WAITING_STATES = ["waiting", "sent"];

/** An operation that the server keeps until the device takes it. */
export interface Command {
  id: string;
  endpoint: string;
  operation: string;
  path: string;
  /** What a composite operation is about; its `path` is `/`. */
  paths?: string[];
  /** The name of the composite observation. */
  name?: string;
  /** `waiting sent done refused expired cancelled superseded` */
  state: string;
  created_at: string;
  changed_at: string;
  /** Higher ones go first. */
  priority?: number;
  /** Of one priority, lower ones go first. */
  place?: number;
  attempts: number;
  attempts_max?: number;
  /** The end of its pause, unless the device comes before. */
  next_attempt_at?: string;
  not_after?: string;
  reason?: string;
  /** What the device made of it. */
  answer?: Answer;
}

/** One value that the device has told. */
export interface HistoryItem {
  /** The device's own time, or when the server heard of it. */
  time: string;
  received_at: string;
  path: string;
  type?: ValueType;
  value: Scalar;
  source: string;
  event: string;
}

/** What the server has heard last of a resource or a resource instance. */
export interface KnownValue {
  path: string;
  type?: ValueType;
  value: Scalar;
  time: string;
  source: "notify" | "send" | "read" | "write";
}

export interface History {
  items: HistoryItem[];
  next?: string;
  /** What is missing because it is damaged on the server's disk. */
  warning?: string;
}

/** `active` = the device accepted it in its present registration; `pending` = the server asks, or asks again. */
export type ObservingState = "active" | "pending" | "failed";

export interface Observation {
  /** `/` for a composite observation, which has a name and paths. */
  path: string;
  name?: string;
  paths?: string[];
  state: ObservingState;
  reason?: string;
  attributes?: Record<string, number>;
  content?: Node[];
  time?: string;
  notifications: number;
  /** When the device was first asked for it. */
  since?: string;
  /** How often the server started it anew by itself, as after the device registered again. */
  restarts?: number;
}

export interface ServerEvent {
  id: string;
  time: string;
  type: string;
  endpoint: string;
  path?: string;
  /** Of a composite observation, in place of the path. */
  name?: string;
  code?: string;
  format?: string;
  content?: Node[];
  registration?: Registration;
  reason?: string;
  raw?: RawPayload;
  command?: Command;
  handshake?: Handshake;
}

export interface ResourceModel {
  id: number;
  name: string;
  /** `R`, `W`, `RW`, `E` or empty. */
  operations: string;
  multiple: boolean;
  mandatory: boolean;
  type?: ValueType;
  /** Legal values in the registry's words, such as `0..100`. */
  range?: string;
  units?: string;
}

export interface ObjectModel {
  id: number;
  version: string;
  name: string;
  multiple: boolean;
  mandatory: boolean;
  /** Added at run time, not built in. */
  loaded?: boolean;
  urn?: string;
  lwm2m_version?: string;
  /** Every version known, oldest first. */
  versions?: { version: string; loaded: boolean }[];
  resources: ResourceModel[];
}
