// The list of devices as far as somebody looks at it: pages of it are loaded where the window is, and only those are kept.

import { SvelteMap } from "svelte/reactivity";
import { ApiError, type Client } from "../api/client";
import { fleetCalls, type Listed, type ListPage, type ListQuery } from "../api/fleet";
import type { ServerEvent } from "../api/types";
import { mistakeOf } from "../fleet/query";

export const PAGE = 100;
/** Pages that are kept; those farthest from the window go. */
const PAGES_MAX = 24;
/** Changes that alter who is in the list are looked at this often. */
const COUNT_EVERY_MS = 2000;

export class DeviceWindow {
  total: number | undefined = $state();
  loaded = $state(false);
  error = $state("");
  /** Letters of the filter that are wrong. */
  mistake: { from: number; to: number } | undefined = $state.raw();
  /** Devices that came or went since the rows were loaded. */
  changes = $state(0);
  readonly pages = new SvelteMap<number, Listed[]>();
  query: ListQuery = { filter: "", columns: [], sort: "name" };

  #client: Client;
  #round = 0;
  #asked = new Set<number>();
  #places = new Map<string, [number, number]>();
  #window: [number, number] = [0, 0];
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** Whether rows may move: not while somebody looks at some farther down. */
  still = false;
  /** Whether they were held where they are the last time. */
  held = $state(false);

  constructor(client: Client) {
    this.#client = client;
  }

  /** Begins anew with another query. */
  async open(query: ListQuery): Promise<void> {
    this.query = query;
    this.#round += 1;
    this.#asked.clear();
    await this.#load(0, true);
  }

  row(index: number): Listed | undefined {
    return this.pages.get(Math.floor(index / PAGE))?.[index % PAGE];
  }

  /** These rows are in the window. */
  look(first: number, last: number): void {
    this.#window = [Math.floor(first / PAGE), Math.floor(last / PAGE)];
    for (let page = this.#window[0]; page <= this.#window[1]; page += 1) {
      if (!this.pages.has(page)) void this.#load(page, false);
    }
  }

  /** Asks again for what is in the window. */
  async refresh(): Promise<void> {
    const [first, last] = this.#window;
    this.#round += 1;
    this.#asked.clear();
    this.changes = 0;
    for (const page of [...this.pages.keys()]) if (page < first || page > last) this.#drop(page);
    const pages = Array.from({ length: last - first + 1 }, (_, i) => first + i);
    await Promise.all(pages.map((page) => this.#load(page, page === first)));
  }

  /**
   * Asks again for what no event of the list's stream tells: who fits a filter by now, and the values in columns. `hold` = somebody
   * has a hand on the rows, or looks at some farther down: each stays where it is, and only what it says is renewed.
   */
  async renew(hold: boolean): Promise<void> {
    const { filter, columns, sort } = this.query;
    const isPlain = filter === "" && columns.length === 0 && sort === "name";
    // A server that takes its time is not asked twice.
    if (isPlain || !this.loaded || this.#asked.size > 0) return;
    this.held = hold;
    if (!hold) return this.refresh();
    await Promise.all([this.#count(), this.#renewRows()]);
  }

  async #renewRows(): Promise<void> {
    const round = this.#round;
    const [first, last] = this.#window;
    for (let page = first; page <= last; page += 1) {
      const found = await this.#ask(page).catch(() => undefined);
      const items = this.pages.get(page);
      if (round !== this.#round || !found || !items) return;
      const now = new Map(found.items.map((item) => [item.endpoint, item]));
      this.changes = Math.max(this.changes, items.filter((item) => !now.has(item.endpoint)).length);
      this.pages.set(page, items.map((item) => now.get(item.endpoint) ?? item));
    }
  }

  #ask(page: number, count?: "true"): Promise<ListPage> {
    const more = { limit: String(PAGE), offset: page === 0 ? undefined : String(page * PAGE), count };
    return this.#client.call<ListPage>(fleetCalls.list(this.query, more));
  }

  async #load(page: number, anew: boolean): Promise<void> {
    if (this.#asked.has(page)) return;
    this.#asked.add(page);
    const round = this.#round;
    try {
      const found = await this.#ask(page, anew ? "true" : undefined);
      // A server that looks at many devices for few that fit says where to go on.
      while (found.items.length < PAGE && found.next && round === this.#round) {
        const rest = await this.#client.call<ListPage>(fleetCalls.list(this.query, { limit: String(PAGE - found.items.length), cursor: found.next }));
        found.items.push(...rest.items);
        found.next = rest.next ?? null;
      }
      if (round !== this.#round) return;
      if (anew && page === 0) for (const other of [...this.pages.keys()]) if (other > 0) this.#drop(other);
      this.#put(page, found.items);
      if (anew) this.total = found.total ?? found.items.length + (found.next ? PAGE : 0);
      this.error = "";
      this.mistake = undefined;
      this.loaded = true;
    } catch (error) {
      if (round !== this.#round) return;
      this.error = error instanceof Error ? error.message : String(error);
      this.mistake = error instanceof ApiError ? mistakeOf(error.problem.pointer) : undefined;
      if (this.mistake && error instanceof ApiError) this.error = error.problem.detail ?? this.error;
    } finally {
      if (round === this.#round) this.#asked.delete(page);
    }
  }

  #put(page: number, items: Listed[]): void {
    this.#drop(page);
    items.forEach((item, at) => this.#places.set(item.endpoint, [page, at]));
    this.pages.set(page, items);
    if (this.pages.size <= PAGES_MAX) return;
    const far = (other: number): number => Math.abs(other - this.#window[0]);
    const farthest = [...this.pages.keys()].reduce((a, b) => (far(b) > far(a) ? b : a));
    this.#drop(farthest);
  }

  #drop(page: number): void {
    for (const item of this.pages.get(page) ?? []) this.#places.delete(item.endpoint);
    this.pages.delete(page);
  }

  /** Takes a bunch of events in: rows that are there change where they stand. */
  events(events: readonly ServerEvent[]): void {
    const newest = new Map<string, ServerEvent>();
    let changes = 0;
    for (const event of events) {
      if (event.type === "deregistered" || event.type === "expired") changes += 1;
      else if (event.type === "registered" && !this.#places.has(event.endpoint)) changes += 1;
      if (event.registration && this.#places.has(event.endpoint)) newest.set(event.endpoint, event);
    }
    const pages = new Map<number, Listed[]>();
    for (const [endpoint, event] of newest) {
      const [page, at] = this.#places.get(endpoint) ?? [-1, -1];
      const items = pages.get(page) ?? [...(this.pages.get(page) ?? [])];
      const before = items[at];
      if (!before || !event.registration) continue;
      items[at] = { ...event.registration, ...(before.values ? { values: before.values } : {}) };
      pages.set(page, items);
    }
    for (const [page, items] of pages) this.pages.set(page, items);
    if (changes > 0) this.#changed(changes);
  }

  #changed(changes: number): void {
    this.changes += changes;
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      // At the top, or where all fits, rows may move; else only the number is renewed.
      if (this.still) void this.#count();
      else void this.refresh();
    }, COUNT_EVERY_MS);
  }

  async #count(): Promise<void> {
    const round = this.#round;
    try {
      const { total } = await this.#client.call<ListPage>(fleetCalls.list({ ...this.query, columns: [] }, { limit: "1", count: "true" }));
      if (round === this.#round && typeof total === "number") this.total = total;
    } catch {
      // The rows say it when they are asked for.
    }
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#round += 1;
  }
}
