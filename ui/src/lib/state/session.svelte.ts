// The API client of this tab, with its token. The token lives as long as the tab and never in a link.

import { Client } from "../api/client";
import { clock } from "./clock.svelte";

const KEY = "lightship.token";

function loadToken(): string {
  try {
    return sessionStorage.getItem(KEY) ?? "";
  } catch {
    return "";
  }
}

class Session {
  token = $state(loadToken());
  /** The server wants a token, or another one. */
  locked = $state(false);
  /** Why, in the server's words. */
  reason = $state("");

  readonly client = new Client({
    token: () => this.token,
    onUnauthorized: (problem) => this.lock(problem.detail ?? problem.title ?? ""),
    onServerTime: (ms) => clock.serverTime(ms),
  });

  lock(reason: string): void {
    this.locked = true;
    this.reason = reason;
  }

  setToken(token: string): void {
    this.token = token.trim();
    this.locked = false;
    try {
      sessionStorage.setItem(KEY, this.token);
    } catch {
      // Kept in memory then.
    }
  }
}

export const session = new Session();
