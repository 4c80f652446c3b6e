// The API client of this tab, with its token. The token lives as long as the tab and never in a link.

import { Client, type Call } from "../api/client";
import { covers, neededRole, type Caller, type CallerRole } from "../api/roles";
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
  /** Who the server says that we are; unknown until it has said so. */
  me: Caller | undefined = $state.raw(undefined);

  readonly client = new Client({
    token: () => this.token,
    onUnauthorized: (problem) => this.lock(problem.detail ?? problem.title ?? ""),
    onServerTime: (ms) => clock.serverTime(ms),
  });

  /** Asks who we are; a server that does not say leaves it open. */
  async load(): Promise<void> {
    try {
      this.me = await this.client.call<Caller>({ method: "GET", path: "/session" });
    } catch {
      this.me = undefined;
    }
  }

  /** Whether we may what needs this role. As long as it is not known the server decides. */
  can(needed: CallerRole): boolean {
    return this.me === undefined || covers(this.me.role, needed);
  }

  /** Why a button is disabled, for its title; empty when it is not. */
  why(needed: CallerRole): string {
    return this.can(needed) ? "" : `This needs the role ${needed}; your token is ${this.me?.role ?? "unknown"}.`;
  }

  /** The same for a request. */
  whyNot(call: Pick<Call, "method" | "path" | "query">): string {
    return this.why(neededRole(call));
  }

  lock(reason: string): void {
    this.me = undefined;
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
    void this.load();
  }
}

export const session = new Session();
