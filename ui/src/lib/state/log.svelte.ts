// The log of one device: what the server holds of it, newest first, and what comes while the page looks.

import { endpointPath, type Call } from "../api/client";
import type { Page, ServerEvent } from "../api/types";
import { attempt } from "./attempt";
import { live } from "./live.svelte";
import { joined } from "./paging";
import { session } from "./session.svelte";

export function logCall(endpoint: string, types: readonly string[], limit: number, cursor?: string): Call {
  return { method: "GET", path: endpointPath(endpoint, "log"), query: { type: types.join(","), limit: String(limit), cursor } };
}

export class DeviceLog {
  items: ServerEvent[] = $state.raw([]);
  next: string | undefined = $state();
  loaded = $state(false);
  error = $state("");
  /** What is missing because it is damaged. */
  warning = $state("");
  readonly endpoint: string;
  readonly types: readonly string[];
  #limit: number;
  #max: number;
  #round = 0;

  /** `types` = only these, or all when there are none; `max` = how many are kept of those that come. */
  constructor(endpoint: string, types: readonly string[] = [], limit = 100, max = 2000) {
    this.endpoint = endpoint;
    this.types = types;
    this.#limit = limit;
    this.#max = max;
  }

  async load(): Promise<void> {
    await this.#get(undefined);
  }

  async older(): Promise<void> {
    if (this.next !== undefined) await this.#get(this.next);
  }

  async #get(cursor: string | undefined): Promise<void> {
    this.#round += 1;
    const round = this.#round;
    this.error = await attempt(async () => {
      const page = await session.client.call<Page<ServerEvent> & { warning?: string }>(logCall(this.endpoint, this.types, this.#limit, cursor));
      if (round !== this.#round) return;
      // What came by the stream meanwhile is newer than the page.
      const known = new Set(page.items.map((item) => item.id));
      const newest = Math.max(0, ...page.items.map((item) => Date.parse(item.time)));
      const kept = this.items.filter((item) => !known.has(item.id) && (cursor !== undefined || Date.parse(item.time) > newest));
      this.items = joined(cursor === undefined ? kept : this.items, page.items, (item) => item.id);
      this.next = page.next ?? undefined;
      this.warning = page.warning ?? (cursor === undefined ? "" : this.warning);
      this.loaded = true;
    });
  }

  event(event: ServerEvent): void {
    if (event.endpoint !== this.endpoint || (this.types.length > 0 && !this.types.includes(event.type))) return;
    // The page that was loaded may have it, and others that came behind it.
    if (this.items.some((item) => item.id === event.id)) return;
    this.items = [event, ...this.items].slice(0, this.#max);
  }

  /** Loads, loads anew when events may have been missed, and takes in what comes: for an effect of a component. */
  follow(): () => void {
    void live.epoch;
    void this.load();
    return live.listen((event) => this.event(event));
  }
}
