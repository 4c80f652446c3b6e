// The registered devices: loaded page by page, then kept up to date by events.

import { SvelteMap } from "svelte/reactivity";
import { ApiError, endpointPath, type Client } from "../api/client";
import type { Page, Registration, ServerEvent } from "../api/types";

export const PAGE_SIZE = 500;

export class Devices {
  readonly known = new SvelteMap<string, Registration>();
  /** When the server last heard of a device, milliseconds since 1970. */
  readonly heard = new SvelteMap<string, number>();
  loaded = $state(false);
  loading = $state(false);
  error = $state("");
  /** Cursor of the next page, if the server has more. */
  next: string | undefined = $state();
  filter = $state("");
  #client: Client;
  #round = 0;

  constructor(client: Client) {
    this.#client = client;
  }

  /** Loads the first page anew and forgets what is no longer registered. */
  async reload(filter = this.filter): Promise<void> {
    this.filter = filter;
    await this.#load(undefined);
  }

  async more(): Promise<void> {
    if (this.next !== undefined && !this.loading) await this.#load(this.next);
  }

  async #load(cursor: string | undefined): Promise<void> {
    this.#round += 1;
    const round = this.#round;
    this.loading = true;
    try {
      const query = { filter: this.filter, limit: String(PAGE_SIZE), cursor };
      const page = await this.#client.call<Page<Registration>>({ method: "GET", path: "/endpoints", query });
      if (round !== this.#round) return;
      if (cursor === undefined) {
        const listed = new Set(page.items.map((item) => item.endpoint));
        for (const endpoint of this.known.keys()) if (!listed.has(endpoint)) this.#remove(endpoint);
      }
      for (const item of page.items) this.put(item);
      this.next = page.next ?? undefined;
      this.error = "";
      this.loaded = true;
    } catch (error) {
      if (round === this.#round) this.error = error instanceof Error ? error.message : String(error);
    } finally {
      if (round === this.#round) this.loading = false;
    }
  }

  /** Asks for one device; false when it is not registered. */
  async fetch(endpoint: string): Promise<boolean> {
    try {
      this.put(await this.#client.call<Registration>({ method: "GET", path: endpointPath(endpoint) }));
      return true;
    } catch (error) {
      if (!(error instanceof ApiError) || error.status !== 404) throw error;
      this.#remove(endpoint);
      return false;
    }
  }

  put(registration: Registration): void {
    this.known.set(registration.endpoint, registration);
    this.#hear(registration.endpoint, Date.parse(registration.updated_at));
  }

  #remove(endpoint: string): void {
    this.known.delete(endpoint);
    this.heard.delete(endpoint);
  }

  #hear(endpoint: string, time: number): void {
    if (time > (this.heard.get(endpoint) ?? 0)) this.heard.set(endpoint, time);
  }

  event(event: ServerEvent): void {
    const before = this.known.get(event.endpoint);
    switch (event.type) {
      case "registered":
      case "updated":
        // A device that the filter leaves out stays out; whether it would match, the server knows.
        if (event.registration && (before || this.#wanted(event.endpoint))) this.put(event.registration);
        else if (!event.registration && before) void this.fetch(event.endpoint).catch(() => undefined);
        break;
      case "deregistered":
      case "expired":
        this.#remove(event.endpoint);
        break;
      case "awake":
      case "asleep":
        // What comes with the state (until when, back when) is in the registration.
        if (before && event.registration) this.put(event.registration);
        else if (before) this.known.set(event.endpoint, { ...before, state: event.type });
        if (before && event.type === "awake") this.#hear(event.endpoint, Date.parse(event.time));
        break;
      case "notified":
      case "sent":
        if (before) this.#hear(event.endpoint, Date.parse(event.time));
        break;
    }
  }

  #wanted(endpoint: string): boolean {
    return endpoint.toLowerCase().includes(this.filter.toLowerCase());
  }
}
