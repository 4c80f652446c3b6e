// What the Bootstrap-Server gives to devices, and how that went.

import type { Call } from "../api/client";
import type { BootstrapDocument, Entry, Plan, Session, Template } from "../api/bootstrap";
import type { Page } from "../api/types";
import { at, find } from "./attempt";
import { session } from "./session.svelte";

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

export const bootstrap = {
  list: (filter = "") => session.client.call<Page<Entry>>(bootstrapCalls.list(filter)),
  document: (endpoint: string) => find<BootstrapDocument>(bootstrapCalls.get(endpoint)),
  plan: (endpoint: string) => find<Plan>(bootstrapCalls.plan(endpoint)),
  sessions: async (endpoint: string) => (await find<Session[]>(bootstrapCalls.sessions(endpoint))) ?? [],
  templates: async () => (await session.client.call<Page<Template>>(bootstrapCalls.templates())).items,
  template: (name: string) => find<Template>(bootstrapCalls.template(name)),
};
