// Operations on devices: sends the request, keeps the answer, brings the twin up to date.

import { ApiError, endpointPath, type Call, type Method } from "../api/client";
import { attributeArgs, compositeArgs, ctlLine, nodeArgs } from "../api/ctl";
import { curlLine } from "../api/curl";
import type { Answer, Command, KnownValue, Node, Observation, Problem } from "../api/types";
import { codeMeaning, codeText, isSuccess } from "../lwm2m/codes";
import type { AttributeChange } from "../lwm2m/attributes";
import { flatten } from "../lwm2m/node";
import { formatPath, parsePath } from "../lwm2m/path";
import { find } from "./attempt";
import { clock } from "./clock.svelte";
import { session } from "./session.svelte";
import { twins, type SetCall } from "./twin.svelte";

/** An operation that could be done: what the button does and what the curl line says are the same thing. */
export interface Operation {
  /** `Read`, `Write`, … for people. */
  name: string;
  endpoint: string;
  /** LwM2M path, for people; of a composite operation the name of its set in braces. */
  path: string;
  call: Call;
  /** What follows `lightship ctl` to do the same. */
  ctl: string[];
  set?: SetCall;
}

export interface Done {
  id: number;
  operation: Operation;
  time: number;
  ok: boolean;
  /** `2.05 Content`, or what went wrong on the way. */
  title: string;
  detail: string;
  answer?: Answer;
  problem?: Problem;
  /** When the server keeps it for a device that sleeps. */
  command?: Command;
}

export interface Options {
  format?: string;
  wait?: string;
  /** Keep it until the device wakes. */
  queue?: boolean;
  /** Also give the payload as it came. */
  raw?: boolean;
}

const LOG_MAX = 50;

class Actions {
  /** Newest first. */
  log: Done[] = $state.raw([]);
  /** How many are on their way, by `endpoint path`. */
  pending: Record<string, number> = $state({});
  #count = 0;

  busy(endpoint: string, path: string): boolean {
    return (this.pending[`${endpoint} ${path}`] ?? 0) > 0;
  }

  last(endpoint: string, path: string): Done | undefined {
    return this.log.find((done) => done.operation.endpoint === endpoint && done.operation.path === path);
  }

  of(endpoint: string): Done[] {
    return this.log.filter((done) => done.operation.endpoint === endpoint);
  }

  async run(operation: Operation): Promise<Done> {
    const key = `${operation.endpoint} ${operation.path}`;
    this.pending[key] = (this.pending[key] ?? 0) + 1;
    const done = await this.#try(operation);
    this.pending[key] = (this.pending[key] ?? 1) - 1;
    if (this.pending[key] === 0) delete this.pending[key];
    this.log = [done, ...this.log].slice(0, LOG_MAX);
    return done;
  }

  async #try(operation: Operation): Promise<Done> {
    this.#count += 1;
    const head = { id: this.#count, operation };
    try {
      const answer = await session.client.call<Answer | Command | undefined>(operation.call);
      const time = clock.precise();
      if (answer && "state" in answer) {
        const detail = "It leaves when the device shows itself.";
        return { ...head, time, ok: true, title: "Queued", detail, command: answer };
      }
      if (!answer?.code) return { ...head, time, ok: true, title: "Done", detail: "" };
      this.#learn(operation, answer, time);
      const detail = [codeMeaning(answer.code), answer.diagnostic, answer.undecoded].filter(Boolean).join(" ");
      return { ...head, time, ok: isSuccess(answer.code), title: codeText(answer.code), detail, answer };
    } catch (error) {
      const time = clock.precise();
      if (!(error instanceof ApiError)) return { ...head, time, ok: false, title: "Failed", detail: String(error) };
      const title = error.status === 0 ? "No connection" : problemName(error);
      return { ...head, time, ok: false, title, detail: error.message, problem: error.problem };
    }
  }

