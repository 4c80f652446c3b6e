import { expect, test } from "vitest";
import { choiceOfPath, choicesHere, rank, ranked } from "../../src/lib/state/palette";
import { parseRoute } from "../../src/lib/state/route";
import { Twin } from "../../src/lib/state/twin.svelte";

test("each word of a search must be in the text, beginnings count most", () => {
  expect(rank("Queue commands that wait", "queue")).toBeGreaterThan(rank("The queue", "queue"));
  expect(rank("The queue", "queue")).toBeGreaterThan(rank("dequeue", "queue"));
  expect(rank("History charts", "char hist")).toBeGreaterThan(0);
  expect(rank("History charts", "hist map")).toBe(0);
  expect(ranked([{ kind: "page", text: "Devices" }, { kind: "page", text: "Events" }], "ev").map((choice) => choice.text)).toEqual(["Events", "Devices"]);
});

test("a path that is typed leads to its place on the device that is open", () => {
  const route = parseRoute("#/devices/a%2Fb/data");
  expect(choiceOfPath(route, "3303/0/5700/")[0]?.href).toBe("#/devices/a%2Fb/data/3303/0/5700");
  expect(choiceOfPath(route, "temp")).toEqual([]);
  expect(choiceOfPath(parseRoute("#/events"), "/3/0")).toEqual([]);
  expect(choicesHere(route).map((choice) => choice.text)).toContain("Queue");
});

test("what the server recalls fills what the page does not know better", () => {
  const twin = new Twin("a");
  const time = (second: number): string => new Date(Date.UTC(2026, 0, 1, 0, 0, second)).toISOString();
  twin.apply([{ path: "/3/0/9", value: 80 }], Date.parse(time(30)), "notified");
  twin.recall([
    { path: "/3/0/9", value: 70, time: time(10), source: "read" },
    { path: "/3/0/0", value: "Acme", type: "string", time: time(5), source: "send" },
  ]);
  expect(twin.values.get("/3/0/9")).toMatchObject({ value: 80, source: "notified" });
  expect(twin.values.get("/3/0/0")).toMatchObject({ value: "Acme", source: "sent", time: Date.parse(time(5)) });
  expect(twin.present.has("/3/0/0")).toBe(true);
});
