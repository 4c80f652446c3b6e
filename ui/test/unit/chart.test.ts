import { expect, test } from "vitest";
import { align, alone, scalesOf, summary, timeMark, withGaps } from "../../src/lib/ui/chart/series";

const at = (time: number, value: number | null) => ({ time, value });

test("series of different moments share one axis of time", () => {
  const [times, a, b] = align([
    { label: "a", points: [at(1000, 1), at(3000, 3)] },
    { label: "b", points: [at(2000, 20), at(3000, null)] },
  ]);
  expect(times).toEqual([1, 2, 3]);
  expect(a).toEqual([1, undefined, 3]);
  // Nothing then, and a break, are not the same.
  expect(b).toEqual([undefined, 20, null]);
});

test("a line breaks where the device fell asleep", () => {
  const band = { from: 2000, to: 4000, label: "asleep" };
  expect(withGaps([at(1000, 1), at(5000, 5)], [band])).toEqual([at(1000, 1), at(2000, null), at(5000, 5)]);
  expect(withGaps([at(1000, 1), at(3500, 2)], [band])).toEqual([at(1000, 1), at(2000, null), at(3500, 2)]);
  expect(withGaps([at(2000, 1)], [band])).toEqual([at(2000, 1)]);
});

test("a summary counts values and not gaps", () => {
  expect(summary({ label: "a", points: [at(1, 4), at(2, null), at(3, -1)] })).toEqual({ label: "a", count: 2, low: -1, high: 4, last: -1 });
  expect(summary({ label: "a", points: [at(2, null)] })).toBeUndefined();
});

test("what has the same unit shares a scale", () => {
  expect(scalesOf([{ label: "a", unit: "Cel", points: [] }, { label: "b", points: [] }, { label: "c", unit: "Cel", points: [] }])).toEqual(["Cel", ""]);
});

test("a mark on the axis of time is as exact as its step", () => {
  const noon = new Date(2026, 4, 6, 12, 34, 56).getTime() / 1000;
  expect(timeMark(noon, 1)).toBe("12:34:56");
  expect(timeMark(noon, 60)).toBe("12:34");
  expect(timeMark(noon, 86_400)).toBe("05-06");
  expect(timeMark(new Date(2026, 4, 6).getTime() / 1000, 3600)).toBe("05-06");
});

test("a value that no line leads to is shown by a point", () => {
  expect(alone([null, null, 5])).toEqual([2]);
  expect(alone([5])).toEqual([0]);
  expect(alone([1, 2, null, 3, null, 4, undefined, 5])).toEqual([3]);
  expect(alone([undefined, 7, undefined])).toEqual([1]);
  expect(alone([0, 0, 0])).toEqual([]);
  expect(alone([])).toEqual([]);
});
