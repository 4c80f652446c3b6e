import { expect, test } from "vitest";
import { attributeArgs, compositeArgs, ctlLine, nodeArgs } from "../../src/lib/api/ctl";
import type { Answer, ServerEvent } from "../../src/lib/api/types";
import { accountDefaults, accountOf, ATTRIBUTES, effective, fits } from "../../src/lib/lwm2m/attributes";
import { deviations } from "../../src/lib/lwm2m/deviations";
import { formatChoices } from "../../src/lib/lwm2m/formats";
import { freeName, nameError, parsePaths, parseSets, withPath } from "../../src/lib/lwm2m/sets";
import { Twin, type SetCall } from "../../src/lib/state/twin.svelte";
import { setRows } from "../../src/pages/device/rows";

const at = (seconds: number): number => Date.UTC(2026, 0, 1, 0, 0, seconds);
const answer = (more: Partial<Answer>): Answer => ({ operation: "read-composite", path: "/", code: "2.05", elapsed_ms: 1, ...more });
const event = (more: Partial<ServerEvent>): ServerEvent => ({ id: "1", time: "2026-01-01T00:00:09.000Z", type: "notified", endpoint: "d", ...more });

test("a set asks for nothing twice, in the order of the tree", () => {
  expect(withPath(["/3/0/10", "/3/0/9"], "/3/0")).toEqual(["/3/0"]);
  expect(withPath(["/3/0"], "/3/0/9")).toEqual(["/3/0"]);
  expect(parsePaths("3303/0/5700, /3/0/9\n/33/0")).toEqual({ paths: ["/3/0/9", "/33/0", "/3303/0/5700"] });
  for (const bad of ["", "/", "/3/x", "/3/0/9/1/2", "/65535"]) expect(parsePaths(bad)).toHaveProperty("error");
});

test("a name of a set can stand in an address", () => {
  for (const good of ["Raum 7", "klima-1", "Küche", "a.b"]) expect(nameError(good, [])).toBeUndefined();
  for (const bad of ["", ".", "..", "a/b", " a", "\u202ea", "x".repeat(49)]) expect(nameError(bad, [])).toBeDefined();
  expect(nameError("a", ["a"])).toBeDefined();
  expect(freeName(["Set 1", "Set 3"])).toBe("Set 2");
});

test("what the browser kept is read with care", () => {
  expect(parseSets(null)).toEqual([]);
  expect(parseSets("{")).toEqual([]);
  expect(parseSets('{"name": "a"}')).toEqual([]);
  const kept = [{ name: "a", paths: ["/3/0/9", 7] }, { name: "a", paths: ["/3"] }, { name: "..", paths: ["/3"] }, null, { name: "b", paths: ["x"] }, { name: "c", paths: [] }];
  expect(parseSets(JSON.stringify(kept))).toEqual([{ name: "a", paths: ["/3/0/9"] }, { name: "c", paths: [] }]);
});

test("a composite Read brings values, and forgets what the device left out", () => {
  const twin = new Twin("d");
  const set: SetCall = { name: "s", kind: "read", paths: ["/3/0/9", "/3303/0"] };
  twin.apply([{ path: "/3/0/9", value: 1 }, { path: "/3303/0/5700", value: 2 }, { path: "/4/0/0", value: 3 }], at(0), "read");
  twin.setAnswer(set, answer({ code: "4.01" }), at(1), []);
  expect(twin.values.size).toBe(3);
  twin.setAnswer(set, answer({ content: { nodes: [{ path: "/3/0/9", type: "integer", value: 84 }] } }), at(2), []);
  expect([...twin.values.keys()]).toEqual(["/3/0/9", "/4/0/0"]);
  expect(twin.values.get("/3/0/9")).toMatchObject({ value: 84, source: "read", time: at(2), dated: false });
});

test("a composite observation lives under its name", () => {
  const twin = new Twin("d");
  const set: SetCall = { name: "s", kind: "observe", paths: ["/3/0/9"] };
  twin.setAnswer(set, answer({ content: { nodes: [{ path: "/3/0/9", value: 1 }] } }), at(0), []);
  twin.event(event({ name: "s", content: [{ path: "/3/0/9", value: 2 }] }));
  expect(twin.observedSets.get("s")).toMatchObject({ state: "active", notifications: 1, paths: ["/3/0/9"] });
  expect(twin.values.get("/3/0/9")).toMatchObject({ value: 2, source: "notified", time: at(9) });
  expect(twin.observed.size).toBe(0);
  twin.event(event({ type: "observation_cancelled", name: "s" }));
  expect(twin.observedSets.size).toBe(0);
  twin.observations([{ path: "/", name: "t", paths: ["/1"], state: "pending", notifications: 4 }, { path: "/3/0", state: "active", notifications: 1 }]);
  expect([...twin.observedSets.keys(), ...twin.observed.keys()]).toEqual(["t", "/3/0"]);
});

