// LwM2M paths as plain strings, `/3/0/9`.

export type Level = "root" | "object" | "instance" | "resource" | "resource instance";

const LEVELS: Level[] = ["root", "object", "instance", "resource", "resource instance"];

/** The IDs of a path, or undefined when it is not one. Accepts it with or without the leading slash. */
export function parsePath(text: string): number[] | undefined {
  const trimmed = text.replace(/^\//, "");
  if (trimmed === "") return [];
  const parts = trimmed.split("/");
  if (parts.length > 4) return undefined;
  const ids: number[] = [];
  for (const part of parts) {
    if (!/^\d{1,5}$/.test(part)) return undefined;
    const id = Number(part);
    // 65535 is reserved: it never names anything.
    if (id >= 65535) return undefined;
    ids.push(id);
  }
  return ids;
}

export function formatPath(ids: readonly number[]): string {
  return `/${ids.join("/")}`;
}

export function level(path: string): Level {
  return LEVELS[parsePath(path)?.length ?? 0] ?? "root";
}

/** True when `outer` is `inner` or stands above it. */
export function contains(outer: string, inner: string): boolean {
  return outer === "/" || inner === outer || inner.startsWith(`${outer}/`);
}

export function parent(path: string): string {
  const at = path.lastIndexOf("/");
  return at <= 0 ? "/" : path.slice(0, at);
}

/** Tree order: numbers by value, a parent before its children. */
export function comparePaths(a: string, b: string): number {
  const x = parsePath(a) ?? [];
  const y = parsePath(b) ?? [];
  for (let i = 0; i < Math.min(x.length, y.length); i += 1) {
    const difference = (x[i] ?? 0) - (y[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return x.length - y.length;
}
