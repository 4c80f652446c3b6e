import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { actionText, bulkText } from "../../src/lib/api/access";
import { neededRole } from "../../src/lib/api/roles";

interface Operation {
  operationId: string;
  security?: { token?: string[] }[];
}

test("the audit tells each operation that changes something in plain words", () => {
  const { paths } = JSON.parse(readFileSync(new URL("../../../crates/api/openapi.json", import.meta.url), "utf8")) as { paths: Record<string, Record<string, Operation>> };
  const operations = Object.values(paths).flatMap((methods) => Object.values(methods));
  const changing = operations.filter((one) => ["operator", "admin"].includes(one.security?.[0]?.token?.[0] ?? "")).map((one) => one.operationId);
  expect(changing.length).toBeGreaterThan(30);
  const texts = changing.map(actionText);
  expect(new Set(texts).size).toBe(texts.length);
  // No two names of the program side by side.
  for (const text of texts) expect(text).not.toMatch(/replace|update|composite|put /i);
  expect([actionText("writeReplace"), actionText("execute"), actionText("somethingNew")]).toEqual(["Write", "Execute", "Something new"]);
});

test("what a bulk operation would hit a viewer may ask, and no more", () => {
  const bulk = (query?: Record<string, string>) => neededRole({ method: "POST", path: "/bulk", ...(query ? { query } : {}) });
  expect([bulk({ dry_run: "true" }), bulk({ dry_run: "false" }), bulk()]).toEqual(["viewer", "operator", "operator"]);
  expect(neededRole({ method: "POST", path: "/models", query: { dry_run: "true" } })).toBe("admin");
});

test("the audit tells what a bulk operation was", () => {
  const detail = "write /3/0/14 on 120 devices (filter state:asleep), bulk operation 3";
  expect(bulkText({ action: "startBulk", path: "/3/0/14", detail })).toBe(detail);
  // One that was refused has the name of the problem there.
  expect(bulkText({ action: "startBulk", detail: "forbidden-role" })).toBeUndefined();
  expect(bulkText({ action: "writeReplace", path: "/3/0/14", detail: "does-not-fit" })).toBeUndefined();
});
