// What this page knows of one device's data: last values with their age and source, what is observed, attributes,
// and what was done. Everything here came from the API; nothing is guessed.

import { SvelteMap, SvelteSet } from "svelte/reactivity";
import type {
  Answer,
  KnownValue,
  Link,
  Observation,
  ObservingState,
  ResourceModel,
  Scalar,
  ServerEvent,
  ValueType,
} from "../api/types";
import { flatten, type Entry } from "../lwm2m/node";
import { writable } from "../lwm2m/attributes";
import { numeric } from "../lwm2m/values";
import { contains, formatPath, parsePath } from "../lwm2m/path";

export type Source = "read" | "notified" | "sent" | "written" | "observed";

export interface Point {
  time: number;
  value: number;
}

export interface Value {
  value: Scalar;
  type: ValueType | undefined;
  /** When it was so: the device's own time when it gave one, else when the server learnt it. */
  time: number;
  /** True when the device itself gave the time. */
  dated: boolean;
  source: Source;
  history: Point[];
}

export interface Sent {
  entries: Entry[];
  mode: "replace" | "update";
}

/** A composite operation on a named set of paths. */
export interface SetCall {
  name: string;
  kind: "read" | "write" | "observe" | "cancel";
  paths: string[];
}

export interface Observed {
  state: ObservingState;
  reason?: string;
  notifications: number;
  /** Started anew by the server itself, so many times. */
  restarts?: number;
  /** When the device was first asked for it, and when it reported last: milliseconds since 1970. */
  since?: number;
  last?: number;
}

/** What is observed together, under a name. */
export interface ObservedSet extends Observed {
  paths: string[];
}

export const HISTORY_MAX = 240;

/** How the server says where a value came from, and how this page does. */
const RECALLED: Record<string, Source> = { notify: "notified", send: "sent", read: "read", write: "written" };

// IPSO sensors name the unit of these resources in a resource of their own, 5701 Sensor Units.
const SENSOR_VALUES = new Set([5700, 5601, 5602, 5603, 5604]);
const SENSOR_UNITS = 5701;

export class Twin {
  readonly endpoint: string;
  readonly values = new SvelteMap<string, Value>();
  readonly observed = new SvelteMap<string, Observed>();
  /** Composite observations by name. */
  readonly observedSets = new SvelteMap<string, ObservedSet>();
  /** Attributes by path, as the device listed them in its last Discover. */
  readonly attributes = new SvelteMap<string, Record<string, unknown>>();
  /** Paths the device is known to have: registered, discovered, or read. */
  readonly present = new SvelteSet<string>();
  /** Instances seen whole, and how: what a Read lacks is absent or not readable, what a Discover lacks is absent. */
  readonly complete = new SvelteMap<string, "read" | "discover">();

  constructor(endpoint: string) {
    this.endpoint = endpoint;
  }

