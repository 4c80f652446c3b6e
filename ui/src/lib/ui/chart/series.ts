// What a chart shows, and how several series come onto one axis of time.

export interface ChartPoint {
  /** Milliseconds since 1970. */
  time: number;
  /** `null` breaks the line here. */
  value: number | null;
}

export interface ChartSeries {
  label: string;
  /** Series of one unit share a scale; the first two units get an axis. */
  unit?: string | undefined;
  points: readonly ChartPoint[];
  /** `line` unless told otherwise. */
  kind?: "line" | "area" | "steps" | "bars";
}

/** A span of time that is shaded, and why. */
export interface ChartBand {
  from: number;
  to: number;
  label: string;
  tone?: "sleep" | "bad" | "muted";
}

/** As many as there are colours `--chart-1` … in app.css; more series begin again. */
export const COLOURS = 6;

/** Times in seconds, ascending, then one column for each series: `undefined` = nothing of it then, `null` = a gap. */
export type Aligned = [number[], ...(number | null | undefined)[][]];

export function align(series: readonly ChartSeries[]): Aligned {
  const times = [...new Set(series.flatMap((one) => one.points.map((point) => point.time)))].sort((a, b) => a - b);
  const columns = series.map((one) => {
    const values = new Map(one.points.map((point) => [point.time, point.value]));
    return times.map((time) => values.get(time));
  });
  return [times.map((time) => time / 1000), ...columns];
}

/** The points with a break where each band begins: a line must not claim what nobody heard. */
export function withGaps(points: readonly ChartPoint[], bands: readonly ChartBand[]): ChartPoint[] {
  const moments = new Set(points.map((point) => point.time));
  const gaps = bands.filter((band) => !moments.has(band.from)).map((band): ChartPoint => ({ time: band.from, value: null }));
  return [...points, ...gaps].sort((a, b) => a.time - b.time);
}

export interface Summary {
  label: string;
  count: number;
  low: number;
  high: number;
  last: number;
}

/** What a series says in words; nothing for one without values. */
export function summary(one: ChartSeries): Summary | undefined {
  let found: Summary | undefined;
  for (const { value } of one.points) {
    if (value === null) continue;
    found ??= { label: one.label, count: 0, low: value, high: value, last: value };
    found.count += 1;
    found.low = Math.min(found.low, value);
    found.high = Math.max(found.high, value);
    found.last = value;
  }
  return found;
}

/** The places of values that no line leads to or from: only a point shows them. */
export function alone(column: readonly (number | null | undefined)[]): number[] {
  // Where there is nothing of a series its line goes on; a gap, and the end, break it.
  const known = column.map((value, at) => ({ value, at })).filter(({ value }) => value !== undefined);
  const is = (place: number): boolean => typeof known[place]?.value === "number";
  return known.filter((_, place) => is(place) && !is(place - 1) && !is(place + 1)).map(({ at }) => at);
}

/** The units in the order in which they come; each is a scale. */
export function scalesOf(series: readonly ChartSeries[]): string[] {
  return [...new Set(series.map((one) => one.unit ?? ""))];
}

const two = (number: number): string => String(number).padStart(2, "0");

/** A mark on the axis of time, in the viewer's zone, as exact as marks `step` seconds apart need. */
export function timeMark(seconds: number, step: number): string {
  const date = new Date(seconds * 1000);
  const day = `${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  if (step >= 86_400) return day;
  const minute = `${two(date.getHours())}:${two(date.getMinutes())}`;
  if (minute === "00:00" && date.getSeconds() === 0) return day;
  return step >= 60 ? minute : `${minute}:${two(date.getSeconds())}`;
}

/** A number of at most five digits. */
export function figure(value: number): string {
  if (Number.isInteger(value) && Math.abs(value) < 1e7) return String(value);
  return String(Number(value.toPrecision(5)));
}
