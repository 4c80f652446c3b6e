import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { SseParser } from "../../src/lib/api/sse";
import { EventStream, type StreamState } from "../../src/lib/api/stream";
import type { ServerEvent } from "../../src/lib/api/types";

test("a stream is understood however it is cut into pieces", () => {
  const text = ': beat\r\nid: 7\r\nevent: notified\r\ndata: {"a":\r\ndata: 1}\r\n\r\nid: 8\ndata: x\n\n';
  const whole = [{ id: "7", event: "notified", data: '{"a":\n1}' }, { id: "8", data: "x" }];
  for (let size = 1; size <= text.length; size += 1) {
    const parser = new SseParser();
    const messages = [];
    for (let at = 0; at < text.length; at += size) messages.push(...parser.push(text.slice(at, at + size)));
    expect(messages).toEqual(whole);
  }
});

interface Connection {
  headers: Record<string, string>;
  send: (text: string) => void;
  close: () => void;
}

/** A server made of one function, whose connections the test holds in its hands. */
function fakeServer(status = 200): { fetch: typeof fetch; connections: Connection[]; status: number } {
  const server = {
    status,
    connections: [] as Connection[],
    fetch: ((_url: string, init: RequestInit) => {
      const encoder = new TextEncoder();
      let controller: ReadableStreamDefaultController<Uint8Array>;
      const body = new ReadableStream<Uint8Array>({ start: (given) => void (controller = given) });
      init.signal?.addEventListener("abort", () => {
        try {
          controller.error(new Error("aborted"));
        } catch {
          // Closed already.
        }
      });
      server.connections.push({
        headers: init.headers as Record<string, string>,
        send: (text) => controller.enqueue(encoder.encode(text)),
        close: () => controller.close(),
      });
      return Promise.resolve(new Response(server.status === 200 ? body : null, { status: server.status }));
    }) as unknown as typeof fetch,
  };
  return server;
}

function start(server: ReturnType<typeof fakeServer>) {
  const seen = { events: [] as string[], opens: [] as boolean[], states: [] as StreamState["kind"][] };
  const stream = new EventStream({
    url: () => "events",
    headers: () => ({}),
    onEvents: (events: ServerEvent[]) => seen.events.push(...events.map((event) => event.type)),
    onOpen: (resumed) => seen.opens.push(resumed),
    onState: (state) => seen.states.push(state.kind),
    fetch: server.fetch,
    silenceMaxMs: 1000,
    backoffMs: { first: 100, max: 400 },
  });
  stream.start();
  return { stream, seen };
}

const settle = () => vi.advanceTimersByTimeAsync(0);

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test("a lost connection is resumed where it was", async () => {
  const server = fakeServer();
  const { seen, stream } = start(server);
  await settle();
  expect(server.connections[0]?.headers["Last-Event-ID"]).toBeUndefined();
  server.connections[0]?.send('id: 41\ndata: {"type":"registered"}\n\n');
  await settle();
  server.connections[0]?.close();
  await vi.advanceTimersByTimeAsync(100);
  expect(server.connections[1]?.headers["Last-Event-ID"]).toBe("41");
  expect(seen).toEqual({ events: ["registered"], opens: [false, true], states: ["connecting", "live", "waiting", "connecting", "live"] });
  stream.stop();
});

test("a silent connection counts as dead", async () => {
  const server = fakeServer();
  const { stream } = start(server);
  await settle();
  await vi.advanceTimersByTimeAsync(900);
  server.connections[0]?.send(": beat\n\n");
  await vi.advanceTimersByTimeAsync(900);
  expect(server.connections.length).toBe(1);
  await vi.advanceTimersByTimeAsync(300);
  expect(server.connections.length).toBe(2);
  stream.stop();
});

test("a gap says that state must be asked for anew", async () => {
  const server = fakeServer();
  const { seen, stream } = start(server);
  await settle();
  server.connections[0]?.send('data: {"type":"gap"}\n\nid: 9\ndata: {"type":"updated"}\n\ndata: no json\n\n');
  await settle();
  expect(seen.opens).toEqual([false, false]);
  expect(seen.events).toEqual(["updated"]);
  stream.stop();
});

test("without a token it stops asking until it is told to", async () => {
  const server = fakeServer(401);
  const { seen, stream } = start(server);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(server.connections.length).toBe(1);
  expect(seen.states).toEqual(["connecting", "refused"]);
  server.status = 200;
  stream.retryNow();
  await settle();
  expect(seen.states.at(-1)).toBe("live");
  stream.stop();
});

test("a refusal that a token cannot mend is tried again", async () => {
  const server = fakeServer(403);
  const { seen, stream } = start(server);
  await vi.advanceTimersByTimeAsync(100);
  expect(server.connections.length).toBe(2);
  expect(seen.states).not.toContain("refused");
  stream.stop();
});

test("tries grow rarer, but never stop", async () => {
  const server = fakeServer(503);
  const { stream } = start(server);
  await vi.advanceTimersByTimeAsync(100 + 200 + 400 + 400);
  expect(server.connections.length).toBe(5);
  stream.stop();
});
