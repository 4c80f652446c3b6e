// How often something comes, in words.

/** `12 a minute`, `3.5 an hour`; nothing for what has no duration yet. */
export function rateText(count: number, ms: number): string {
  if (ms < 1000 || count === 0) return "";
  const perMinute = count / (ms / 60_000);
  if (perMinute >= 1) return `${round(perMinute)} a minute`;
  if (perMinute * 60 >= 1) return `${round(perMinute * 60)} an hour`;
  return `${round(perMinute * 1440)} a day`;
}

function round(value: number): string {
  return value >= 10 ? String(Math.round(value)) : String(Number(value.toFixed(1)));
}
