import { describe, expect, it } from "vitest";
import { bulkArgs, listArgs } from "../../src/lib/api/fleet";
import { accept, mistakeOf, offers, quoted } from "../../src/lib/fleet/query";
import { devicesHref, parseRoute } from "../../src/lib/state/route";

const texts = (text: string, cursor = text.length): string[] => offers(text, cursor).map((offer) => offer.text);

describe("the query bar", () => {
  it("offers keys, then their values", () => {
    expect(texts("st")).toEqual(["state:"]);
    expect(texts("lamp -st")).toEqual(["-state:"]);
    expect(texts("state:")).toEqual(["state:awake", "state:asleep", "state:late", "state:lost"]);
    expect(texts("lwm2m:1.2 updated<1")).toEqual(["updated<10m", "updated<1h", "updated<1d"]);
    expect(texts("lamp ")).toEqual([]);
    expect(texts('"st')).toEqual([]);
    expect(texts("").length).toBeGreaterThan(10);
  });
  it("puts what is chosen in the place of the word", () => {
    expect(accept("lamp st", 7, "state:")).toEqual({ text: "lamp state:", cursor: 11 });
    expect(accept("state:as lamp", 8, "state:asleep")).toEqual({ text: "state:asleep lamp", cursor: 12 });
    expect(accept("state:as", 8, "state:asleep")).toEqual({ text: "state:asleep ", cursor: 13 });
  });
  it("quotes values that have blanks or signs of their own", () => {
    expect([quoted("1.2"), quoted("a b"), quoted('a"b')]).toEqual(["1.2", '"a b"', '"a\\"b"']);
  });
  it("finds in a problem which letters are wrong", () => {
    expect(mistakeOf("filter:5-9")).toEqual({ from: 5, to: 9 });
    expect(mistakeOf("/path")).toBeUndefined();
  });
});

describe("a list in an address", () => {
  it("comes back as it went in", () => {
    const query = { filter: 'state:asleep "a b" /3/0/9<20', columns: ["/3/0/3", "/3303/0/5700"], sort: "-updated" };
    expect(parseRoute(devicesHref(query))).toEqual({ page: "devices", query });
    expect(parseRoute(devicesHref())).toEqual({ page: "devices", query: { filter: "", columns: [], sort: "name" } });
    for (const bulk of ["new", "17"]) expect(parseRoute(devicesHref(query, bulk))).toEqual({ page: "devices", query, bulk });
    expect(parseRoute("#/devices?bulk=x")).toEqual({ page: "devices", query: { filter: "", columns: [], sort: "name" } });
    expect(parseRoute("#/")).toEqual({ page: "overview" });
    for (const sort of ["/3/0/9", "-/3303/0/5700"]) expect(parseRoute(devicesHref({ sort }))).toEqual({ page: "devices", query: { filter: "", columns: [], sort } });
    expect(parseRoute("#/devices?columns=x,/3/0/3&sort=size")).toEqual({ page: "devices", query: { filter: "", columns: ["/3/0/3"], sort: "name" } });
  });
  it("is said by ctl in the same words", () => {
    expect(listArgs({ filter: "a", columns: ["/3/0/3"], sort: "updated" })).toEqual(["endpoints", "--filter", "a", "--columns", "/3/0/3", "--sort", "updated"]);
    expect(bulkArgs({ filter: "", operation: "write", path: "/1/0/1", content: { value: 1 } })).toEqual(["bulk", "start", "write", "/1/0/1", "--filter", "", "--content", '{"value":1}']);
  });
});
