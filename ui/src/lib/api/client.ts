// One place that talks HTTP: token, problem documents, the server's clock.

import type { Problem } from "./types";

export type Method = "GET" | "PUT" | "PATCH" | "POST" | "DELETE";

export interface Call {
  method: Method;
  /** Below `/api/v1`, already encoded. */
  path: string;
  query?: Record<string, string | undefined>;
  body?: unknown;
  /** A document in place of a JSON body; `file` is what a shell would read it from. */
  xml?: { text: string; file: string };
  /** The same for a table. */
  csv?: { text: string; file: string };
  /** The same for bytes of any kind. */
  bytes?: { bytes: BlobPart; file: string };
}

/** The server, or the way to it, said no. */
export class ApiError extends Error {
  readonly status: number;
  readonly problem: Problem;

  constructor(status: number, problem: Problem) {
    super(explain(status, problem));
    this.status = status;
    this.problem = problem;
  }
}

function explain(status: number, problem: Problem): string {
  const title = problem.title ?? (status === 0 ? "The server cannot be reached." : `The server answers ${status}.`);
  const parts = [title];
  if (problem.detail && problem.detail !== title) parts.push(problem.detail);
  if (problem.pointer) parts.push(`(at ${problem.pointer})`);
  if (problem.retry_after_s !== undefined) parts.push(`Worth another try in ${problem.retry_after_s} s.`);
  return parts.join(" ");
}

/** Another 403 (a foreign origin, an unknown host) is nothing that a token could mend. */
export function isTokenProblem(status: number, problem: Problem): boolean {
  return status === 401 || (status === 403 && problem.type?.endsWith("/wrong-token") === true);
}

/** Endpoint names and paths, encoded once. */
export function endpointPath(endpoint: string, ...rest: string[]): string {
  const tail = rest.filter((part) => part !== "").join("/");
  return `/endpoints/${encodeURIComponent(endpoint)}${tail ? `/${tail}` : ""}`;
}

export function queryString(query: Call["query"]): string {
  const pairs = Object.entries(query ?? {}).filter((pair): pair is [string, string] => !!pair[1]);
  return pairs.length > 0 ? `?${new URLSearchParams(pairs).toString()}` : "";
}

export interface ClientOptions {
  token: () => string;
  onUnauthorized: (problem: Problem) => void;
  onServerTime: (ms: number) => void;
}

export class Client {
  #options: ClientOptions;

  constructor(options: ClientOptions) {
    this.#options = options;
  }

  url(path: string, query?: Call["query"]): string {
    return `api/v1${path}${queryString(query)}`;
  }

  headers(): Record<string, string> {
    const token = this.#options.token();
    return token ? { Authorization: `Bearer ${token}` } : {};
  }

  /** Gives the body as JSON, or throws an ApiError. */
  async call<T>(call: Call): Promise<T> {
    const headers = this.headers();
    const init: RequestInit = { method: call.method, headers };
    if (call.body !== undefined) {
      headers["Content-Type"] = "application/json";
      init.body = JSON.stringify(call.body);
    } else if (call.xml !== undefined) {
      headers["Content-Type"] = "application/xml";
      init.body = call.xml.text;
    } else if (call.csv !== undefined) {
      headers["Content-Type"] = "text/csv";
      init.body = call.csv.text;
    } else if (call.bytes !== undefined) {
      headers["Content-Type"] = "application/octet-stream";
      init.body = new Blob([call.bytes.bytes]);
    }
    let response: Response;
    try {
      response = await fetch(this.url(call.path, call.query), init);
    } catch {
      throw new ApiError(0, { title: "The server cannot be reached.", detail: "Is it running? The page tries again by itself." });
    }
    const date = Date.parse(response.headers.get("Date") ?? "");
    if (Number.isFinite(date)) this.#options.onServerTime(date);
    const text = await response.text();
    let json: unknown;
    try {
      json = text === "" ? undefined : JSON.parse(text);
    } catch {
      json = undefined;
    }
    if (response.ok) return json as T;
    const problem = typeof json === "object" && json !== null ? (json as Problem) : {};
    if (isTokenProblem(response.status, problem)) {
      this.#options.onUnauthorized(problem);
    }
    throw new ApiError(response.status, problem);
  }
}
