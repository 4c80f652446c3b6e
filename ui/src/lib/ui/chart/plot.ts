// The drawing itself, by uPlot. Only Chart.svelte loads this, when a page has a chart.

import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { alone, COLOURS, figure, scalesOf, timeMark, type Aligned, type ChartBand, type ChartSeries } from "./series";

export interface PlotOptions {
  height: number;
  series: readonly ChartSeries[];
  data: Aligned;
  bands: () => readonly ChartBand[];
  /** The span in milliseconds that is shown, where the data should not decide. */
  span: () => [number, number] | undefined;
  /** The place among the times that the pointer or the keyboard is at. */
  onCursor: (at: number | undefined) => void;
  onZoom: (zoomed: boolean) => void;
  /** Charts of one key move their cursors together. */
  sync?: string | undefined;
}

export interface Plot {
  update: (data: Aligned) => void;
  show: (place: number, on: boolean) => void;
  moveTo: (at: number) => void;
  reset: () => void;
  /** After the colours changed. */
  redraw: () => void;
  destroy: () => void;
}

const FONT = "11px Inter, system-ui, sans-serif";

function token(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

const colour = (place: number): string => token(`--chart-${(place % COLOURS) + 1}`);

function seriesOf(one: ChartSeries, place: number): uPlot.Series {
  const kind = one.kind ?? "line";
  const paths = kind === "steps" ? uPlot.paths.stepped?.({ align: 1 }) : kind === "bars" ? uPlot.paths.bars?.({ size: [0.8, 24] }) : undefined;
  const series: uPlot.Series = {
    label: one.label,
    scale: `y${one.unit ?? ""}`,
    stroke: () => colour(place),
    width: kind === "bars" ? 0 : 1.6,
    // Where points stand too close to be shown, a lone one still is.
    points: { size: 5, filter: (u, at, show) => (show ? null : alone([...(u.data[at] ?? [])])) },
  };
  // Eight-digit hex: the tokens of the charts are six.
  if (kind === "bars") series.fill = () => `${colour(place)}cc`;
  if (kind === "area") series.fill = () => `${colour(place)}22`;
  if (kind === "bars") series.points = { show: false };
  if (paths) series.paths = paths;
  return series;
}

function axes(units: string[]): uPlot.Axis[] {
  const common = (): uPlot.Axis => ({
    font: FONT,
    stroke: () => token("--text-3"),
    grid: { stroke: () => token("--line"), width: 1 },
    ticks: { stroke: () => token("--line"), width: 1, size: 4 },
  });
  const time: uPlot.Axis = { ...common(), size: 30, space: 76, values: (_, marks, __, ___, step) => marks.map((mark) => timeMark(mark, step)) };
  const sides = units.slice(0, 2).map((unit, place): uPlot.Axis => ({
    ...common(),
    scale: `y${unit}`,
    side: place === 0 ? 3 : 1,
    size: (_, marks) => 18 + 6.6 * Math.max(2, ...(marks ?? []).map((mark) => mark.length)),
    space: 34,
    values: (_, marks) => marks.map((mark) => `${figure(mark)}${unit === "%" ? "%" : ""}`),
    ...(place === 0 ? {} : { grid: { show: false } }),
  }));
  return [time, ...sides];
}

/** Room above and below; a flat line runs in the middle, and what counts things begins at 0. */
function yRange(bars: boolean): uPlot.Range.Function {
  return (_, low, high) => {
    if (low === null || high === null || !Number.isFinite(low)) return [0, 1];
    if (low === 0 && high === 0) return [0, 1];
    const room = low === high ? Math.max(1, Math.abs(low) * 0.1) : (high - low) * 0.08;
    if (bars || (low >= 0 && low < (high - low) * 0.5)) return [Math.min(0, low), high + room];
    return [low - room, high + room];
  };
}

function drawBands(u: uPlot, bands: readonly ChartBand[]): void {
  const { left, top, width, height } = u.bbox;
  for (const band of bands) {
    const from = Math.max(left, u.valToPos(band.from / 1000, "x", true));
    const to = Math.min(left + width, u.valToPos(band.to / 1000, "x", true));
    if (to <= from) continue;
    u.ctx.fillStyle = token(band.tone === "bad" ? "--bad-soft" : band.tone === "muted" ? "--surface-2" : "--sleep-soft");
    u.ctx.fillRect(from, top, Math.max(1, to - from), height);
  }
}

export function plot(host: HTMLElement, options: PlotOptions): Plot {
  const { series, height } = options;
  const units = scalesOf(series);
  const x: uPlot.Scale = {
    time: true,
    range: (_, low, high) => {
      const span = options.span();
      if (!zoomed && span) return [span[0] / 1000, span[1] / 1000];
      return low === high ? [low - 30, high + 30] : [low, high];
    },
  };
  const scales: uPlot.Scales = { x };
  for (const unit of units) {
    const bars = series.some((one) => (one.unit ?? "") === unit && one.kind === "bars");
    scales[`y${unit}`] = { range: yRange(bars) };
  }
  let zoomed = false;
  const u = new uPlot(
    {
      width: Math.max(120, host.clientWidth),
      height,
      // Half of the last time mark stands beyond the drawing.
      padding: [8, units.length > 1 ? 8 : 28, 0, 0],
      legend: { show: false },
      cursor: {
        drag: { x: true, y: false, dist: 6 },
        points: { size: 7 },
        ...(options.sync === undefined ? {} : { sync: { key: options.sync } }),
      },
      scales,
      series: [{}, ...series.map(seriesOf)],
      axes: axes(units),
      hooks: {
        drawClear: [(self) => drawBands(self, options.bands())],
        setCursor: [(self) => options.onCursor(self.cursor.idx ?? undefined)],
        setSelect: [
          (self) => {
            if (self.select.width > 0) zoom(true);
          },
        ],
      },
    },
    options.data as uPlot.AlignedData,
    host,
  );
  function zoom(on: boolean): void {
    zoomed = on;
    options.onZoom(on);
  }
  // uPlot itself goes back to the whole on a double click.
  const whole = (): void => zoom(false);
  u.over.addEventListener("dblclick", whole);
  const watcher = new ResizeObserver(() => u.setSize({ width: Math.max(120, host.clientWidth), height }));
  watcher.observe(host);
  return {
    update: (data) => {
      u.setData(data as uPlot.AlignedData, !zoomed);
      if (zoomed) u.redraw();
    },
    show: (place, on) => u.setSeries(place + 1, { show: on }),
    moveTo: (at) => {
      const time = u.data[0][at];
      if (time === undefined) return;
      u.setCursor({ left: u.valToPos(time, "x"), top: u.over.clientHeight / 2 });
    },
    reset: () => {
      zoom(false);
      u.setData(u.data, true);
    },
    redraw: () => u.redraw(false, true),
    destroy: () => {
      watcher.disconnect();
      u.destroy();
    },
  };
}
