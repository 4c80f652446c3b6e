import { expect, test } from "vitest";
import { diffLines, sortedJson } from "../../src/lib/lwm2m/diff";

const shown = (a: string, b: string) => diffLines(a, b).map(({ kind, text }) => `${{ same: " ", gone: "-", new: "+" }[kind]}${text}`);

test("lines that both have stay, others go and come", () => {
  expect(shown("a\nb\nc", "a\nx\nc\nd")).toEqual([" a", "-b", "+x", " c", "+d"]);
  expect(shown("", "a")).toEqual(["+a"]);
  expect(shown("a", "")).toEqual(["-a"]);
  expect(shown("a\nb", "a\nb").every((line) => line.startsWith(" "))).toBe(true);
});

test("the order of names makes no difference", () => {
  expect(sortedJson({ b: 1, a: { d: [2, { y: 1, x: 2 }], c: null } })).toBe(sortedJson({ a: { c: null, d: [2, { x: 2, y: 1 }] }, b: 1 }));
});