test("a composite Write shows what was written once the device took it", () => {
  const twin = new Twin("d");
  const set: SetCall = { name: "s", kind: "write", paths: [] };
  twin.setAnswer(set, answer({ code: "4.05" }), at(0), [{ path: "/1/0/1", value: 60 }]);
  expect(twin.values.size).toBe(0);
  twin.setAnswer(set, answer({ code: "2.04" }), at(1), [{ path: "/1/0/1", value: 60 }]);
  expect(twin.values.get("/1/0/1")).toMatchObject({ value: 60, source: "written" });
});

test("what a device sends by itself keeps the device's own time", () => {
  const twin = new Twin("d");
  twin.event(event({ type: "sent", content: [{ path: "/3/0/9", value: 1, time: "2026-01-01T00:00:03.000Z" }, { path: "/3/0/10", value: 5 }] }));
  expect(twin.values.get("/3/0/9")).toMatchObject({ source: "sent", time: at(3), dated: true });
  expect(twin.values.get("/3/0/10")).toMatchObject({ source: "sent", time: at(9), dated: false });
});

test("rows of a set are its values, each with what a Write would carry", () => {
  const twin = new Twin("d");
  twin.apply([{ path: "/1/0", resources: { "1": { type: "integer", value: 60 }, "0": { type: "integer", value: 1 } } }], at(0), "read");
  const resource = (id: number, operations: string, multiple = false) => ({ id, name: `R${id}`, operations, multiple, mandatory: false, type: "integer" as const });
  const model = { id: 1, version: "1.1", name: "Server", multiple: true, mandatory: true, resources: [resource(0, "R"), resource(1, "RW"), resource(9, "RW", true)] };
  const rows = setRows(["/1/0", "/1/1/9", "/1/1/9/4", "/5/0"], twin.values, (id) => (id === 1 ? model : null));
  expect(rows.map((row) => [row.path, row.type])).toEqual([
    ["/1/0/0", undefined],
    ["/1/0/1", "integer"],
    ["/1/1/9", undefined],
    ["/1/1/9/4", "integer"],
    ["/5/0", undefined],
  ]);
});

test("paths of a set that cover each other give each value one row", () => {
  const twin = new Twin("d");
  twin.apply([{ path: "/3/0", resources: { "9": { type: "integer", value: 84 } } }], at(0), "read");
  expect(setRows(["/3/0", "/3/0/9", "/3/0/9"], twin.values, () => null).map((row) => row.path)).toEqual(["/3/0/9"]);
});

test("the nearest attribute holds, and what also stands above is inherited", () => {
  const known: Record<string, Record<string, unknown>> = {
    "/3": { ver: "1.1", pmin: 10, pmax: 60 },
    "/3/0": { pmin: 10, pmax: 30, st: 1 },
    // The device lists at the target what it inherits, too.
    "/3/0/9": { pmin: 10, pmax: 60, gt: 5, st: 1 },
  };
  expect(effective("/3/0/9", (path) => known[path])).toEqual([
    { name: "pmin", value: "10", from: "/3" },
    { name: "pmax", value: "60", from: "/3/0/9" },
    { name: "gt", value: "5", from: "/3/0/9" },
    { name: "st", value: "1", from: "/3/0" },
  ]);
  expect(effective("/3/0/7/1", (path) => known[path]).map((item) => `${item.name} ${item.from}`)).toEqual(["pmin /3", "pmax /3/0", "st /3/0"]);
});

test("without an attribute the defaults of the one account hold", () => {
  const values: Record<string, unknown> = { "/1/0/2": 5, "/1/0/3": 0 };
  const defaults = accountDefaults(accountOf(["/1", "/1/0", "/1/0/2", "/3/0"]), (path) => values[path]);
  expect(defaults).toEqual([{ name: "pmin", value: "5", from: "/1/0/2" }]);
  expect(effective("/3/0/9", () => undefined, defaults)).toEqual(defaults);
  expect(effective("/3/0/9", (path) => (path === "/3" ? { pmin: 1 } : undefined), defaults)).toEqual([{ name: "pmin", value: "1", from: "/3" }]);
  expect(accountOf(["/1/0", "/1/1"])).toBeUndefined();
});

