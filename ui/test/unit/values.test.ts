import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { bytesToBase64, hexToBytes } from "../../src/lib/lwm2m/bytes";
import { choices, parseRange, rangeText, sliderSpan } from "../../src/lib/lwm2m/ranges";
import { formatValue, fromField, numeric, printable, toField } from "../../src/lib/lwm2m/values";
import { unitSymbol } from "../../src/lib/lwm2m/units";

describe("values are shown", () => {
  test.each([
    [84, "integer", "84"],
    ["9223372036854775808", "unsigned", "9223372036854775808"],
    [21.399999618530273, "float", "21.4"],
    [1e-7, "float", "1e-7"],
    [true, "boolean", "true"],
    ["", "string", "(empty)"],
    ["AQID/w==", "opaque", "01 02 03 ff"],
    [bytesToBase64(new Uint8Array(20)), "opaque", "00 00 00 00 00 00 00 00 … (20 bytes)"],
    ["3:0", "objlnk", "3:0"],
    [null, "string", "–"],
  ] as const)("%j of type %s as %s", (value, type, text) => {
    expect(formatValue(value, type)).toBe(text);
  });

  test("control characters and direction marks become visible", () => {
    expect(printable("a\u0000b\u202ec")).toBe("a⟨NUL⟩b⟨U+202E⟩c");
  });

  test("letters that cannot be seen, or turn the others, are told by their number", () => {
    const unseen = [
      ...[0x85, 0xad, 0x34f, 0x61c, 0x115f, 0x1160, 0x17b4, 0x17b5, 0x180b, 0x180e, 0x180f, 0x200b, 0x200d, 0x200e, 0x2028, 0x2029],
      ...[0x202a, 0x2060, 0x2064, 0x2066, 0x206f, 0x2800, 0x3164, 0xfe00, 0xfe0f, 0xfeff, 0xffa0, 0xfff0, 0xfff9, 0xd800],
      ...[0x1bca0, 0x1d159, 0x1d173, 0xe0001, 0xe0041, 0xe007f, 0xe0100, 0xe01ef],
    ];
    for (const code of unseen) expect(printable(`a${String.fromCodePoint(code)}b`)).toBe(`a⟨U+${code.toString(16).toUpperCase().padStart(4, "0")}⟩b`);
    const seen = "Zähler №7 · 東京 · مرحبا · עברית · हिन्दी · 한국어 · ελληνικά · 🌡 ½ € – …";
    expect(printable(seen)).toBe(seen);
  });

  test("the server hides no letter that the page shows, and the other way round", () => {
    const source = readFileSync(new URL("../../../crates/lwm2m/src/readable.rs", import.meta.url), "utf8");
    const arms = /matches!\(\s*char,([^)]*)\)/.exec(source)?.[1] ?? "";
    const ranges = [...arms.matchAll(/'\\u\{([0-9a-f]+)\}'(?:\.\.='\\u\{([0-9a-f]+)\}')?/g)].map(([, from = "", to = from]) => [parseInt(from, 16), parseInt(to, 16)] as const);
    expect(ranges.length).toBeGreaterThan(10);
    const differ: string[] = [];
    for (let code = 0; code <= 0x10ffff; code += 1) {
      if (code >= 0xd800 && code < 0xe000) continue;
      const char = String.fromCodePoint(code);
      const server = /\p{Cc}/u.test(char) || ranges.some(([from, to]) => from <= code && code <= to);
      if (server !== (printable(char) !== char)) differ.push(code.toString(16));
    }
    expect(differ).toEqual([]);
  });

  test("units are written as people do", () => {
    expect(unitSymbol("Cel")).toBe("°C");
    expect(unitSymbol("V")).toBe("V");
    expect(unitSymbol(undefined)).toBe("");
  });
});

describe("what is typed becomes JSON", () => {
  test.each([
    ["42", "integer", "", 42],
    ["-1", "integer", "", -1],
    ["9007199254740993", "integer", "", "9007199254740993"],
    ["18446744073709551615", "unsigned", "", "18446744073709551615"],
    ["2.5", "float", "", 2.5],
    ["true", "boolean", "", true],
    ["0a FF:00", "opaque", "", "Cv8A"],
    ["", "opaque", "", ""],
    [" kept ", "string", "", " kept "],
    ["03:0", "objlnk", "", "3:0"],
    ["1700000000", "time", "", 1_700_000_000],
  ] as const)("%j as %s", (field, type, range, value) => {
    expect(fromField(field, type, parseRange(range))).toEqual({ value });
  });

  test.each([
    ["4.5", "integer", "", "Must be a whole number."],
    ["9223372036854775808", "integer", "", "Does not fit in 64 bits."],
    ["-1", "unsigned", "", "Does not fit in 64 bits."],
    ["101", "integer", "0..100", "Must be 0 to 100."],
    ["", "float", "", "Must be a number."],
    ["abc", "opaque", "", "Must be pairs of hex digits, such as 0a ff."],
    ["abcdef", "string", "0..5", "Must have 0 to 5 bytes, has 6."],
    ["01", "opaque", "2..8 bytes", "Must have 2 to 8 bytes, has 1."],
    ["3/0", "objlnk", "", "Must be object:instance, such as 3:0 (65535:65535 links nothing)."],
    ["tomorrow", "time", "", "Must be a date and time."],
  ] as const)("%j is no %s", (field, type, range, error) => {
    expect(fromField(field, type, parseRange(range))).toEqual({ error });
  });

  test("a field that nobody touched gives the value it was made of", () => {
    for (const [value, type] of [
      ["AQID", "opaque"],
      [1_700_000_000, "time"],
      ["9223372036854775807", "integer"],
      [false, "boolean"],
    ] as const) {
      expect(fromField(toField(value, type), type)).toEqual({ value });
    }
  });

  test("hex with an odd digit is no bytes", () => {
    expect(hexToBytes("0x0a0")).toBeUndefined();
  });
});

