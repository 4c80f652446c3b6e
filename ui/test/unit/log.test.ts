import { expect, test } from "vitest";
import type { ServerEvent } from "../../src/lib/api/types";
import { DeviceLog } from "../../src/lib/state/log.svelte";

const event = (number: number): ServerEvent => ({ id: `a-${number}`, time: "2026-01-01T00:00:00Z", type: "updated", endpoint: "lamp" });

test("what the loaded page has is not added when the stream tells of it later, and what is new comes first", () => {
  const log = new DeviceLog("lamp");
  log.items = [event(2), event(1)];
  for (const number of [1, 2, 3]) log.event(event(number));
  expect(log.items.map((item) => item.id)).toEqual(["a-3", "a-2", "a-1"]);
});