  #put(entry: Entry, time: number, source: Source): void {
    const before = this.values.get(entry.path);
    const at = entry.time ?? time;
    const history = before?.history ?? [];
    const type = entry.type ?? before?.type;
    const point = numeric(entry.value, type);
    // An old sample of a batch is a point of the past; it must not replace a newer value.
    const older = before !== undefined && at < before.time;
    if (point !== undefined) insert(history, { time: at, value: point });
    if (older) this.values.set(entry.path, { ...before, history: [...history] });
    else this.values.set(entry.path, { value: entry.value, type, time: at, dated: entry.time !== undefined, source, history: [...history] });
    this.#mark(entry.path);
  }

  #mark(path: string): void {
    const ids = parsePath(path) ?? [];
    for (let depth = 1; depth <= ids.length; depth += 1) this.present.add(formatPath(ids.slice(0, depth)));
  }

  /** Takes a document in. `whole` = everything below its path is in it, so what it lacks is gone. */
  apply(content: unknown, time: number, source: Source, whole?: string): void {
    const entries = flatten(content);
    if (whole !== undefined) this.#forgetBelow(whole, new Set(entries.map((entry) => entry.path)));
    for (const entry of entries) this.#put(entry, time, source);
  }

  #forgetBelow(path: string, keep: Set<string>): void {
    for (const known of this.values.keys()) {
      if (contains(path, known) && !keep.has(known)) this.values.delete(known);
    }
    // A resource may be there and not show in a Read; a resource instance may not.
    for (const known of this.present) {
      if (contains(path, known) && !keep.has(known) && parsePath(known)?.length === 4) this.present.delete(known);
    }
  }

  /** Takes the answer of an operation in. `sent` = what a write carried. */
  answer(answer: Answer, time: number, sent: Sent = { entries: [], mode: "update" }): void {
    if (!answer.code.startsWith("2.")) return;
    switch (answer.operation) {
      case "read":
      case "observe":
        if (answer.content !== undefined) {
          this.apply(answer.content, time, answer.operation === "read" ? "read" : "observed", answer.path);
          if (parsePath(answer.path)?.length === 2 && !this.complete.has(answer.path)) {
            this.complete.set(answer.path, "read");
          }
        }
        break;
      case "discover":
        this.#discovered(answer);
        break;
      case "write":
        // What a Replace of an instance leaves of its other resources, only the device knows.
        if (sent.mode === "replace" && (parsePath(answer.path)?.length ?? 0) > 2) {
          this.#forgetBelow(answer.path, new Set(sent.entries.map((entry) => entry.path)));
        }
        for (const entry of sent.entries) this.#put(entry, time, "written");
        break;
      case "create":
        if (answer.location) this.#mark(answer.location);
        break;
      case "delete":
        this.forget(answer.path);
        break;
    }
  }

  /** Takes the answer of a composite operation in. Paths that a Read lacks are absent, or not readable. */
  setAnswer(set: SetCall, answer: Answer, time: number, written: Entry[]): void {
    if (!answer.code.startsWith("2.")) return;
    if (set.kind === "write") for (const entry of written) this.#put(entry, time, "written");
    if (set.kind === "read" || set.kind === "observe") {
      const entries = flatten(answer.content);
      const keep = new Set(entries.map((entry) => entry.path));
      for (const path of set.paths) this.#forgetBelow(path, keep);
      for (const entry of entries) this.#put(entry, time, set.kind === "read" ? "read" : "observed");
    }
    if (set.kind === "observe") {
      const notifications = this.observedSets.get(set.name)?.notifications ?? 0;
      this.observedSets.set(set.name, { state: "active", notifications, paths: set.paths });
    }
    if (set.kind === "cancel") this.observedSets.delete(set.name);
  }

  #discovered(answer: Answer): void {
    const links = linksOf(answer);
    const level = parsePath(answer.path)?.length;
    if (level === 2) this.complete.set(answer.path, "discover");
    // Asked for an object, a device before 1.2 says nothing of attributes below: such an answer adds and takes nothing.
    const tells = (path: string): boolean => level !== 1 || path === answer.path;
    for (const path of this.attributes.keys()) {
      if (contains(answer.path, path) && tells(path)) this.attributes.delete(path);
    }
    for (const link of links) {
      this.#mark(link.path);
      const said = link.attributes ?? {};
      if (tells(link.path) || Object.keys(writable(said)).length > 0) this.attributes.set(link.path, said);
    }
  }

  /** Takes in what the server has heard last, which may be long ago; what this page knows better stays. */
  recall(items: KnownValue[]): void {
    for (const item of items) {
      const time = Date.parse(item.time);
      const before = this.values.get(item.path);
      if (!Number.isFinite(time) || (before && before.time >= time)) continue;
      this.#put({ path: item.path, value: item.value, ...(item.type ? { type: item.type } : {}) }, time, RECALLED[item.source] ?? "read");
    }
  }

  forget(path: string): void {
    for (const set of [this.values, this.attributes, this.observed, this.present, this.complete]) {
      for (const known of set.keys()) {
        if (contains(path, known)) set.delete(known);
      }
    }
  }

  /** The list of the device's objects, from a registration. What is no longer listed is gone. */
  registered(objects: { path: string }[]): void {
    const listed = new Set(objects.map((object) => object.path));
    for (const known of [...this.present]) {
      if (parsePath(known)?.length === 2 && !listed.has(known)) this.forget(known);
    }
    for (const object of objects) this.#mark(object.path);
  }

  observations(items: Observation[]): void {
    this.observed.clear();
    this.observedSets.clear();
    for (const item of items) {
      const observed: Observed = { state: item.state, notifications: item.notifications };
      if (item.reason) observed.reason = item.reason;
      if (item.restarts) observed.restarts = item.restarts;
      const [since, last] = [Date.parse(item.since ?? ""), Date.parse(item.time ?? "")];
      if (Number.isFinite(since)) observed.since = since;
      if (Number.isFinite(last)) observed.last = last;
      if (item.name !== undefined) this.observedSets.set(item.name, { ...observed, paths: item.paths ?? [] });
      else this.observed.set(item.path, observed);
      const time = Date.parse(item.time ?? "");
      if (item.content && Number.isFinite(time)) this.apply(item.content, time, "notified");
    }
  }

  event(event: ServerEvent): void {
    const time = Date.parse(event.time);
    if (event.type === "notified" || event.type === "sent" || event.type === "observed") {
      this.apply(event.content ?? [], time, event.type);
    }
    if (event.name !== undefined) return this.#setEvent(event, event.name);
    if (event.path === undefined) return;
    if (event.type === "notified" || event.type === "observed") {
      const before = this.observed.get(event.path);
      const count = event.type === "notified" ? 1 : 0;
      this.observed.set(event.path, { ...accepted(before, time), notifications: (before?.notifications ?? 0) + count });
    }
    if (event.type === "observation_cancelled") this.observed.delete(event.path);
  }

  #setEvent(event: ServerEvent, name: string): void {
    if (event.type === "observation_cancelled") this.observedSets.delete(name);
    if (event.type !== "notified" && event.type !== "observed") return;
    const before = this.observedSets.get(name);
    const notifications = (before?.notifications ?? 0) + (event.type === "notified" ? 1 : 0);
    this.observedSets.set(name, { ...accepted(before, Date.parse(event.time)), notifications, paths: before?.paths ?? [] });
  }

  /** The unit of a resource: by its definition, else as the device itself says. */
  unit(path: string, model: ResourceModel | undefined): string | undefined {
    if (model?.units) return model.units;
    const [object, instance, resource] = parsePath(path) ?? [];
    if (resource === undefined || !SENSOR_VALUES.has(resource)) return undefined;
    const said = this.values.get(`/${object}/${instance}/${SENSOR_UNITS}`)?.value;
    return typeof said === "string" ? said : undefined;
  }

  /** The observation that covers this path, itself or one above it. */
  coveredBy(path: string): string | undefined {
    for (let at = path; at !== ""; at = at.slice(0, at.lastIndexOf("/"))) {
      if (this.observed.has(at)) return at;
    }
    return undefined;
  }
}

