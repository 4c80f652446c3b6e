// The difference of two texts, line by line.

export interface DiffLine {
  kind: "same" | "gone" | "new";
  text: string;
}

// Beyond this many lines the table of the search would be too big; such documents are compared whole.
const LINES_MAX = 2000;

/** What leads from one text to the other, by the longest common run of lines. */
export function diffLines(before: string, after: string): DiffLine[] {
  const a = before === "" ? [] : before.split("\n");
  const b = after === "" ? [] : after.split("\n");
  const line = (kind: DiffLine["kind"]) => (text: string): DiffLine => ({ kind, text });
  if (a.length > LINES_MAX || b.length > LINES_MAX) return [...a.map(line("gone")), ...b.map(line("new"))];
  // length[i][j] = the longest common run of what is left from i and j on.
  const length = Array.from({ length: a.length + 1 }, () => new Uint16Array(b.length + 1));
  const at = (i: number, j: number): number => length[i]?.[j] ?? 0;
  for (let i = a.length - 1; i >= 0; i -= 1) {
    for (let j = b.length - 1; j >= 0; j -= 1) {
      const row = length[i];
      if (row) row[j] = a[i] === b[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1));
    }
  }
  const lines: DiffLine[] = [];
  let [i, j] = [0, 0];
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      lines.push({ kind: "same", text: a[i] ?? "" });
      i += 1;
      j += 1;
    } else if (j >= b.length || (i < a.length && at(i + 1, j) >= at(i, j + 1))) {
      lines.push({ kind: "gone", text: a[i] ?? "" });
      i += 1;
    } else {
      lines.push({ kind: "new", text: b[j] ?? "" });
      j += 1;
    }
  }
  return lines;
}

/** JSON with its names in order, so that only what differs differs. */
export function sortedJson(value: unknown): string {
  const sort = (item: unknown): unknown => {
    if (Array.isArray(item)) return item.map(sort);
    if (typeof item !== "object" || item === null) return item;
    return Object.fromEntries(Object.entries(item).sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, inner]) => [name, sort(inner)]));
  };
  return JSON.stringify(sort(value), null, 2);
}
