// What the log holds of one path, for a chart: loaded once, then kept up by what the device tells.

import { endpointPath, type Call } from "../api/client";
import type { History, ServerEvent } from "../api/types";
import { flatten } from "../lwm2m/node";
import { contains } from "../lwm2m/path";
import { numeric } from "../lwm2m/values";
import { attempt } from "./attempt";
import { session } from "./session.svelte";
import type { Point } from "./twin.svelte";

const PAGE = 2000;
// What a chart of some thousand pixels can still show.
const POINTS_MAX = 20_000;

export function historyCall(endpoint: string, path: string, from: string, cursor?: string): Call {
  return { method: "GET", path: endpointPath(endpoint, "history", path.slice(1)), query: { from, limit: String(PAGE), cursor } };
}

export class PathHistory {
  points: Point[] = $state.raw([]);
  loaded = $state(false);
  /** There is more than is shown. */
  cut = $state(false);
  error = $state("");
  readonly path: string;
  readonly #endpoint: string;
  readonly #from: string;

  /** `from` = a span such as `1h` for so long ago. */
  constructor(endpoint: string, path: string, from: string) {
    this.path = path;
    this.#endpoint = endpoint;
    this.#from = from;
  }

  async load(): Promise<void> {
    this.error = await attempt(async () => {
      const found: Point[] = [];
      let cursor: string | undefined;
      do {
        const page: History = await session.client.call<History>(historyCall(this.#endpoint, this.path, this.#from, cursor));
        for (const item of page.items) {
          const value = numeric(item.value, item.type);
          if (item.path === this.path && value !== undefined) found.push({ time: Date.parse(item.time), value });
        }
        cursor = page.next;
      } while (cursor !== undefined && found.length < POINTS_MAX);
      this.cut = cursor !== undefined;
      const newest = Math.max(0, ...found.map((point) => point.time));
      this.points = sorted([...found, ...this.points.filter((point) => point.time > newest)]);
      this.loaded = true;
    });
  }

  event(event: ServerEvent): void {
    if (event.endpoint !== this.#endpoint || !event.content) return;
    const heard = Date.parse(event.time);
    const told = flatten(event.content).filter((entry) => contains(this.path, entry.path));
    const points = told.map((entry) => ({ time: entry.time ?? heard, value: numeric(entry.value, entry.type) }));
    const fresh = points.filter((point): point is Point => point.value !== undefined);
    if (fresh.length > 0) this.points = sorted([...this.points, ...fresh]).slice(-POINTS_MAX);
  }
}

/** In order of time, one point for each moment: the one that came last. */
function sorted(points: Point[]): Point[] {
  return [...new Map(points.map((point) => [point.time, point])).values()].sort((a, b) => a.time - b.time);
}
