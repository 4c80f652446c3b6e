import { expect, test } from "vitest";
import { flatten } from "../../src/lib/lwm2m/node";
import { comparePaths, contains, parent, parsePath } from "../../src/lib/lwm2m/path";
import { addModelHref, deviceHref, modelHref, parseRoute } from "../../src/lib/state/route";
import { attributeChange } from "../../src/lib/lwm2m/attributes";
import { argumentsError } from "../../src/pages/device/execute";
import { isAbsent, objectTree, resourcesOf } from "../../src/pages/device/tree";
import { curlLine } from "../../src/lib/api/curl";

test("paths are read strictly", () => {
  expect(parsePath("/3/0/9")).toEqual([3, 0, 9]);
  expect(parsePath("/")).toEqual([]);
  for (const bad of ["/3//9", "/65535", "/3/0/9/0/1", "/x", "/-1", "/123456"]) expect(parsePath(bad)).toBeUndefined();
});

test("a path holds what stands below it and nothing that only begins alike", () => {
  expect(contains("/3/0", "/3/0/9")).toBe(true);
  expect(contains("/3", "/33/0")).toBe(false);
  expect(parent("/3/0")).toBe("/3");
  expect(["/10/0", "/3/0/10", "/3/0/9", "/3"].sort(comparePaths)).toEqual(["/3", "/3/0/9", "/3/0/10", "/10/0"]);
});

test("every level of a Node is flattened", () => {
  expect(flatten({ path: "/3/0/9", type: "integer", value: 84 })).toEqual([{ path: "/3/0/9", type: "integer", value: 84 }]);
  expect(flatten({ path: "/3/0/7", type: "integer", instances: { "0": 3800, "1": 5000 } }).map((entry) => entry.path)).toEqual([
    "/3/0/7/0",
    "/3/0/7/1",
  ]);
  const object = { path: "/3", instances: { "0": { resources: { "9": { type: "integer" as const, value: 84 }, "6": { instances: { "0": 1 } } } } } };
  expect(Object.fromEntries(flatten(object).map((entry) => [entry.path, entry.value]))).toEqual({ "/3/0/9": 84, "/3/0/6/0": 1 });
  expect(flatten([{ path: "/3/0/9", value: 1, time: "2026-01-01T00:00:00.000Z" }])[0]?.time).toBe(Date.UTC(2026, 0, 1));
  expect(flatten([{ value: 1 }, null, "x"])).toEqual([]);
});

test("an address leads back to what it was made of, whatever the endpoint is called", () => {
  for (const endpoint of ["demo-sensor", "urn:imei:1", "a/b #?&%", "ü"]) {
    const route = parseRoute(deviceHref(endpoint, "data", "/3/0/9"));
    expect(route).toEqual({ page: "device", endpoint, tab: "data", path: "/3/0/9" });
    expect(parseRoute(deviceHref(endpoint, "log"))).toEqual({ page: "device", endpoint, tab: "log", path: undefined });
    expect(parseRoute(deviceHref(endpoint, "queue", "a/b c"))).toEqual({ page: "device", endpoint, tab: "queue", path: undefined, detail: "a/b c" });
    expect(parseRoute(deviceHref(endpoint))).toEqual({ page: "device", endpoint, tab: "overview", path: undefined });
  }
  expect(parseRoute("")).toEqual({ page: "overview" });
  expect(parseRoute("#/devices/%E0%A4%A")).toEqual({ page: "unknown" });
  expect(parseRoute("#/devices/x/data/65535")).toMatchObject({ path: undefined });
});

