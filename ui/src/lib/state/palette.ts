// What the command palette offers for a text, apart from devices, which the server finds.

import { parsePath } from "../lwm2m/path";
import { deviceHref, TABS, type Route } from "./route";

export interface Choice {
  /** What it is: `page`, `device`, … */
  kind: string;
  text: string;
  /** What is said besides. */
  hint?: string;
  href?: string;
  run?: () => void;
}

/** How well a text answers a search; 0 = not at all. Each word of the search must be in it. */
export function rank(text: string, search: string): number {
  const lower = text.toLowerCase();
  const words = search.toLowerCase().split(/\s+/).filter((word) => word !== "");
  let score = 1;
  for (const word of words) {
    const at = lower.indexOf(word);
    if (at < 0) return 0;
    // A beginning counts more than a middle.
    score += at === 0 ? 3 : /[\s/:,.-]/.test(lower.charAt(at - 1)) ? 2 : 1;
  }
  return score;
}

export function ranked(choices: readonly Choice[], search: string): Choice[] {
  return choices
    .map((choice) => ({ choice, score: rank(`${choice.text} ${choice.hint ?? ""}`, search) }))
    .filter(({ score }) => score > 0)
    .sort((a, b) => b.score - a.score)
    .map(({ choice }) => choice);
}

const TAB_WORDS: Partial<Record<(typeof TABS)[number], string>> = {
  data: "read, write, execute, observe, attributes",
  composite: "several resources in one message",
  queue: "commands that wait",
  history: "charts",
  security: "session, credential, handshakes",
  bootstrap: "document, plan, sessions",
  log: "events",
};

/** What can be done where the page is. */
export function choicesHere(route: Route): Choice[] {
  if (route.page !== "device") return [];
  const { endpoint, path } = route;
  const tabs = TABS.filter((tab) => tab !== route.tab).map((tab): Choice => {
    const words = TAB_WORDS[tab];
    return { kind: "this device", text: `${tab.charAt(0).toUpperCase()}${tab.slice(1)}`, href: deviceHref(endpoint, tab), ...(words ? { hint: words } : {}) };
  });
  if (path === undefined) return tabs;
  return [...tabs, { kind: "this device", text: `History of ${path}`, href: deviceHref(endpoint, "history", `1h,${path}`) }];
}

/** A path that was typed leads to its place on the device that is open. */
export function choiceOfPath(route: Route, search: string): Choice[] {
  const text = search.trim();
  if (route.page !== "device" || !/^\/?\d/.test(text)) return [];
  const ids = parsePath(text.replace(/\/+$/, ""));
  if (!ids || ids.length === 0) return [];
  const path = `/${ids.join("/")}`;
  return [{ kind: "this device", text: `Go to ${path}`, href: deviceHref(route.endpoint, "data", path) }];
}
