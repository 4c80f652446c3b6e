import { expect, test } from "vitest";
import type { Call, Client } from "../../src/lib/api/client";
import type { Listed, ListPage } from "../../src/lib/api/fleet";
import { DeviceWindow } from "../../src/lib/state/list.svelte";

const device = (endpoint: string, value?: number): Listed => ({ endpoint, ...(value === undefined ? {} : { values: { "/3/0/9": { path: "/3/0/9", value, time: "", source: "notify" } } }) }) as unknown as Listed;

/** A server that has what `items` holds at that moment. */
function serverOf(items: () => Listed[]): { client: Client; asked: Call[] } {
  const asked: Call[] = [];
  const call = (wanted: Call): Promise<ListPage> => {
    asked.push(wanted);
    return Promise.resolve({ items: items(), next: null, total: items().length });
  };
  return { client: { call } as unknown as Client, asked };
}

const names = (rows: DeviceWindow): (string | undefined)[] => [0, 1, 2].map((index) => rows.row(index)?.endpoint);
const level = (rows: DeviceWindow, index: number): unknown => rows.row(index)?.values?.["/3/0/9"]?.value;

test("who fits a filter by now is listed without a reload", async () => {
  let items = [device("a"), device("b")];
  const rows = new DeviceWindow(serverOf(() => items).client);
  await rows.open({ filter: "state:asleep", columns: [], sort: "name" });
  items = [device("b"), device("c"), device("d")];
  await rows.renew(false);
  expect([names(rows), rows.total]).toEqual([["b", "c", "d"], 3]);
});

test("under a hand each row stays, its values are renewed, and the number of changes is told", async () => {
  let items = [device("a", 50), device("b", 60)];
  const rows = new DeviceWindow(serverOf(() => items).client);
  await rows.open({ filter: "", columns: ["/3/0/9"], sort: "/3/0/9" });
  items = [device("b", 61), device("c", 10)];
  await rows.renew(true);
  expect([names(rows), level(rows, 0), level(rows, 1), rows.changes, rows.held]).toEqual([["a", "b", undefined], 50, 61, 1, true]);
  await rows.renew(false);
  expect([names(rows), rows.changes, rows.held]).toEqual([["b", "c", undefined], 0, false]);
});

test("the plain list, of which events tell all, is not asked for again", async () => {
  const server = serverOf(() => [device("a")]);
  const rows = new DeviceWindow(server.client);
  await rows.open({ filter: "", columns: [], sort: "name" });
  const before = server.asked.length;
  await rows.renew(false);
  expect(server.asked.length).toBe(before);
});
