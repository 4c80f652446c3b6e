// Ties the event stream to the stores.

import { EventStream, type StreamState } from "../api/stream";
import type { ServerEvent } from "../api/types";
import { Devices } from "./devices.svelte";
import { Feed } from "./feed.svelte";
import type { Route } from "./route";
import { session } from "./session.svelte";
import { twins } from "./twin.svelte";

// Events are applied in bunches, so that a burst costs one redraw and not thousands.
const BUNCH_MS = 100;

/** Events of one device, or of these types; all of them without either. */
export interface Scope {
  endpoint?: string;
  type?: string;
  [name: string]: string | undefined;
}

/** What the list and the overview need: who comes and goes, and how it is with those that are shown. */
const FLEET_TYPES = "registered,updated,deregistered,expired,awake,asleep";

export function scopeOf(route: Route): Scope {
  if (route.page === "device") return { endpoint: route.endpoint };
  if (route.page === "devices") return { type: FLEET_TYPES };
  if (route.page === "overview") return { type: "expired,handshake_failed,bootstrap_started" };
  return {};
}

class Live {
  state: StreamState = $state.raw({ kind: "connecting" });
  /** Grows each time that something may have been missed: pages then ask anew for what they show. */
  epoch = $state(0);
  /** Events taken in since the page was opened. */
  count = $state(0);
  readonly devices = new Devices(session.client);
  readonly feed = new Feed();

  /** Which events the page that is open needs. */
  #scope: Scope = {};
  /** The device that the page is about: it is taken in when it registers. */
  #open: string | undefined;
  #bunch: ServerEvent[] = [];
  #bunchListeners = new Set<(events: readonly ServerEvent[]) => void>();
  #listeners = new Set<(event: ServerEvent) => void>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #started = false;
  #stream = new EventStream({
    url: () => session.client.url("/events", this.#scope),
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
    this.#started = true;
    return () => this.#stream.stop();
  }

  /** The server sends only what is asked for: a page is not to drown in what it does not show. */
  follow(scope: Scope, open: string | undefined): void {
    this.#open = open;
    if (scope.endpoint === this.#scope.endpoint && scope.type === this.#scope.type) return;
    this.#scope = scope;
    if (this.#started) this.#stream.startAnew();
  }

  /** Calls with all events that came since the last time, at most ten times a second. */
  listenBunches(listener: (events: readonly ServerEvent[]) => void): () => void {
    this.#bunchListeners.add(listener);
    return () => this.#bunchListeners.delete(listener);
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
    if (!resumed) this.epoch += 1;
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
    for (const listener of this.#bunchListeners) listener(events);
    for (const event of events) {
      this.devices.event(event, this.#open);
      for (const listener of this.#listeners) listener(event);
      const twin = twins.known(event.endpoint);
      twin?.event(event);
      if (event.type === "registered" && event.registration) twin?.registered(event.registration.objects);
    }
    this.feed.push(events);
  }
}

export const live = new Live();
