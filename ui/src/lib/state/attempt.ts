// Calls whose failure is part of the page.

import { ApiError, type Call } from "../api/client";
import { session } from "./session.svelte";

/** Runs a body; gives what went wrong in words, or nothing. */
export async function attempt(body: () => Promise<unknown>): Promise<string> {
  try {
    await body();
    return "";
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** What the call brings, or undefined where there is nothing (404). */
export async function find<T>(call: Call): Promise<T | undefined> {
  try {
    return await session.client.call<T>(call);
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return undefined;
    throw error;
  }
}

/** Of several answers to one question only the one that was asked for last counts. */
export class Turn {
  #last = 0;

  /** Asks anew; what it gives says whether nobody has asked since. */
  take(): () => boolean {
    this.#last += 1;
    const mine = this.#last;
    return () => mine === this.#last;
  }
}

/** An address of encoded parts. */
export const at = (...parts: string[]): string => `/${parts.map(encodeURIComponent).join("/")}`;