  #learn(operation: Operation, answer: Answer, time: number): void {
    const twin = twins.of(operation.endpoint);
    const { method, body } = operation.call;
    if (operation.set) {
      const written = operation.set.kind === "write" ? flatten((body as { nodes: Node[] }).nodes) : [];
      return twin.setAnswer(operation.set, answer, time, written);
    }
    twin.answer(answer, time, { entries: flatten(body), mode: method === "PUT" ? "replace" : "update" });
    if (!isSuccess(answer.code)) return;
    if (answer.operation === "observe") {
      twin.observed.set(answer.path, { state: "active", notifications: twin.observed.get(answer.path)?.notifications ?? 0 });
    }
    if (answer.operation === "cancel-observation") twin.observed.delete(answer.path);
  }

  curl(operation: Operation): string {
    return curlLine(location.origin, operation.call, session.token !== "");
  }

  ctl(operation: Operation): string {
    return ctlLine(location.origin, operation.ctl, operation.call.query);
  }
}

/** The stable name of a problem as a few words: `/problems/no-answer` is "No answer". */
function problemName(error: ApiError): string {
  const name = error.problem.type?.split("/").at(-1)?.replaceAll("-", " ");
  return name ? name.charAt(0).toUpperCase() + name.slice(1) : `HTTP ${error.status}`;
}

export const actions = new Actions();

function query(options: Options | undefined): Partial<Call> {
  if (!options || !(options.format || options.wait || options.queue || options.raw)) return {};
  const on = (is: boolean | undefined): string | undefined => (is ? "true" : undefined);
  return { query: { format: options.format, wait: options.wait, queue: on(options.queue), raw: on(options.raw) } };
}

/** The same operation, kept by the server until the device wakes. */
export function queued(operation: Operation): Operation {
  return { ...operation, call: { ...operation.call, query: { ...operation.call.query, wait: undefined, queue: "true" } } };
}

interface Parts {
  verb: string;
  method: Method;
  /** The `ctl` command, and what follows endpoint and path. */
  ctl: string[];
  body?: unknown;
  options?: Options | undefined;
}

function build(name: string, endpoint: string, path: string, { verb, method, ctl, body, options }: Parts): Operation {
  const call: Call = { method, path: endpointPath(endpoint, verb, path.slice(1)), ...query(options) };
  if (body !== undefined) call.body = body;
  const [command = "", ...rest] = ctl;
  return { name, endpoint, path, call, ctl: [command, endpoint, path, ...rest] };
}

function onSet(name: string, endpoint: string, set: SetCall, rest: Omit<Call, "path">): Operation {
  const nodes = set.kind === "write" ? compositeArgs((rest.body as { nodes: Node[] }).nodes) : set.paths;
  const named = set.kind === "observe" || set.kind === "cancel";
  const verb = named ? ["observations", encodeURIComponent(set.name)] : [set.kind];
  const command = set.kind === "cancel" ? "unobserve" : set.kind;
  return {
    name,
    endpoint,
    path: setKey(set.name),
    call: { ...rest, path: endpointPath(endpoint, "composite", ...verb) },
    ctl: ["composite", command, endpoint, ...(named ? [set.name] : []), ...(set.kind === "cancel" ? [] : nodes)],
    set,
  };
}

/** Stands for a set where an operation has a path. */
export function setKey(name: string): string {
  return `{${name}}`;
}

