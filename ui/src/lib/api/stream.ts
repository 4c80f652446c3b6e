// The one connection for events: it stays up, notices when it is dead, and resumes where it was.
//
//   connecting ──ok──▶ live ──closed, error, silence──▶ waiting ──time or retryNow──▶ connecting
//        └──401/403──▶ refused ──(a token is set)──▶ connecting

import { SseParser } from "./sse";
import { isTokenProblem } from "./client";
import type { Problem, ServerEvent } from "./types";

export type StreamState =
  | { kind: "connecting" }
  | { kind: "live" }
  | { kind: "waiting"; until: number; reason: string }
  | { kind: "refused" };

/** What a stream tells: whatever else it is, one may be a gap. */
interface Told {
  type?: string;
}

export interface StreamOptions<T extends Told = ServerEvent> {
  url: () => string;
  headers: () => Record<string, string>;
  onEvents: (events: T[]) => void;
  /** The stream is up. `resumed` = nothing was missed; otherwise state read before may be old, by so many as `lost` says if it is known. */
  onOpen: (resumed: boolean, lost?: number) => void;
  onState: (state: StreamState) => void;
  fetch?: typeof fetch;
  /** A server sends something at least every 15 s; after this long without a byte the connection is dead. */
  silenceMaxMs?: number;
  backoffMs?: { first: number; max: number };
}

export class EventStream<T extends Told = ServerEvent> {
  #options: Required<StreamOptions<T>>;
  #lastId: string | undefined;
  #abort: AbortController | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #failures = 0;

  constructor(options: StreamOptions<T>) {
    this.#options = {
      fetch: (...args) => fetch(...args),
      silenceMaxMs: 45_000,
      backoffMs: { first: 500, max: 10_000 },
      ...options,
    };
  }

  start(): void {
    this.stop();
    void this.#run();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#abort?.abort();
    this.#abort = undefined;
  }

  /** Begins at what is new, for other events than before. */
  startAnew(): void {
    this.#lastId = undefined;
    this.#failures = 0;
    this.start();
  }

  /** Does not wait for the back-off to end. */
  retryNow(): void {
    this.#failures = 0;
    this.start();
  }

  async #run(): Promise<void> {
    const abort = new AbortController();
    this.#abort = abort;
    this.#options.onState({ kind: "connecting" });
    let reason: string;
    try {
      reason = await this.#connect(abort);
    } catch (error) {
      reason = error instanceof Error ? error.message : String(error);
    }
    // Someone stopped or restarted us meanwhile: the new run reports, not this one.
    if (this.#abort !== abort) return;
    abort.abort();
    if (reason === "refused") this.#options.onState({ kind: "refused" });
    else this.#retryLater(reason);
  }

  #retryLater(reason: string): void {
    const { first, max } = this.#options.backoffMs;
    const delay = Math.min(max, first * 2 ** this.#failures);
    this.#failures += 1;
    this.#options.onState({ kind: "waiting", until: Date.now() + delay, reason });
    this.#timer = setTimeout(() => void this.#run(), delay);
  }

  /** Returns why the connection ended. */
  async #connect(abort: AbortController): Promise<string> {
    const resuming = this.#lastId;
    const headers: Record<string, string> = { Accept: "text/event-stream", ...this.#options.headers() };
    if (resuming !== undefined) headers["Last-Event-ID"] = resuming;
    let silence = setTimeout(() => abort.abort(new Error("silence")), this.#options.silenceMaxMs);
    try {
      const response = await this.#options.fetch(this.#options.url(), { headers, signal: abort.signal, cache: "no-store" });
      if (await wantsToken(response)) return "refused";
      if (response.status === 410) {
        this.#lastId = undefined;
        return "the place to resume from is gone";
      }
      if (!response.ok || !response.body) return `the server answers ${response.status}`;
      this.#failures = 0;
      this.#options.onState({ kind: "live" });
      this.#options.onOpen(resuming !== undefined);

      const reader = response.body.getReader();
      const decoder = new TextDecoder();
      const parser = new SseParser();
      for (;;) {
        const { done, value } = await reader.read();
        clearTimeout(silence);
        // What was on its way when this one was given up comes again by the next.
        if (done || abort.signal.aborted) return "the server closed the connection";
        silence = setTimeout(() => abort.abort(new Error("silence")), this.#options.silenceMaxMs);
        this.#deliver(parser.push(decoder.decode(value, { stream: true })));
      }
    } finally {
      clearTimeout(silence);
    }
  }

  #deliver(messages: { id?: string; event?: string; data: string }[]): void {
    const events: T[] = [];
    for (const message of messages) {
      if (message.id !== undefined && message.id !== "") this.#lastId = message.id;
      let event: T;
      try {
        event = JSON.parse(message.data) as T;
      } catch {
        continue;
      }
      if (event.type === "gap" || message.event === "gap") {
        this.#options.onOpen(false, (event as { lost?: number }).lost);
        continue;
      }
      events.push(event);
    }
    if (events.length > 0) this.#options.onEvents(events);
  }
}

async function wantsToken(response: Response): Promise<boolean> {
  if (response.status !== 401 && response.status !== 403) return false;
  const problem = (await response.json().catch(() => ({}))) as Problem;
  return isTokenProblem(response.status, problem);
}
