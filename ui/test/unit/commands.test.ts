import { expect, test } from "vitest";
import type { Command } from "../../src/lib/api/types";
import { inOrder } from "../../src/lib/state/commands.svelte";

function command(id: string, more: Partial<Command> = {}): Command {
  const at = "2026-01-01T00:00:00.000Z";
  return { id, endpoint: "a", operation: "read", path: "/3", state: "waiting", created_at: at, changed_at: at, attempts: 0, ...more };
}

test("what waits stands in the order in which it leaves", () => {
  const listed = [
    command("ab-10"),
    command("ab-9", { created_at: "2026-01-01T00:00:00.000Z" }),
    command("ab-11", { priority: 5 }),
    command("ab-12", { priority: -5 }),
    command("ab-2", { state: "sent", priority: -9 }),
    command("ab-1", { state: "done" }),
  ];
  expect(inOrder(listed).map((item) => item.id)).toEqual(["ab-2", "ab-11", "ab-9", "ab-10", "ab-12", "ab-1"]);
});
