// Ties the event stream to the stores.

import { EventStream, type StreamState } from "../api/stream";
import type { ServerEvent } from "../api/types";
import { Devices } from "./devices.svelte";
import { Feed } from "./feed.svelte";
import { session } from "./session.svelte";
import { twins } from "./twin.svelte";

// Events are applied in bunches, so that a burst costs one redraw and not thousands.
const BUNCH_MS = 100;

class Live {
  state: StreamState = $state.raw({ kind: "connecting" });
  /** Grows each time that something may have been missed: pages then ask anew for what they show. */
  epoch = $state(0);
  /** Events taken in since the page was opened. */
  count = $state(0);
  readonly devices = new Devices(session.client);
  readonly feed = new Feed();

  #bunch: ServerEvent[] = [];
  #listeners = new Set<(event: ServerEvent) => void>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #stream = new EventStream({
    url: () => session.client.url("/events"),
    headers: () => session.client.headers(),
    onEvents: (events) => this.#take(events),
    onOpen: (resumed) => this.#opened(resumed),
    onState: (state) => {
      this.state = state;
      if (state.kind === "refused") session.lock("");
    },
  });

  start(): () => void {
    this.#stream.start();
    void this.devices.reload();
    return () => this.#stream.stop();
  }

  /** Calls for each event from now on; gives what ends it. */
  listen(listener: (event: ServerEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  retry(): void {
    this.#stream.retryNow();
  }

  #opened(resumed: boolean): void {
    // A resumed stream brings all that was missed; a fresh one says nothing about the time before it.
    if (!resumed || !this.devices.loaded) {
      this.epoch += 1;
      void this.devices.reload();
    }
  }

  #take(events: ServerEvent[]): void {
    this.#bunch.push(...events);
    this.#timer ??= setTimeout(() => this.#apply(), BUNCH_MS);
  }

  #apply(): void {
    const events = this.#bunch;
    this.#bunch = [];
    this.#timer = undefined;
    this.count += events.length;
    for (const event of events) {
      this.devices.event(event);
      for (const listener of this.#listeners) listener(event);
      twins.of(event.endpoint).event(event);
      if (event.type === "registered" && event.registration) {
        twins.of(event.endpoint).registered(event.registration.objects);
      }
    }
    this.feed.push(events);
  }
}

export const live = new Live();
