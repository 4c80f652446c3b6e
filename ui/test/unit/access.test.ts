import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { actionText } from "../../src/lib/api/access";
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