test("attributes are written as a difference, and checked", () => {
  expect(attributeChange({ pmin: "5", st: "1" }, { pmin: "10", st: "" })).toEqual({ change: { pmin: 10, st: null } });
  expect(attributeChange({ pmin: "5" }, { pmin: "5" })).toEqual({ change: {} });
  expect(attributeChange({}, { pmin: "60", pmax: "10" })).toHaveProperty("error");
  expect(attributeChange({}, { pmin: "1.5" })).toHaveProperty("error");
  expect(attributeChange({}, { lt: "10", gt: "11", st: "1" })).toHaveProperty("error");
  expect(attributeChange({}, { lt: "-10", gt: "30.5", st: "0.5" })).toEqual({ change: { gt: 30.5, lt: -10, st: 0.5 } });
});

test("execute arguments follow the standard's syntax", () => {
  for (const good of ["", "0", "0,1", "0='x',1", "5='a b,c'"]) expect(argumentsError(good)).toBeUndefined();
  for (const bad of ["x", "0=x", "10", "0,", "0,0"]) expect(argumentsError(bad)).toBeDefined();
});

test("the tree joins registration, device and definition", () => {
  const tree = objectTree([{ path: "/3303", version: "1.1" }, { path: "/3303/1" }, { path: "/3/0" }], ["/3303/4/5700"]);
  expect(tree.map((object) => [object.id, object.version, object.instances.map((instance) => instance.id)])).toEqual([
    [3, undefined, [0]],
    [3303, "1.1", [1, 4]],
  ]);
  const model = { id: 3, version: "1.1", name: "Device", multiple: false, mandatory: true, resources: [
    { id: 9, name: "Battery Level", operations: "R", multiple: false, mandatory: false, type: "integer" as const },
  ] };
  const leaves = resourcesOf("/3/0", model, ["/3/0/7/1", "/3/0/7/0", "/3/0/7"]);
  expect(leaves.map((leaf) => [leaf.id, leaf.present, leaf.instances.map((item) => item.id)])).toEqual([
    [7, true, [0, 1]],
    [9, false, []],
  ]);
});

test("what a Read lacks may still be executable, what a Discover lacks is absent", () => {
  const leaf = (operations: string, present = false) => ({
    id: 1, path: "/3/0/1", present, instances: [], model: { id: 1, name: "x", operations, multiple: false, mandatory: false },
  });
  expect(isAbsent(leaf("R"), undefined)).toBe(false);
  expect(isAbsent(leaf("R"), "read")).toBe(true);
  expect(isAbsent(leaf("E"), "read")).toBe(false);
  expect(isAbsent(leaf("E"), "discover")).toBe(true);
  expect(isAbsent(leaf("E", true), "discover")).toBe(false);
});

test("a curl line survives the shell and keeps the token out", () => {
  const call = { method: "PUT" as const, path: "/endpoints/a/resources/3/0/15", body: { value: "it's $HOME" }, query: { wait: "30s" } };
  expect(curlLine("http://h:8080", call, true)).toBe(
    `curl -X PUT -H "Authorization: Bearer $LIGHTSHIP_TOKEN" -H 'Content-Type: application/json' ` +
      `-d '{"value":"it'\\''s $HOME"}' 'http://h:8080/api/v1/endpoints/a/resources/3/0/15?wait=30s'`,
  );
});

test("object definitions have addresses, with a version and one to compare with", () => {
  expect(parseRoute(modelHref())).toEqual({ page: "models" });
  expect(parseRoute(addModelHref())).toEqual({ page: "models", upload: true });
  expect(parseRoute(modelHref(3303))).toEqual({ page: "models", object: 3303 });
  expect(parseRoute(modelHref(3303, "1.1"))).toEqual({ page: "models", object: 3303, version: "1.1" });
  expect(parseRoute(modelHref(3, "1.2", "1.0"))).toEqual({ page: "models", object: 3, version: "1.2", from: "1.0" });
  for (const wrong of ["x", "65535", "3303/x", "3303/1.1/since", "3303/1.1/until/1.0", "3/1.1/since/1.0/x"]) {
    expect(parseRoute(`#/models/${wrong}`), wrong).toEqual({ page: "unknown" });
  }
});
