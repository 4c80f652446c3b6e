// Spans of time and counts in words.

/** `1 report`, `2 reports` */
export function count(number: number, thing: string): string {
  return `${number.toLocaleString("en")} ${thing}${number === 1 ? "" : "s"}`;
}

/** `now`, `12 s`, `3 min`, `2 h`, `5 d` */
export function shortSpan(ms: number): string {
  const s = Math.floor(ms / 1000);
  if (s < 1) return "now";
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  if (s < 86_400) return `${Math.floor(s / 3600)} h`;
  return `${Math.floor(s / 86_400)} d`;
}

export function ago(ms: number): string {
  const span = shortSpan(ms);
  return span === "now" ? "just now" : `${span} ago`;
}

/** `in 5 min`, or that the moment has come. The nearest whole number of minutes, hours or days: what ends in seven days less a second ends in seven. */
export function until(ms: number): string {
  if (ms < 1000) return "any moment";
  const [unit] = [86_400_000, 3_600_000, 60_000].filter((size) => ms > size * 1.5);
  return `in ${shortSpan(unit === undefined ? ms : Math.round(ms / unit) * unit)}`;
}

/** A whole span, two units at most: `1 h 30 min`, `45 s`, `1 d`. */
export function fullSpan(seconds: number): string {
  const units: [number, string][] = [
    [86_400, "d"],
    [3600, "h"],
    [60, "min"],
    [1, "s"],
  ];
  let rest = Math.max(0, Math.floor(seconds));
  const parts: string[] = [];
  for (const [size, name] of units) {
    const count = Math.floor(rest / size);
    if (count > 0) parts.push(`${count} ${name}`);
    rest -= count * size;
    if (parts.length === 2) break;
  }
  return parts.join(" ") || "0 s";
}