/** What is known of an observation that the device keeps, now that it reported at `time`. */
function accepted(before: Observed | undefined, time: number): Omit<Observed, "notifications"> {
  const restarts = before?.restarts ? { restarts: before.restarts } : {};
  return { state: "active", since: before?.since ?? time, last: time, ...restarts };
}

/** What a Discover found. */
export function linksOf(answer: Answer | undefined): Link[] {
  const content = answer?.content;
  return content && "links" in content ? content.links : [];
}

/** Keeps points in order of time and their number bounded. A point of the same moment replaces the earlier one. */
function insert(history: Point[], point: Point): void {
  let at = history.length;
  while (at > 0 && (history[at - 1]?.time ?? 0) > point.time) at -= 1;
  if (at > 0 && history[at - 1]?.time === point.time) history[at - 1] = point;
  else history.splice(at, 0, point);
  if (history.length > HISTORY_MAX) history.splice(0, history.length - HISTORY_MAX);
}

/** Twins of the devices last looked at or heard of; the oldest goes when there are too many. */
export class Twins {
  #twins = new Map<string, Twin>();
  #max: number;

  constructor(max = 500) {
    this.#max = max;
  }

  /** The twin of a device that somebody has looked at; events alone make none. */
  known(endpoint: string): Twin | undefined {
    return this.#twins.get(endpoint);
  }

  of(endpoint: string): Twin {
    const twin = this.#twins.get(endpoint) ?? new Twin(endpoint);
    this.#twins.delete(endpoint);
    this.#twins.set(endpoint, twin);
    const oldest = this.#twins.keys().next().value;
    if (this.#twins.size > this.#max && oldest !== undefined) this.#twins.delete(oldest);
    return twin;
  }
}

export const twins = new Twins();
