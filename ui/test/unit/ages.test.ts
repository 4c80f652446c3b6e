import { expect, test } from "vitest";
import { ago, until } from "../../src/lib/lwm2m/ages";

test("what ends in seven days less a second ends in seven", () => {
  const [minute, hour, day] = [60_000, 3_600_000, 86_400_000];
  expect([7 * day - 1000, day + hour, 2 * hour - 1, 59.9 * minute, 100_000, 61_000, 37_900, 900].map(until)).toEqual([
    "in 7 d", "in 1 d", "in 2 h", "in 1 h", "in 2 min", "in 1 min", "in 37 s", "any moment",
  ]);
  // What is past is not over before it is.
  expect([7 * day - 1000, 119_000].map(ago)).toEqual(["6 d ago", "1 min ago"]);
});
