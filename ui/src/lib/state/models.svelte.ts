// Object definitions, asked for once each.

import { SvelteMap } from "svelte/reactivity";
import { ApiError } from "../api/client";
import type { ObjectModel, ResourceModel } from "../api/types";
import { parsePath } from "../lwm2m/path";
import { printable } from "../lwm2m/values";
import { session } from "./session.svelte";

/** Whoever wrote a definition may have meant harm: its words are made fit to be shown, once for all pages. */
function legible(model: ObjectModel): ObjectModel {
  const words = <T extends object>(item: T): T => {
    const shown = Object.entries(item).map(([key, value]: [string, unknown]) => [key, typeof value === "string" ? printable(value) : value]);
    return Object.fromEntries(shown) as T;
  };
  return { ...words(model), resources: model.resources.map(words) };
}

class Models {
  /** By `id` or `id@version`; null = the server knows none. */
  readonly #known = new SvelteMap<string, ObjectModel | null>();
  readonly #asked = new Set<string>();

  /** What is known now; asks for it when it is not. Undefined = not known yet. */
  object(id: number, version?: string | null): ObjectModel | null | undefined {
    const key = version ? `${id}@${version}` : String(id);
    const known = this.#known.get(key);
    if (known === undefined && !this.#asked.has(key)) {
      this.#asked.add(key);
      void this.#ask(key, id, version ?? undefined);
    }
    return known;
  }

  async #ask(key: string, id: number, version: string | undefined): Promise<void> {
    try {
      const query = { version };
      const model = await session.client.call<ObjectModel>({ method: "GET", path: `/models/${id}`, query });
      this.#known.set(key, legible(model));
    } catch (error) {
      if (!(error instanceof ApiError) || error.status !== 404) {
        // Not an answer: ask again at the next look.
        setTimeout(() => this.#asked.delete(key), 2000);
      } else if (version === undefined) {
        this.#known.set(key, null);
      } else {
        // An unknown version is shown by the newest definition rather than by bare numbers.
        await this.#ask(key, id, undefined);
      }
    }
  }

  /** Definitions of an object were added or taken away. */
  forget(id: number): void {
    for (const key of [...this.#known.keys()]) {
      if (key === String(id) || key.startsWith(`${id}@`)) {
        this.#known.delete(key);
        this.#asked.delete(key);
      }
    }
  }

  resource(path: string, version?: string | null): ResourceModel | undefined {
    const ids = parsePath(path) ?? [];
    const [object, , resource] = ids;
    if (object === undefined || resource === undefined) return undefined;
    return this.object(object, version)?.resources.find((candidate) => candidate.id === resource);
  }
}

export const models = new Models();
