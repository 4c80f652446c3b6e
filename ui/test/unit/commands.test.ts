import { expect, test } from "vitest";
import type { Client } from "../../src/lib/api/client";
import type { Command, ServerEvent } from "../../src/lib/api/types";
import { whyText } from "../../src/lib/lwm2m/commands";
import { Commands, inOrder } from "../../src/lib/state/commands.svelte";

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

test("what was moved stands where it was put", () => {
  const listed = [command("ab-1", { place: 65_536 }), command("ab-2", { place: 131_072 }), command("ab-3", { place: 98_304 }), command("ab-4", { place: 900_000, priority: 1 })];
  expect(inOrder(listed).map((item) => item.id)).toEqual(["ab-4", "ab-1", "ab-3", "ab-2"]);
});

test("each that waits says why", () => {
  const first = command("ab-1", { operation: "read", path: "/3" });
  const why = (asleep: boolean, ahead: Command[], more: Partial<Command> = {}): string => whyText(command("ab-9", more), asleep ? "asleep" : "awake", ahead);
  expect(why(true, [])).toBe("The device sleeps.");
  expect(why(true, [first])).toBe("The device sleeps, and 1 command goes first.");
  expect(why(false, [])).toBe("It leaves next.");
  expect(why(false, [first, first])).toBe("2 commands go first; the device gets one at a time.");
  expect(why(false, [{ ...first, state: "sent" }])).toBe("Another is on its way; the device gets one at a time.");
  expect(why(false, [{ ...first, next_attempt_at: "2026-01-01T00:00:00Z" }])).toBe("It keeps its turn behind read /3, which pauses.");
  const paused = { attempts: 1, next_attempt_at: "2026-01-01T00:00:00Z", reason: "No answer came; it is sent again." };
  expect(why(false, [], paused)).toBe("No answer came; it is sent again. It goes out again after its pause, or as soon as the device shows itself.");
  expect(whyText(command("ab-9"), "gone")).toBe("The device is not registered; it leaves when the device registers again.");
  expect(why(false, [], { state: "refused", reason: "The device has no Object 9 any more." })).toBe("The device has no Object 9 any more.");
});

test("a list that comes late does not undo what was told since it was asked for", async () => {
  const old = command("ab-1");
  const done = command("ab-1", { state: "done", changed_at: "2026-01-01T00:00:09.000Z" });
  const fresh = command("ab-2", { changed_at: "2026-01-01T00:00:09.000Z" });
  let answer: (page: unknown) => void = () => undefined;
  const client = { call: () => new Promise((resolve) => (answer = resolve)) } as unknown as Client;
  const commands = new Commands("a", client);
  const loaded = commands.load();
  const tell = (type: string, item: Command): void => commands.event({ id: "1", time: item.changed_at, type, endpoint: "a", command: item } as ServerEvent);
  tell("command_done", done);
  tell("command_queued", fresh);
  answer({ items: [old] });
  await loaded;
  expect(commands.list.map((item) => `${item.id} ${item.state}`)).toEqual(["ab-2 waiting", "ab-1 done"]);
  const again = commands.load();
  answer({ items: [done] });
  await again;
  expect(commands.list.map((item) => item.id)).toEqual(["ab-1"]);
});
