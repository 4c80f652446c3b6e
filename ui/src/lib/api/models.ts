// The shapes of the object definitions in the REST API.

import type { ObjectModel, ResourceModel } from "./types";

export interface ModelSummary {
  id: number;
  name: string;
  version: string;
  versions: string[];
  loaded: boolean;
  urn?: string;
  resources: number;
}

export interface ModelChange {
  field: string;
  from: string;
  to: string;
}

export interface ModelDiff {
  id: number;
  from: string;
  to: string;
  object: ModelChange[];
  added: ResourceModel[];
  removed: ResourceModel[];
  changed: { id: number; name: string; changes: ModelChange[] }[];
}

export interface ModelFinding {
  severity: "error" | "warning";
  place: string;
  message: string;
}

export interface ModelCheck {
  valid: boolean;
  findings: ModelFinding[];
  models: ObjectModel[];
}

export interface ModelDevices {
  id: number;
  total?: number;
  versions?: { version: string; known: boolean; devices: number }[];
  items: { endpoint: string; version: string; instances: number }[];
  next?: string;
}
