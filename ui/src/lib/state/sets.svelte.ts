// The sets of paths of this browser. They serve every device, because one wants the same of many.

import { freeName, parseSets, PATHS_MAX, SETS_MAX, withPath, type PathSet } from "../lwm2m/sets";
import { load, save } from "./prefs.svelte";

const KEY = "sets";

class Sets {
  list: PathSet[] = $state.raw(parseSets(load(KEY)));
  /** The set that the tree's buttons add to; empty = they are not shown. */
  collecting = $state("");

  get(name: string): PathSet | undefined {
    return this.list.find((set) => set.name === name);
  }

  names(): string[] {
    return this.list.map((set) => set.name);
  }

  #keep(list: PathSet[]): void {
    this.list = list;
    save(KEY, JSON.stringify(list));
  }

  /** Makes a set, or gives the one of that name other paths. */
  put(name: string, paths: string[]): void {
    if (this.get(name)) this.#keep(this.list.map((set) => (set.name === name ? { name, paths } : set)));
    else if (this.list.length < SETS_MAX) this.#keep([...this.list, { name, paths }]);
  }

  create(): string {
    const name = freeName(this.names());
    this.put(name, []);
    return name;
  }

  change(before: string, after: PathSet): void {
    this.#keep(this.list.map((set) => (set.name === before ? after : set)));
    if (this.collecting === before) this.collecting = after.name;
  }

  remove(name: string): void {
    this.#keep(this.list.filter((set) => set.name !== name));
    if (this.collecting === name) this.collecting = "";
  }

  /** Puts a path into a set, or takes it out. */
  toggle(name: string, path: string): void {
    const paths = this.get(name)?.paths ?? [];
    if (paths.includes(path)) this.put(name, paths.filter((known) => known !== path));
    else if (paths.length < PATHS_MAX) this.put(name, withPath(paths, path));
  }
}

export const sets = new Sets();