test("attributes of numbers and of truths stay where they have a meaning", () => {
  const names = (depth: number, type?: "float" | "boolean" | "string") => ATTRIBUTES.filter((item) => fits(item, depth, type)).map((item) => item.name);
  expect(names(1)).toEqual(["pmin", "pmax", "epmin", "epmax", "con", "hqmax"]);
  expect(names(3, "float")).not.toContain("edge");
  expect(names(3, "boolean")).toContain("edge");
  expect(names(3, "boolean")).not.toContain("gt");
  expect(names(3, "string")).not.toContain("st");
});

test("Discover of an object takes no attribute below away", () => {
  const twin = new Twin("d");
  const links = (path: string, list: [string, Record<string, unknown>][]) =>
    twin.answer({ operation: "discover", path, code: "2.05", elapsed_ms: 1, content: { links: list.map(([at, attributes]) => ({ path: at, attributes })) } }, at(0));
  links("/3/0/9", [["/3/0/9", { gt: 5 }]]);
  links("/3", [["/3", { pmin: 1 }], ["/3/0", {}], ["/3/0/9", {}]]);
  expect(twin.attributes.get("/3/0/9")).toEqual({ gt: 5 });
  expect(twin.attributes.has("/3/0")).toBe(false);
  links("/3/0", [["/3/0", { pmin: 1 }], ["/3/0/9", {}]]);
  expect(twin.attributes.get("/3/0/9")).toEqual({});
});

test("deviations are read in more than one shape and said in words", () => {
  expect(deviations(undefined)).toEqual([]);
  expect(deviations({ "other-format": 3, nothing: 0 }).map((item) => [item.kind, item.count])).toEqual([["other-format", 3]]);
  const list = deviations([{ kind: "no-content-format", count: 1 }, { what: "sloppy-links", count: 4 }, { kind: "new-thing", count: 2, detail: "It hums." }, 7]);
  expect(list.map((item) => item.kind)).toEqual(["sloppy-links", "new-thing", "no-content-format"]);
  expect(list.map((item) => item.sentence)).toEqual([
    "The links that it answers a Discover with are not written as the standard wants them.",
    "It hums.",
    "It sends data without saying in which format; the server works it out.",
  ]);
});

test("formats are offered as the version of the device allows", () => {
  const open = (version: string) => formatChoices(version).filter((item) => !item.reason).map((item) => item.name);
  expect(open("1.0")).toEqual(["text", "opaque", "tlv", "json"]);
  expect(open("1.1")).toEqual(["text", "opaque", "cbor", "tlv", "senml-json", "senml-cbor"]);
  expect(open("1.2")).toContain("lwm2m-cbor");
  expect(formatChoices("1.1").find((item) => item.name === "lwm2m-cbor")?.reason).toBe("came with LwM2M 1.2");
  expect(formatChoices("1.2", "composite").map((item) => item.name)).toEqual(["senml-json", "senml-cbor", "lwm2m-cbor"]);
});

test("a ctl line says the same as the request", () => {
  const home = "http://127.0.0.1:8080";
  expect(ctlLine(home, ["read", "a b", "/3/0"], { format: "tlv", wait: undefined })).toBe("lightship ctl read 'a b' /3/0 --format tlv");
  expect(ctlLine(home, ["read", "d", "/3/0/9"], { queue: "true", raw: "true" })).toBe("lightship ctl read d /3/0/9 --queue --raw");
  expect(ctlLine("http://x:1", ["endpoints"])).toBe("lightship ctl --url http://x:1 endpoints");
  expect(nodeArgs("/3442/0/150", { type: "opaque", value: "3q2+7w==" })).toEqual(["0xdeadbeef"]);
  expect(nodeArgs("/3442/0/120", { type: "integer", value: -7 })).toEqual(["-7"]);
  expect(nodeArgs("/3442/0/110", { type: "string", value: "--x" })[0]).toBe("--node");
  expect(nodeArgs("/3442/0", { resources: { "110": { value: "a" }, "1120": { instances: { "3": 4 } } } })).toEqual(["110=a", "1120/3=4"]);
  expect(nodeArgs("/3442/0/1120", { instances: { "0": 1, "1": -2 } })).toEqual(["0=1", "1=-2"]);
  expect(compositeArgs([{ path: "/1/0/1", value: 60 }, { path: "/3/0/15", type: "string", value: "x y" }])).toEqual(["/1/0/1=60", "/3/0/15=x y"]);
  expect(attributeArgs({ pmin: 5, st: null })).toEqual(["pmin=5", "st=null"]);
  expect(ctlLine(home, ["write", "d", "/3/0/14", ""])).toBe("lightship ctl write d /3/0/14 ''");
});
