// What no event tells, such as a credential that somebody else has changed: a page that is looked at asks for it again.

import { live } from "./live.svelte";

const AGAIN_MS = 5000;

/** Asks again and again while the page is seen and the server is there, and at once when somebody comes back to it; gives what ends it. */
export function whileSeen(ask: () => void, ms = AGAIN_MS): () => void {
  const again = (): void => {
    if (!document.hidden && live.state.kind === "live") ask();
  };
  const timer = setInterval(again, ms);
  document.addEventListener("visibilitychange", again);
  window.addEventListener("focus", again);
  return () => {
    clearInterval(timer);
    document.removeEventListener("visibilitychange", again);
    window.removeEventListener("focus", again);
  };
}
