// Operations on devices: sends the request, keeps the answer, brings the twin up to date.

import { ApiError, endpointPath, type Call, type Method } from "../api/client";
import { curlLine } from "../api/curl";
import type { Answer, Observation, Problem } from "../api/types";
import { codeMeaning, codeText, isSuccess } from "../lwm2m/codes";
import { flatten } from "../lwm2m/node";
import { clock } from "./clock.svelte";
import { session } from "./session.svelte";
import { twins } from "./twin.svelte";

/** An operation that could be done: what the button does and what the curl line says are the same thing. */
export interface Operation {
  /** `Read`, `Write`, … for people. */
  name: string;
  endpoint: string;
  /** LwM2M path, for people. */
  path: string;
  call: Call;
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
}

export interface Options {
  format?: string;
  wait?: string;
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
      const answer = await session.client.call<Answer | undefined>(operation.call);
      const time = clock.precise();
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
}

/** The stable name of a problem as a few words: `/problems/no-answer` is "No answer". */
function problemName(error: ApiError): string {
  const name = error.problem.type?.split("/").at(-1)?.replaceAll("-", " ");
  return name ? name.charAt(0).toUpperCase() + name.slice(1) : `HTTP ${error.status}`;
}

export const actions = new Actions();

function build(name: string, endpoint: string, path: string, call: Call): Operation {
  return { name, endpoint, path, call };
}

function resources(method: Method, name: string, endpoint: string, path: string, extra: Partial<Call> = {}): Operation {
  const call = { method, path: endpointPath(endpoint, "resources", path.slice(1)), ...extra };
  return build(name, endpoint, path, call);
}

function query(options: Options | undefined): Partial<Call> {
  return options && (options.format || options.wait) ? { query: { format: options.format, wait: options.wait } } : {};
}

export const operations = {
  read: (endpoint: string, path: string, options?: Options) =>
    resources("GET", "Read", endpoint, path, query(options)),
  replace: (endpoint: string, path: string, body: unknown, options?: Options) =>
    resources("PUT", "Write", endpoint, path, { body, ...query(options) }),
  update: (endpoint: string, path: string, body: unknown, options?: Options) =>
    resources("PATCH", "Update", endpoint, path, { body, ...query(options) }),
  create: (endpoint: string, path: string, body: unknown, options?: Options) =>
    resources("POST", "Create", endpoint, path, { body, ...query(options) }),
  remove: (endpoint: string, path: string) => resources("DELETE", "Delete", endpoint, path),
  execute: (endpoint: string, path: string, args: string) =>
    build("Execute", endpoint, path, {
      method: "POST",
      path: endpointPath(endpoint, "execute", path.slice(1)),
      ...(args === "" ? {} : { body: { arguments: args } }),
    }),
  discover: (endpoint: string, path: string) =>
    build("Discover", endpoint, path, { method: "GET", path: endpointPath(endpoint, "discover", path.slice(1)) }),
  attributes: (endpoint: string, path: string, body: unknown) =>
    build("Write attributes", endpoint, path, {
      method: "PUT",
      path: endpointPath(endpoint, "attributes", path.slice(1)),
      body,
    }),
  observe: (endpoint: string, path: string, options?: Options) =>
    build("Observe", endpoint, path, {
      method: "PUT",
      path: endpointPath(endpoint, "observations", path.slice(1)),
      ...query(options),
    }),
  cancel: (endpoint: string, path: string) =>
    build("Stop observing", endpoint, path, {
      method: "DELETE",
      path: endpointPath(endpoint, "observations", path.slice(1)),
    }),
  forget: (endpoint: string) =>
    build("Forget", endpoint, "/", { method: "DELETE", path: endpointPath(endpoint) }),
};

/** Brings the list of observations of a device up to date. */
export async function loadObservations(endpoint: string): Promise<void> {
  const call: Call = { method: "GET", path: endpointPath(endpoint, "observations") };
  const list = await session.client.call<{ items: Observation[] }>(call);
  twins.of(endpoint).observations(list.items);
}