test("small ranges and known enumerations get a menu, others do not", () => {
  expect(choices("integer", parseRange("0..2"), undefined)?.map((choice) => choice.value)).toEqual(["0", "1", "2"]);
  expect(choices("integer", parseRange(""), { 0: "Idle" })).toEqual([{ value: "0", label: "0 · Idle" }]);
  expect(choices("integer", parseRange("0..2, 2, 1..3"), undefined)?.map((choice) => choice.value)).toEqual(["0", "1", "2", "3"]);
  expect(choices("integer", parseRange("0..100"), undefined)).toBeUndefined();
  expect(choices("float", parseRange("0..1"), undefined)).toBeUndefined();
});

test.each([
  ["0..100", "0 to 100"],
  ["0-255", "0 to 255"],
  ["0,1,2", "0, 1, 2"],
  ["0..3, 99", "0 to 3, 99"],
  ["1...15", "1 to 15"],
  ["-30..-120", "-120 to -30"],
  ["0.000001..1.0", "0.000001 to 1"],
  ["0..255 bytes", "0 to 255"],
  ["", ""],
  ["16-bit", ""],
  ["ON;OFF", ""],
  ["255", "0 to 255"],
  ["<7 to >12.5", ""],
  ["[1:4]", ""],
  ["2 Instances", ""],
])("the registry's %j means %j", (words, text) => {
  expect(rangeText(parseRange(words))).toBe(text);
});

test("a slider is for one span that is not too wide", () => {
  expect(sliderSpan("integer", parseRange("0..100"))).toEqual([0, 100]);
  expect(sliderSpan("integer", parseRange("0..65535"))).toBeUndefined();
  expect(sliderSpan("integer", parseRange("0..3, 99"))).toBeUndefined();
  expect(sliderSpan("string", parseRange("0..10"))).toBeUndefined();
});

test("only numbers and booleans are drawn", () => {
  expect(numeric(true)).toBe(1);
  expect(numeric("12", "integer")).toBe(12);
  expect(numeric("12", "string")).toBeUndefined();
});

const LISTED = "0: disabled\n\t\t\t\t1: normal\n\t\t\t\t255: non_responsive";

// As the definitions of the registry spell them: object and resource, type, words, what may be written and what may not.
test.each([
  ["20/4010 Log Class", "integer", "255", ["0", "7", "255"], ["256", "-1"]],
  ["12/4 BSSID", "string", "12", ["0011aabbccdd"], ["0011"]],
  ["12/22 WEP Key", "string", "10,26", ["0123456789"], ["012345678901"]],
  ["0/3 Public Key", "opaque", "16,32,48", ["00".repeat(32)], ["00".repeat(33)]],
  ["19/5 App ID", "integer", "2 bytes", ["70000"], ["x"]],
  ["5 Float", "float", "0; 3.8..20.5", ["0", "3.8", "20.5"], ["1", "20.6"]],
  ["4 Radio Signal", "integer", "-30..-120", ["-50"], ["-20"]],
  ["3/9 Battery Level", "integer", "0..100", ["0", "100"], ["101"]],
  ["unsigned", "unsigned", "0..18446744073709551615", ["18446744073709551615"], ["18446744073709551616", "-1"]],
  ["signed", "integer", "0..9223372036854775807", ["9223372036854775807"], ["-1"]],
  ["a length on a number", "integer", "1 bytes", ["255"], ["1.5"]],
  ["a range on a boolean", "boolean", "0..65535", ["true"], ["2"]],
  ["words on a text", "string", "The possible values are those listed in the LwM2M Core Specification", ["U"], []],
  ["either length", "string", "0 or 26 Bytes", ["", "x"], []],
  ["listed with meanings", "integer", LISTED, ["0", "1", "255", "7"], ["1.5"]],
] as const)("%s: %s %j", (_name, type, words, legal, illegal) => {
  for (const text of legal) expect(fromField(text, type, parseRange(words)), text).toHaveProperty("value");
  for (const text of illegal) expect(fromField(text, type, parseRange(words)), text).toHaveProperty("error");
});

test("values that the registry lists with their meaning get a menu", () => {
  const menu = choices("unsigned", parseRange(LISTED), undefined);
  expect(menu).toEqual([
    { value: "0", label: "0 · disabled" },
    { value: "1", label: "1 · normal" },
    { value: "255", label: "255 · non responsive" },
  ]);
  expect(choices("integer", parseRange("5, 10, 15, 20"), undefined)?.map((one) => one.value)).toEqual(["5", "10", "15", "20"]);
  expect(choices("integer", parseRange("255"), undefined)).toBeUndefined();
  expect(choices("integer", parseRange("3"), undefined)?.length).toBe(4);
  expect(choices("string", parseRange("1..4"), undefined)).toBeUndefined();
  expect(sliderSpan("integer", parseRange("255"))).toEqual([0, 255]);
});
