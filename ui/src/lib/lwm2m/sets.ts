// Named sets of paths for composite operations, kept by the browser.

import { comparePaths, contains, formatPath, parsePath } from "./path";

export interface PathSet {
  name: string;
  paths: string[];
}

export const PATHS_MAX = 200;
export const SETS_MAX = 100;

// The name stands in an address of the API, so it has no slash and is no "." or "..".
const NAME = /^[\p{L}\p{N}_][\p{L}\p{N}_ .-]{0,47}$/u;

/** What is wrong with a name, or undefined when it can be used. */
export function nameError(name: string, taken: Iterable<string>): string | undefined {
  if (!NAME.test(name)) return "A name has 1 to 48 letters, digits, spaces, dots and dashes, and begins with a letter or a digit.";
  return [...taken].includes(name) ? "Another set has this name." : undefined;
}

/** `Set 1`, or the next number that is free. */
export function freeName(taken: Iterable<string>): string {
  const names = new Set(taken);
  let number = 1;
  while (names.has(`Set ${number}`)) number += 1;
  return `Set ${number}`;
}

/** Adds a path. What it covers goes, and what is covered already changes nothing: a device must not be asked twice. */
export function withPath(paths: string[], path: string): string[] {
  if (paths.some((known) => contains(known, path))) return paths;
  return [...paths.filter((known) => !contains(path, known)), path].sort(comparePaths);
}

/** Paths from what a person typed: separated by spaces, commas or lines. */
export function parsePaths(text: string): { paths: string[] } | { error: string } {
  const words = text.split(/[\s,]+/).filter((word) => word !== "");
  let paths: string[] = [];
  for (const word of words) {
    const ids = parsePath(word);
    if (!ids || ids.length === 0) return { error: `${word} is no path, such as /3/0/9.` };
    paths = withPath(paths, formatPath(ids));
  }
  if (paths.length === 0) return { error: "A set needs one path at least." };
  if (paths.length > PATHS_MAX) return { error: `A set holds ${PATHS_MAX} paths at most.` };
  return { paths };
}

/** What the browser kept. What is damaged is left out. */
export function parseSets(text: string | null): PathSet[] {
  let kept: unknown;
  try {
    kept = JSON.parse(text ?? "[]");
  } catch {
    return [];
  }
  if (!Array.isArray(kept)) return [];
  const sets: PathSet[] = [];
  for (const item of kept.slice(0, SETS_MAX) as Partial<PathSet>[]) {
    if (typeof item?.name !== "string" || !Array.isArray(item.paths)) continue;
    if (nameError(item.name, sets.map((set) => set.name)) !== undefined) continue;
    const paths = parsePaths(item.paths.filter((path) => typeof path === "string").join(" "));
    if ("paths" in paths) sets.push({ name: item.name, paths: paths.paths });
    else if (item.paths.length === 0) sets.push({ name: item.name, paths: [] });
  }
  return sets;
}
