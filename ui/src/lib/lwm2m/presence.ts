// What the log says of where a device was and when it could be reached.

import type { ServerEvent } from "../api/types";
import type { ChartBand } from "../ui/chart/series";

/** The types of events that tell whether a device can be reached. */
export const PRESENCE_TYPES = ["registered", "deregistered", "expired", "awake", "asleep"] as const;

/** The spans in which a device slept or was not registered, from events in any order; the last one lasts until `now`. */
export function absences(events: readonly ServerEvent[], now: number): ChartBand[] {
  const bands: ChartBand[] = [];
  let open: { from: number; asleep: boolean } | undefined;
  const close = (to: number): void => {
    if (open && to > open.from) bands.push({ from: open.from, to, label: open.asleep ? "asleep" : "not registered", tone: open.asleep ? "sleep" : "bad" });
    open = undefined;
  };
  for (const event of [...events].sort((a, b) => Date.parse(a.time) - Date.parse(b.time))) {
    const time = Date.parse(event.time);
    if (event.type === "registered" || event.type === "awake") close(time);
    const asleep = event.type === "asleep";
    if (asleep || event.type === "deregistered" || event.type === "expired") {
      close(time);
      open = { from: time, asleep };
    }
  }
  close(now);
  return bands;
}

export interface AddressSpan {
  address: string;
  /** When it was first and last seen there, as far as the log goes. */
  from: number;
  to: number;
}

/** Where the device was, the latest first, from events newest first. */
export function addresses(events: readonly ServerEvent[]): AddressSpan[] {
  const spans: AddressSpan[] = [];
  for (const event of events) {
    const address = event.registration?.address;
    if (!address) continue;
    const time = Date.parse(event.time);
    const last = spans.at(-1);
    if (last?.address === address) last.from = time;
    else spans.push({ address, from: time, to: time });
  }
  return spans;
}
