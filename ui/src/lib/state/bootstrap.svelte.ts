// What the Bootstrap-Server gives to devices, and how that went.

import { ApiError, type Call } from "../api/client";
import type { BootstrapDocument, Entry, Plan, Session, Template } from "../api/bootstrap";
import type { Page } from "../api/types";
import { session } from "./session.svelte";

const at = (...parts: string[]): string => `/${parts.map(encodeURIComponent).join("/")}`;

/** The calls, so that the page and its lines for the shell say the same. */
export const bootstrapCalls = {
  list: (filter: string): Call => ({ method: "GET", path: "/bootstrap", query: { filter, limit: "200" } }),
  get: (endpoint: string): Call => ({ method: "GET", path: at("bootstrap", endpoint) }),
  put: (endpoint: string, body: BootstrapDocument): Call => ({ method: "PUT", path: at("bootstrap", endpoint), body }),
  remove: (endpoint: string): Call => ({ method: "DELETE", path: at("bootstrap", endpoint) }),
  plan: (endpoint: string): Call => ({ method: "GET", path: at("bootstrap", endpoint, "plan") }),
  sessions: (endpoint: string): Call => ({ method: "GET", path: at("bootstrap", endpoint, "sessions") }),
  templates: (): Call => ({ method: "GET", path: "/bootstrap-templates" }),
  template: (name: string): Call => ({ method: "GET", path: at("bootstrap-templates", name) }),
  putTemplate: (name: string, body: Template): Call => ({ method: "PUT", path: at("bootstrap-templates", name), body }),
  removeTemplate: (name: string): Call => ({ method: "DELETE", path: at("bootstrap-templates", name) }),
};

/** What the call brings, or undefined where there is nothing (404). */
async function find<T>(call: Call): Promise<T | undefined> {
  try {
    return await session.client.call<T>(call);
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return undefined;
    throw error;
  }
}

export const bootstrap = {
  list: (filter = "") => session.client.call<Page<Entry>>(bootstrapCalls.list(filter)),
  document: (endpoint: string) => find<BootstrapDocument>(bootstrapCalls.get(endpoint)),
  plan: (endpoint: string) => find<Plan>(bootstrapCalls.plan(endpoint)),
  sessions: async (endpoint: string) => (await find<Session[]>(bootstrapCalls.sessions(endpoint))) ?? [],
  templates: async () => (await session.client.call<Page<Template>>(bootstrapCalls.templates())).items,
  template: (name: string) => find<Template>(bootstrapCalls.template(name)),
};

/** Runs a body; gives what went wrong in words, or nothing. */
export async function attempt(body: () => Promise<unknown>): Promise<string> {
  try {
    await body();
    return "";
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