export const operations = {
  read: (endpoint: string, path: string, options?: Options) =>
    build("Read", endpoint, path, { verb: "resources", method: "GET", ctl: ["read"], options }),
  replace: (endpoint: string, path: string, body: Node, options?: Options) =>
    build("Write", endpoint, path, { verb: "resources", method: "PUT", ctl: ["write", ...nodeArgs(path, body)], body, options }),
  update: (endpoint: string, path: string, body: Node, options?: Options) => {
    const ctl = ["write", ...nodeArgs(path, body), "--partial"];
    return build("Update", endpoint, path, { verb: "resources", method: "PATCH", ctl, body, options });
  },
  create: (endpoint: string, path: string, body: Node, options?: Options) => {
    const at = body.path ?? path;
    const operation = build("Create", endpoint, path, { verb: "resources", method: "POST", ctl: ["create"], body, options });
    return { ...operation, ctl: ["create", endpoint, at, ...nodeArgs(at, body)] };
  },
  remove: (endpoint: string, path: string, options?: Options) =>
    build("Delete", endpoint, path, { verb: "resources", method: "DELETE", ctl: ["delete"], options }),
  execute: (endpoint: string, path: string, args: string, options?: Options) => {
    const body = args === "" ? undefined : { arguments: args };
    return build("Execute", endpoint, path, { verb: "execute", method: "POST", ctl: ["exec", ...(args === "" ? [] : [args])], body, options });
  },
  discover: (endpoint: string, path: string) =>
    build("Discover", endpoint, path, { verb: "discover", method: "GET", ctl: ["discover"] }),
  attributes: (endpoint: string, path: string, body: AttributeChange) =>
    build("Write attributes", endpoint, path, { verb: "attributes", method: "PUT", ctl: ["attributes", ...attributeArgs(body)], body }),
  observe: (endpoint: string, path: string, options?: Options) =>
    build("Observe", endpoint, path, { verb: "observations", method: "PUT", ctl: ["observe"], options }),
  cancel: (endpoint: string, path: string) =>
    build("Stop observing", endpoint, path, { verb: "observations", method: "DELETE", ctl: ["unobserve"] }),
  forget: (endpoint: string): Operation => ({
    name: "Forget",
    endpoint,
    path: "/",
    call: { method: "DELETE", path: endpointPath(endpoint) },
    ctl: ["forget", endpoint],
  }),
  readSet: (endpoint: string, name: string, paths: string[], options?: Options) =>
    onSet("Read-Composite", endpoint, { name, kind: "read", paths }, { method: "POST", body: { paths }, ...query(options) }),
  writeSet: (endpoint: string, name: string, nodes: Node[], options?: Options) =>
    onSet("Write-Composite", endpoint, { name, kind: "write", paths: [] }, { method: "POST", body: { nodes }, ...query(options) }),
  observeSet: (endpoint: string, name: string, paths: string[], options?: Options) =>
    onSet("Observe-Composite", endpoint, { name, kind: "observe", paths }, { method: "PUT", body: { paths }, ...query(options) }),
  cancelSet: (endpoint: string, name: string) =>
    onSet("Stop observing", endpoint, { name, kind: "cancel", paths: [] }, { method: "DELETE" }),
};

/**
 * Asks with Discover at the path and at each level above it, from the object down: a device lists attributes exactly
 * only for the level that it was asked about.
 */
export async function discoverLevels(endpoint: string, path: string): Promise<Done[]> {
  const ids = parsePath(path) ?? [];
  const done: Done[] = [];
  // Before 1.2.2 a resource instance cannot be asked about; its resource lists it.
  for (let depth = 1; depth <= Math.min(ids.length, 3); depth += 1) {
    const one = await actions.run(operations.discover(endpoint, formatPath(ids.slice(0, depth))));
    done.push(one);
    // Without an answer from the device the next level would only wait as long.
    if (!one.answer) break;
  }
  return done;
}

/** Brings what the server knows of a device's values into the page. A server that keeps none leaves it as it is. */
export async function loadValues(endpoint: string): Promise<void> {
  const page = await find<{ items: KnownValue[] }>({ method: "GET", path: endpointPath(endpoint, "values") });
  twins.of(endpoint).recall(page?.items ?? []);
}

/** Brings the list of observations of a device up to date. */
export async function loadObservations(endpoint: string): Promise<void> {
  const call: Call = { method: "GET", path: endpointPath(endpoint, "observations") };
  const list = await session.client.call<{ items: Observation[] }>(call);
  twins.of(endpoint).observations(list.items);
}
