import { expect, test } from "vitest";
import type { ServerEvent } from "../../src/lib/api/types";
import { FEED_MAX, Feed, matches } from "../../src/lib/state/feed.svelte";
import { joined } from "../../src/lib/state/paging";
import { HISTORY_MAX, Twin, Twins } from "../../src/lib/state/twin.svelte";

const event = (id: number, more: Partial<ServerEvent> = {}): ServerEvent => ({
  id: String(id),
  time: "2026-01-01T00:00:00.000Z",
  type: "notified",
  endpoint: "sensor-1",
  ...more,
});

test("a paused feed stands still and catches up without a gap", () => {
  const feed = new Feed();
  feed.push([event(1), event(2)]);
  feed.pause();
  feed.push([event(3)]);
  feed.push([event(4), event(5)]);
  expect(feed.items.map((item) => item.id)).toEqual(["2", "1"]);
  expect(feed.waiting).toBe(3);
  feed.resume();
  expect(feed.items.map((item) => item.id)).toEqual(["5", "4", "3", "2", "1"]);
  expect(feed.waiting).toBe(0);
});

test("a feed keeps a bounded number of events, the newest", () => {
  const feed = new Feed();
  for (let i = 0; i < FEED_MAX + 50; i += 1) feed.push([event(i)]);
  expect(feed.items.length).toBe(FEED_MAX);
  expect(feed.items[0]?.id).toBe(String(FEED_MAX + 49));
});

test("an event that a stream brings twice stands in the feed once, paused or not", () => {
  const feed = new Feed();
  feed.push([event(1), event(2), event(2)]);
  feed.push([event(2), event(3)]);
  feed.pause();
  feed.push([event(3), event(4)]);
  feed.push([event(4)]);
  expect(feed.waiting).toBe(1);
  feed.resume();
  expect(feed.items.map((item) => item.id)).toEqual(["4", "3", "2", "1"]);
});

test("no row stands in a list twice, whatever its pages say", () => {
  const row = (id: string, page: number) => ({ id, page });
  const first = joined([], [row("a", 1), row("a", 1), row("b", 1)], (item) => item.id);
  const both = joined(first, [row("b", 2), row("c", 2), row("c", 2)], (item) => item.id);
  expect(both.map((item) => `${item.id}${item.page}`)).toEqual(["a1", "b1", "c2"]);
});

test("a filter looks at kind and name", () => {
  expect(matches(event(1), { endpoint: "SENSOR", types: new Set() })).toBe(true);
  expect(matches(event(1), { endpoint: "meter", types: new Set() })).toBe(false);
  expect(matches(event(1), { endpoint: "", types: new Set(["sent"]) })).toBe(false);
});

const at = (seconds: number): number => Date.UTC(2026, 0, 1, 0, 0, seconds);

test("a notification brings the value, its age and its source up to date", () => {
  const twin = new Twin("d");
  twin.answer({ operation: "read", path: "/3303/0", code: "2.05", elapsed_ms: 1, content: { path: "/3303/0", resources: { "5700": { type: "float", value: 20 } } } }, at(0));
  expect(twin.values.get("/3303/0/5700")).toMatchObject({ value: 20, source: "read", time: at(0) });
  expect(twin.complete.get("/3303/0")).toBe("read");
  twin.event(event(1, { time: "2026-01-01T00:00:05.000Z", path: "/3303/0/5700", content: [{ path: "/3303/0/5700", type: "float", value: 21 }] }));
  expect(twin.values.get("/3303/0/5700")).toMatchObject({ value: 21, source: "notified", time: at(5) });
  expect(twin.values.get("/3303/0/5700")?.history.map((point) => point.value)).toEqual([20, 21]);
  expect(twin.observed.get("/3303/0/5700")).toMatchObject({ state: "active", notifications: 1 });
  expect(twin.coveredBy("/3303/0/5700")).toBe("/3303/0/5700");
});

