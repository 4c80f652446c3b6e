import { expect, test } from "vitest";
import type { ServerEvent } from "../../src/lib/api/types";
import { absences, addresses } from "../../src/lib/lwm2m/presence";
import { hexRows } from "../../src/lib/lwm2m/bytes";
import { rateText } from "../../src/lib/lwm2m/rates";
import { toCsv } from "../../src/lib/lwm2m/table";

const T0 = Date.UTC(2026, 0, 1);
let number = 0;
function event(second: number, type: string, more: object = {}): ServerEvent {
  number += 1;
  return { id: String(number), time: new Date(T0 + second * 1000).toISOString(), type, endpoint: "a", ...more };
}
const from = (second: number, address: string, type = "updated"): ServerEvent => event(second, type, { registration: { address } });

test("sleep is a span from falling asleep to waking, whatever the order of the events", () => {
  const bands = absences([event(30, "awake"), event(10, "asleep"), event(40, "asleep"), event(0, "registered")], T0 + 50_000);
  expect(bands.map((band) => [(band.from - T0) / 1000, (band.to - T0) / 1000, band.label])).toEqual([
    [10, 30, "asleep"],
    [40, 50, "asleep"],
  ]);
});

test("a device that is not registered is no sleeper", () => {
  const bands = absences([event(10, "asleep"), event(20, "expired"), event(35, "registered")], T0 + 60_000);
  expect(bands.map((band) => [(band.from - T0) / 1000, (band.to - T0) / 1000, band.label])).toEqual([
    [10, 20, "asleep"],
    [20, 35, "not registered"],
  ]);
  expect(absences([], T0)).toEqual([]);
});

test("addresses are told as spans, the latest first", () => {
  const spans = addresses([from(50, "b"), from(40, "b"), event(35, "notified"), from(30, "a"), from(20, "b", "registered")]);
  expect(spans.map((span) => [span.address, (span.from - T0) / 1000, (span.to - T0) / 1000])).toEqual([
    ["b", 40, 50],
    ["a", 30, 30],
    ["b", 20, 20],
  ]);
});

test("a table has no formulas and no gaps", () => {
  const csv = toCsv([{ time: T0, label: "/3/0/9", value: -5 }, { time: T0 + 1, label: '=a"b', value: 2 }, { time: T0 + 2, label: "x", value: null }]);
  expect(csv.split("\r\n")).toEqual(["time,resource,value", '2026-01-01T00:00:00.000Z,"/3/0/9",-5', '2026-01-01T00:00:00.001Z,"\'=a""b",2', ""]);
});

test("rates are told by the span in which one has a picture of them", () => {
  expect(rateText(30, 60_000)).toBe("30 a minute");
  expect(rateText(3, 120_000)).toBe("1.5 a minute");
  expect(rateText(3, 3_600_000)).toBe("3 an hour");
  expect(rateText(3, 86_400_000)).toBe("3 a day");
  expect(rateText(0, 60_000)).toBe("");
  expect(rateText(1, 10)).toBe("");
});

test("bytes stand in rows of eight with what prints", () => {
  expect(hexRows(new TextEncoder().encode("ab\u0000cdefgh"))).toEqual([
    { at: "0000", hex: "61 62 00 63 64 65 66 67", text: "ab.cdefg" },
    { at: "0008", hex: "68", text: "h" },
  ]);
});
