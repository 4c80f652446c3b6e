// The devices that somebody has opened, kept up to date by events. The list has its own window (list.svelte.ts).

import { SvelteMap } from "svelte/reactivity";
import { ApiError, endpointPath, type Client } from "../api/client";
import type { Registration, ServerEvent } from "../api/types";

/** Devices that are remembered; the one opened longest ago goes first. */
const KNOWN_MAX = 200;

export class Devices {
  readonly known = new SvelteMap<string, Registration>();
  /** When the server last heard of a device, milliseconds since 1970. */
  readonly heard = new SvelteMap<string, number>();
  #client: Client;

  constructor(client: Client) {
    this.#client = client;
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
    // Events and lists leave out what a name alone decides.
    const transmission = this.known.get(registration.endpoint)?.transmission;
    this.known.set(registration.endpoint, transmission ? { transmission, ...registration } : registration);
    this.#hear(registration.endpoint, Date.parse(registration.updated_at));
    const [oldest] = this.known.keys();
    if (this.known.size > KNOWN_MAX && oldest !== undefined) this.#remove(oldest);
  }

  #remove(endpoint: string): void {
    this.known.delete(endpoint);
    this.heard.delete(endpoint);
  }

  #hear(endpoint: string, time: number): void {
    if (time > (this.heard.get(endpoint) ?? 0)) this.heard.set(endpoint, time);
  }

  /** `open` = the device whose page is open: it is taken in when it comes back. */
  event(event: ServerEvent, open: string | undefined): void {
    const before = this.known.get(event.endpoint);
    if (!before && event.endpoint !== open) return;
    switch (event.type) {
      case "registered":
      case "updated":
        if (event.registration) this.put(event.registration);
        else if (before) void this.fetch(event.endpoint).catch(() => undefined);
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
}