test("old samples of a batch join the history and do not replace a newer value", () => {
  const twin = new Twin("d");
  const sample = (seconds: number, value: number) => ({ path: "/3303/0/5700", type: "float" as const, value, time: new Date(at(seconds)).toISOString() });
  twin.apply([sample(30, 3)], at(60), "sent");
  twin.apply([sample(10, 1), sample(20, 2)], at(60), "sent");
  expect(twin.values.get("/3303/0/5700")).toMatchObject({ value: 3, time: at(30) });
  expect(twin.values.get("/3303/0/5700")?.history.map((point) => point.value)).toEqual([1, 2, 3]);
});

test("history is bounded", () => {
  const twin = new Twin("d");
  for (let i = 0; i < HISTORY_MAX + 20; i += 1) twin.apply({ path: "/3/0/9", value: i }, at(i), "notified");
  expect(twin.values.get("/3/0/9")?.history.length).toBe(HISTORY_MAX);
});

test("a Read of the whole forgets what is gone, a refusal changes nothing", () => {
  const twin = new Twin("d");
  twin.apply({ path: "/3/0/7", instances: { "0": 1, "1": 2 } }, at(0), "read");
  twin.answer({ operation: "read", path: "/3/0/7", code: "2.05", elapsed_ms: 1, content: { path: "/3/0/7", instances: { "0": 1 } } }, at(1));
  expect([...twin.values.keys()]).toEqual(["/3/0/7/0"]);
  expect(twin.present.has("/3/0/7/1")).toBe(false);
  twin.answer({ operation: "delete", path: "/3/0", code: "4.05", elapsed_ms: 1 }, at(2));
  expect([...twin.values.keys()]).toEqual(["/3/0/7/0"]);
  twin.answer({ operation: "delete", path: "/3/0", code: "2.02", elapsed_ms: 1 }, at(3));
  expect(twin.values.size).toBe(0);
});

test("a Write that replaces a multiple resource leaves only what it carried", () => {
  const twin = new Twin("d");
  twin.apply({ path: "/3442/0/1120", instances: { "0": 1, "1": 2 } }, at(0), "read");
  const entries = [{ path: "/3442/0/1120/5", value: 3 }];
  twin.answer({ operation: "write", path: "/3442/0/1120", code: "4.00", elapsed_ms: 1 }, at(1), { entries, mode: "replace" });
  expect([...twin.values.keys()]).toEqual(["/3442/0/1120/0", "/3442/0/1120/1"]);
  twin.answer({ operation: "write", path: "/3442/0/1120", code: "2.04", elapsed_ms: 1 }, at(2), { entries, mode: "replace" });
  expect([...twin.values]).toMatchObject([["/3442/0/1120/5", { value: 3, source: "written" }]]);
});

test("what a device no longer lists is forgotten", () => {
  const twin = new Twin("d");
  twin.registered([{ path: "/3/0" }, { path: "/3303/0" }]);
  twin.apply({ path: "/3303/0/5700", value: 1 }, at(0), "read");
  twin.registered([{ path: "/3/0" }]);
  expect(twin.present.has("/3303/0")).toBe(false);
  expect(twin.values.size).toBe(0);
});

test("the unit comes from the definition, else from the sensor itself", () => {
  const twin = new Twin("d");
  const model = { id: 5700, name: "Sensor Value", operations: "R", multiple: false, mandatory: true };
  expect(twin.unit("/3303/0/5700", model)).toBeUndefined();
  twin.apply({ path: "/3303/0/5701", value: "Cel" }, at(0), "read");
  expect(twin.unit("/3303/0/5700", model)).toBe("Cel");
  expect(twin.unit("/3303/0/5700", { ...model, units: "K" })).toBe("K");
});

test("twins of devices long not heard of make room", () => {
  const twins = new Twins(2);
  const a = twins.of("a");
  twins.of("b");
  expect(twins.of("a")).toBe(a);
  twins.of("c");
  expect(twins.of("a")).toBe(a);
});
