// Lists that somebody wants to see again: a name and the address.

import { joined } from "./paging";
import { load, save } from "./prefs.svelte";

export interface View {
  name: string;
  href: string;
}

const VIEWS_MAX = 30;

function read(): View[] {
  try {
    const kept: unknown = JSON.parse(load("views") ?? "[]");
    if (!Array.isArray(kept)) return [];
    const isView = (one: unknown): one is View =>
      typeof one === "object" && one !== null && typeof (one as View).name === "string" && /^#\/devices(\?|$)/.test(String((one as View).href));
    return joined([], kept.filter(isView), (view) => view.name).slice(0, VIEWS_MAX);
  } catch {
    return [];
  }
}

class Views {
  all: View[] = $state.raw(read());

  keep(view: View): void {
    this.#set([...this.all.filter((other) => other.name !== view.name), view].slice(-VIEWS_MAX));
  }

  forget(name: string): void {
    this.#set(this.all.filter((view) => view.name !== name));
  }

  #set(all: View[]): void {
    this.all = all;
    save("views", JSON.stringify(all));
  }
}

export const views = new Views();
