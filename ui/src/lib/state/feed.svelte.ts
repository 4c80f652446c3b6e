// The newest events, newest first. Paused, it stands still and counts what it holds back.

import type { ServerEvent } from "../api/types";
import { joined } from "./paging";

export const FEED_MAX = 500;

export interface FeedFilter {
  endpoint: string;
  /** Empty = all. */
  types: ReadonlySet<string>;
}

export class Feed {
  items: ServerEvent[] = $state.raw([]);
  paused = $state(false);
  /** Held back while paused; those that no longer fit are dropped, but counted. */
  waiting = $state(0);
  #held: ServerEvent[] = [];

  push(events: ServerEvent[]): void {
    // After a break some may come once more.
    const known = new Set([...this.#held, ...this.items].map((event) => event.id));
    const newest = joined([], events, (event) => event.id).filter((event) => !known.has(event.id)).reverse();
    if (this.paused) {
      this.waiting += newest.length;
      this.#held = [...newest, ...this.#held].slice(0, FEED_MAX);
    } else {
      this.items = [...newest, ...this.items].slice(0, FEED_MAX);
    }
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    this.paused = false;
    this.items = [...this.#held, ...this.items].slice(0, FEED_MAX);
    this.#held = [];
    this.waiting = 0;
  }

  clear(): void {
    this.items = [];
    this.#held = [];
    this.waiting = 0;
  }
}

export function matches(event: ServerEvent, filter: FeedFilter): boolean {
  if (filter.types.size > 0 && !filter.types.has(event.type)) return false;
  return event.endpoint.toLowerCase().includes(filter.endpoint.trim().toLowerCase());
}
