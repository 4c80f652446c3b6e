import { describe, expect, it, vi } from "vitest";
import type { TraceItem } from "../../src/lib/api/trace";
import { session } from "../../src/lib/state/session.svelte";
import { Trace } from "../../src/lib/state/trace.svelte";
import { about, afterText, answerCode, drops, exchanges, hexLines, isOpen, isRefused, matches, operationText, repeats, span, spanText } from "../../src/pages/device/trace/exchanges";

const item = (id: string, exchange: string, more: Partial<TraceItem> = {}): TraceItem => ({
  id,
  exchange,
  time: "2026-01-01T00:00:00.000Z",
  direction: "in",
  server: "lwm2m",
  address: "192.0.2.7:5683",
  secured: false,
  bytes_hex: "40",
  length: 1,
  ...more,
});

describe("exchanges", () => {
  it("puts the exchange in which something was said last first, its messages in the order of time", () => {
    const found = exchanges([item("1", "a"), item("2", "b"), item("3", "a")]);
    expect(found.map((one) => [one.id, one.items.map((each) => each.id)])).toEqual([
      ["a", ["1", "3"]],
      ["b", ["2"]],
    ]);
  });

  it("tells what came of a request", () => {
    const [answered] = exchanges([
      item("1", "a", { direction: "out", type: "CON", code: "0.01", operation: "read", path: "/3/0/9" }),
      item("2", "a", { direction: "out", type: "CON", code: "0.01", repeated: true }),
      item("3", "a", { type: "ACK", code: "4.04", code_name: "Not Found", elapsed_us: 2400 }),
    ]);
    expect(answered && [answerCode(answered), isRefused(answered), repeats(answered), span(answered), isOpen(answered)]).toEqual(["4.04", true, 1, 2400, false]);
    const [open] = exchanges([item("1", "a", { direction: "out", type: "CON", code: "0.01" })]);
    expect(open && isOpen(open)).toBe(true);
  });

  it("tells what several paths together are about, and finds them by it", () => {
    const nodes = [{ path: "/3303/0/5700", value: 21.5 }, { path: "/3304/0", resources: { 5700: { path: "/3304/0/5700", value: 40 } } }];
    const [registered, read, send, together] = exchanges([
      item("1", "a", { operation: "notify", path: "/", payload: { length: 9, nodes } }),
      item("2", "b", { operation: "send", path: "/dp", payload: { length: 9, nodes: [{ path: "/3/0/9" }] } }),
      item("3", "c", { operation: "read", path: "/3/0", payload: { length: 9, nodes } }),
      item("4", "d", { operation: "register", path: "/rd" }),
    ]);
    if (!together || !send || !read || !registered) throw new Error("four");
    expect([together, send, read, registered].map(about)).toEqual([["/3303/0/5700", "/3304/0/5700"], ["/3/0/9"], ["/3/0"], ["/rd"]]);
    const nameOf = (path: string): string => (path === "/3304/0/5700" ? "Humidity" : "");
    expect([matches(together, "all", "humidity", nameOf), matches(send, "all", "/dp /3/0/9"), matches(read, "all", "humidity", nameOf)]).toEqual([true, true, false]);
  });

  it("finds by words, errors and drops", () => {
    const [read, lost] = exchanges([
      item("2", "b", { dropped: "bad-mac" }),
      item("1", "a", { operation: "read", path: "/3/0/9", code: "2.05", options: [{ name: "Uri-Path", value: "3" }] }),
    ]);
    if (!read || !lost) throw new Error("two");
    expect(["", "READ /3/0", "2.05", "uri-path=3", "192.0.2"].every((text) => matches(read, "all", text))).toBe(true);
    expect([matches(read, "all", "write"), matches(read, "errors", ""), matches(read, "dropped", "")]).toEqual([false, false, false]);
    expect([matches(lost, "dropped", "mac"), drops(lost).length]).toEqual([true, 1]);
  });

  it("says spans, operations and bytes as people read them", () => {
    expect([0, 1, 340, 2400, 23_400, 2_100_000].map(spanText)).toEqual(["at once", "1 µs", "340 µs", "2.4 ms", "23 ms", "2.1 s"]);
    expect([0, 340].map(afterText)).toEqual(["at once", "after 340 µs"]);
    expect(["write-attributes", "bootstrap-pack-request", undefined].map(operationText)).toEqual(["Write-Attributes", "Bootstrap-Pack-Request", "Unknown"]);
    expect(hexLines("4869" + "00".repeat(15))).toEqual([
      { at: "0000", hex: `48 69${" 00".repeat(14)}`, ascii: `Hi${"·".repeat(14)}` },
      { at: "0010", hex: "00", ascii: "·" },
    ]);
  });
});

describe("a trace that is followed", () => {
  const page = (from: number, to: number) => ({ items: Array.from({ length: to - from + 1 }, (_, i) => item(String(from + i), "a")), next: String(to) });

  it("gives older messages when it is asked, each once and in order", async () => {
    const call = vi.spyOn(session.client, "call").mockResolvedValue(page(1, 9));
    const trace = new Trace("lamp", 3, 8);
    trace.items = [item("8", "a"), item("9", "a"), item("10", "a")];
    await trace.older();
    expect(call.mock.calls[0]?.[0].query).toEqual({ limit: "8" });
    expect(trace.items.map((one) => one.id)).toEqual(["3", "4", "5", "6", "7", "8", "9", "10"]);
    expect([trace.more, trace.error, trace.limit]).toEqual([false, "", 8]);
    call.mockRejectedValue(new Error("no connection"));
    trace.clear();
    expect([trace.items.length, trace.cleared, trace.more]).toEqual([0, true, true]);
    await trace.older();
    expect([trace.error, trace.more]).toEqual(["no connection", true]);
    call.mockRestore();
  });
});
