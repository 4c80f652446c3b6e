// The trace of one device while somebody looks: what the server holds, and what comes, unless it is held.

import { EventStream, type StreamState } from "../api/stream";
import { followCall, traceCall, type TraceItem, type TracePage } from "../api/trace";
import { attempt } from "./attempt";
import { joined } from "./paging";
import { session } from "./session.svelte";

export class Trace {
  items: TraceItem[] = $state.raw([]);
  loaded = $state(false);
  error = $state("");
  /** Messages may be missing: more came than the server keeps, or it was started anew. */
  gap = $state(false);
  /** How many at least: those that came too fast to be told. */
  lost = $state(0);
  paused = $state(false);
  /** How many came while it was paused. */
  held = $state(0);
  stream: StreamState = $state.raw({ kind: "connecting" });
  /** The server may keep older ones than these. */
  more = $state(false);
  /** Somebody has emptied the list, and nothing came since. */
  cleared = $state(false);
  /** How many were asked for. */
  limit = $state(0);
  readonly endpoint: string;
  #max: number;
  #waiting: TraceItem[] = [];
  #source: EventStream<TraceItem> | undefined;

  constructor(endpoint: string, limit = 500, max = 2000) {
    this.endpoint = endpoint;
    this.limit = limit;
    this.#max = max;
  }

  /** Loads what there is and follows from there: for an effect of a component. */
  follow(): () => void {
    let over = false;
    void this.#load().then((next) => {
      if (!over && next !== undefined) this.#listen(next);
    });
    return () => {
      over = true;
      this.#source?.stop();
    };
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    this.paused = false;
    this.#append(this.#waiting);
    this.#waiting = [];
    this.held = 0;
  }

  clear(): void {
    this.items = [];
    this.#waiting = [];
    this.held = 0;
    this.gap = false;
    this.lost = 0;
    this.cleared = true;
    this.more = true;
  }

  /** Asks for as many as are kept on the page at all. */
  async older(): Promise<void> {
    this.more = false;
    this.limit = this.#max;
    this.error = await attempt(async () => {
      const page = await session.client.call<TracePage>(traceCall(this.endpoint, this.#max));
      this.#put(joined(page.items, this.items, (item) => item.id));
    });
    // It can be asked once more.
    if (this.error !== "") this.more = true;
  }

  retryNow(): void {
    this.#source?.retryNow();
  }

  async #load(): Promise<string | undefined> {
    let next: string | undefined;
    this.error = await attempt(async () => {
      const page = await session.client.call<TracePage>(traceCall(this.endpoint, this.limit));
      this.#put(joined([], page.items, (item) => item.id));
      this.more = page.items.length >= this.limit;
      next = page.next;
      this.loaded = true;
    });
    return next;
  }

  #listen(after: string): void {
    const call = followCall(this.endpoint, after);
    this.#source = new EventStream<TraceItem>({
      url: () => session.client.url(call.path, call.query),
      headers: () => session.client.headers(),
      onEvents: (items) => this.#take(items),
      onOpen: (_, lost) => this.#opened(lost),
      onState: (state) => this.#tell(state),
    });
    this.#source.start();
  }

  #fresh = false;

  #tell(state: StreamState): void {
    this.stream = state;
    if (state.kind === "live") this.#fresh = true;
  }

  /** A connection says so once when it is up, for it goes on where the one before ended; after that it is the word for a gap. */
  #opened(lost = 0): void {
    if (!this.#fresh) this.gap = true;
    this.lost += lost;
    this.#fresh = false;
  }

  #take(items: TraceItem[]): void {
    if (!this.paused) return this.#append(items);
    this.#waiting = [...this.#waiting, ...items].slice(-this.#max);
    this.held = this.#waiting.length;
  }

  #append(items: TraceItem[]): void {
    // After a break some may come once more.
    if (items.length > 0) this.#put(joined(this.items, items, (item) => item.id));
  }

  #put(items: TraceItem[]): void {
    this.items = items.slice(-this.#max);
    if (items.length > 0) this.cleared = false;
  }
}
