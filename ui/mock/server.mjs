// A stand-in for the server, for developing and testing the UI only. It speaks the part of the REST contract that the
// UI uses, and serves dist/ with the same Content-Security-Policy as the real one.
//
//   node mock/server.mjs [--port 8080] [--token SECRET] [--empty] [--no-composite]

import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { MODELS, devices as seed } from "./data.mjs";
import { securityRoute } from "./security.mjs";

const CSP =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; " +
  "manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const LOG_MAX = 1000;
const dist = fileURLToPath(new URL("../dist/", import.meta.url));

const { values: flags } = parseArgs({
  options: { port: { type: "string", default: "8080" }, token: { type: "string" }, empty: { type: "boolean" }, "no-composite": { type: "boolean" } },
});

const devices = new Map((flags.empty ? [] : seed()).map((item) => [item.registration.endpoint, { ...item, observed: new Map(), sets: new Map(), attributes: {}, deviations: new Map() }]));
const log = [];
const listeners = new Set();
/** By ID: the command as the API shows it, and what does it. */
const commands = new Map();
let sequence = 0;

function emit(type, endpoint, more = {}) {
  sequence += 1;
  const event = { id: String(sequence), time: new Date().toISOString(), type, endpoint, ...more };
  log.push(event);
  if (log.length > LOG_MAX) log.shift();
  for (const listener of listeners) listener(event);
}

function typeOf(path) {
  const [object, , resource] = path.slice(1).split("/").map(Number);
  return MODELS.find((model) => model.id === object)?.resources.find((item) => item.id === resource);
}

/** The Node of a path from the flat values. */
function node(device, path) {
  const inside = Object.entries(device.values).filter(([at]) => at === path || at.startsWith(`${path}/`));
  if (inside.length === 0) return undefined;
  const top = { path };
  for (const [at, value] of inside) {
    const rest = at.slice(path.length).split("/").filter((part) => part !== "").map(Number);
    const depth = path.split("/").length - 1;
    let here = top;
    rest.forEach((id, i) => {
      const level = depth + i + 1;
      const key = level === 3 ? "resources" : "instances";
      here[key] ??= {};
      const leaf = level === 4;
      if (leaf) here[key][id] = value;
      else here = here[key][id] ??= {};
      if (level === 3) here.type = typeOf(at)?.type;
    });
    if (rest.length === 0 || depth + rest.length === 3) here.value = value;
    if (depth >= 3) top.type = typeOf(at)?.type;
  }
  return top;
}

function write(device, content, path) {
  const put = (at, item) => {
    if (item === null || typeof item !== "object") return void (device.values[at] = item);
    if (item.value !== undefined) device.values[at] = item.value;
    const children = { ...item.resources, ...item.instances };
    if (item.instances) for (const known of Object.keys(device.values)) if (known.startsWith(`${at}/`)) delete device.values[known];
    for (const [id, child] of Object.entries(children)) put(`${at}/${id}`, child);
  };
  put(path, content);
}

function notify(device, changed) {
  for (const [path, state] of device.observed) {
    if (changed !== path && !changed.startsWith(`${path}/`)) continue;
    state.notifications += 1;
    state.time = new Date().toISOString();
    emit("notified", device.registration.endpoint, { path, code: "2.05", format: "senml-cbor", content: [node(device, path)] });
  }
  for (const [name, state] of device.sets) {
    if (!state.paths.some((path) => changed === path || changed.startsWith(`${path}/`))) continue;
    state.notifications += 1;
    state.time = new Date().toISOString();
    emit("notified", device.registration.endpoint, { name, code: "2.05", format: "senml-cbor", content: nodes(device, state.paths) });
  }
}

/** What a composite answer has of these paths; what is absent or not readable is left out. */
function nodes(device, paths) {
  return paths.filter((path) => typeOf(path)?.operations.includes("R") !== false).map((path) => node(device, path)).filter((item) => item !== undefined);
}

/** Counts it once for each answer, as the server does for a device that departs from the standard. */
function deviate(device, kind) {
  device.deviations.set(kind, (device.deviations.get(kind) ?? 0) + 1);
}

function composite(method, device, ids, body) {
  if (flags["no-composite"]) return problem(501, "not-supported", "The server cannot do this yet.", "composite operations are not available yet");
  const [kind, encoded] = ids;
  const name = decodeURIComponent(encoded ?? "");
  const said = { format: "senml-cbor" };
  if (kind === "read") return answer("read-composite", "/", "2.05", { ...said, content: { nodes: nodes(device, body.paths) } });
  if (kind === "write") {
    const refused = body.nodes.some((item) => !typeOf(item.path)?.operations.includes("W"));
    if (refused) return answer("write-composite", "/", "4.05");
    for (const item of body.nodes) write(device, item, item.path);
    for (const item of body.nodes) notify(device, item.path);
    return answer("write-composite", "/", "2.04", said);
  }
  if (method === "DELETE") {
    if (!device.sets.delete(name)) return problem(404, "not-observed", "This set is not observed.");
    emit("observation_cancelled", device.registration.endpoint, { name });
    return answer("cancel-composite", "/", "2.05");
  }
  const content = nodes(device, body.paths);
  device.sets.set(name, { paths: body.paths, state: "active", notifications: 0, attributes: {}, time: new Date().toISOString() });
  emit("observed", device.registration.endpoint, { name, code: "2.05", content });
  return answer("observe-composite", "/", "2.05", { ...said, content: { nodes: content } });
}

function problem(status, name, title, detail) {
  return { status, body: { type: `/problems/${name}`, title, status, detail } };
}

function answer(operation, path, code, more = {}) {
  return { status: 200, body: { operation, path, code, elapsed_ms: 4 + Math.floor(Math.random() * 30), ...more } };
}

function resources(method, device, path, body) {
  const content = node(device, path);
  const model = typeOf(path);
  const known = content !== undefined || model !== undefined;
  switch (method) {
    case "GET":
      if (model && !model.operations.includes("R")) return answer("read", path, "4.05");
      return content ? answer("read", path, "2.05", { format: "senml-cbor", content }) : answer("read", path, "4.04");
    case "PUT":
    case "PATCH":
      if (!known) return answer("write", path, "4.04");
      if (model && !model.operations.includes("W")) return answer("write", path, "4.05");
      write(device, body, path);
      notify(device, path);
      return answer("write", path, "2.04", { format: "senml-cbor" });
    case "POST": {
      const taken = Object.keys(device.values).filter((at) => at.startsWith(`${path}/`)).map((at) => Number(at.split("/")[2]));
      const asked = body?.path?.split("/")[2];
      const id = asked === undefined ? Math.max(-1, ...taken) + 1 : Number(asked);
      if (taken.includes(id)) return answer("create", path, "4.00");
      write(device, body, `${path}/${id}`);
      update(device, (objects) => [...objects, { path: `${path}/${id}` }]);
      return { ...answer("create", path, "2.01", { location: `${path}/${id}` }), status: 201 };
    }
    case "DELETE":
      if (path.startsWith("/3/")) return answer("delete", path, "4.05");
      for (const at of Object.keys(device.values)) if (at.startsWith(`${path}/`)) delete device.values[at];
      update(device, (objects) => objects.filter((object) => object.path !== path));
      return answer("delete", path, "2.02");
  }
}

function update(device, objects = (same) => same) {
  const now = Date.now();
  device.registration = {
    ...device.registration,
    objects: objects(device.registration.objects),
    updated_at: new Date(now).toISOString(),
    expires_at: new Date(now + device.registration.lifetime_s * 1000).toISOString(),
  };
  emit("updated", device.registration.endpoint, { registration: device.registration });
}

function discover(device, path) {
  const paths = new Set();
  for (const at of Object.keys(device.values)) {
    if (at !== path && !at.startsWith(`${path}/`)) continue;
    const ids = at.split("/").slice(0, 4);
    for (let depth = path.split("/").length; depth <= ids.length; depth += 1) paths.add(ids.slice(0, depth).join("/"));
  }
  const [object, instance] = path.slice(1).split("/");
  if (instance !== undefined) {
    for (const item of MODELS.find((model) => model.id === Number(object))?.resources ?? []) {
      if (item.operations === "E" && path.split("/").length === 3) paths.add(`${path}/${item.id}`);
    }
  }
  if (paths.size === 0) return answer("discover", path, "4.04");
  // The target shows what it inherits as well; asked for an object, a device before 1.2 says nothing of what is below.
  const above = path.split("/").slice(1).map((_, i, all) => `/${all.slice(0, i + 1).join("/")}`);
  const silent = above.length === 1 && device.registration.lwm2m_version < "1.2";
  const links = [...paths].map((at) => {
    if (at === path) return { path: at, attributes: Object.assign({}, ...above.map((level) => device.attributes[level])) };
    return { path: at, attributes: silent ? {} : (device.attributes[at] ?? {}) };
  });
  return answer("discover", path, "2.05", { format: "link", content: { links } });
}

function observations(method, device, path) {
  if (path === undefined) {
    const single = [...device.observed].map(([at, state]) => ({ path: at, ...state, content: [node(device, at)] }));
    const sets = [...device.sets].map(([name, state]) => ({ path: "/", name, ...state, content: nodes(device, state.paths) }));
    return { status: 200, body: { items: [...single, ...sets] } };
  }
  if (method === "DELETE") {
    if (!device.observed.delete(path)) return problem(404, "not-observed", "This path is not observed.");
    emit("observation_cancelled", device.registration.endpoint, { path });
    return answer("cancel-observation", path, "2.05", { content: node(device, path) });
  }
  const content = node(device, path);
  if (!content) return answer("observe", path, "4.04");
  device.observed.set(path, { state: "active", notifications: 0, attributes: {}, time: new Date().toISOString() });
  emit("observed", device.registration.endpoint, { path, code: "2.05", content: [content] });
  return answer("observe", path, "2.05", { format: "senml-cbor", content });
}

const VERBS = { GET: "read", PUT: "write", PATCH: "write", POST: "create", DELETE: "delete" };

/** Keeps the operation for the device; `wake` sends it. */
function enqueue(method, device, kind, ids, body) {
  const { endpoint } = device.registration;
  const now = new Date().toISOString();
  const operation = kind === "resources" ? VERBS[method] : kind === "attributes" ? "write-attributes" : kind;
  const command = { id: `c${commands.size + 1}`, endpoint, operation, path: `/${ids.join("/")}`, state: "waiting", place: commands.size, created_at: now, changed_at: now, attempts: 0 };
  commands.set(command.id, { command, run: () => downlink(method, device, kind, ids, body) });
  emit("command_queued", endpoint, { command });
  return { status: 202, body: command };
}

function change(id, more) {
  const held = commands.get(id);
  held.command = { ...held.command, ...more, changed_at: new Date().toISOString() };
  emit("command_done", held.command.endpoint, { command: held.command });
  return held.command;
}

/** What a device in Queue Mode does now and then: it shows itself, takes what waits, and sleeps again when told to. */
function setState(device, state) {
  const soon = new Date(Date.now() + (state === "awake" ? 40_000 : 240_000)).toISOString();
  const { awake_until, expected_wake, ...rest } = device.registration;
  device.registration = { ...rest, state, ...(state === "awake" ? { awake_until: soon } : { expected_wake: soon }) };
  emit(state, device.registration.endpoint, { registration: device.registration });
  if (state === "asleep") return;
  for (const [id, held] of commands) {
    if (held.command.endpoint !== device.registration.endpoint || held.command.state !== "waiting") continue;
    const { body } = held.run();
    change(id, { state: body.code.startsWith("2.") ? "done" : "refused", attempts: 1, answer: body });
  }
}

/** Puts one that waits beside another, or at an end; the mock leaves priorities alone. */
function moveRoute(held, body) {
  const waiting = [...commands.values()].map((other) => other.command).filter((other) => other.endpoint === held.command.endpoint && other.state === "waiting" && other.id !== held.command.id);
  waiting.sort((a, b) => a.place - b.place);
  const beside = (id) => waiting.findIndex((other) => other.id === id);
  const at = body.position === "first" ? 0 : body.position === "last" ? waiting.length : body.before ? beside(body.before) : beside(body.after) + 1;
  const place = ((waiting[at - 1]?.place ?? (waiting[at]?.place ?? 0) - 2) + (waiting[at]?.place ?? (waiting[at - 1]?.place ?? 0) + 2)) / 2;
  held.command = { ...held.command, place, changed_at: new Date().toISOString() };
  emit("command_moved", held.command.endpoint, { command: held.command });
  return { status: 200, body: held.command };
}

function commandRoute(method, id, body) {
  const held = commands.get(id);
  if (!held) return problem(404, "unknown-command", "No such command is known.");
  if (method === "GET") return { status: 200, body: held.command };
  if (held.command.state !== "waiting") return problem(409, "command-over", "The command is over.", `It is ${held.command.state}.`);
  if (method === "PATCH") return moveRoute(held, body);
  return { status: 200, body: change(id, { state: "cancelled" }) };
}

function retryRoute(id) {
  const held = commands.get(id);
  if (!held) return problem(404, "unknown-command", "No such command is known.");
  if (held.command.state === "waiting") return problem(409, "conflict", "The request contradicts what is already there.", "the command is still waiting");
  const now = new Date().toISOString();
  const { endpoint, operation, path } = held.command;
  const command = { id: `c${commands.size + 1}`, endpoint, operation, path, state: "waiting", place: commands.size, created_at: now, changed_at: now, attempts: 0 };
  commands.set(command.id, { command, run: held.run });
  emit("command_queued", endpoint, { command });
  return { status: 201, body: command };
}

function fleetRoute(what) {
  if (what === "rates") return { status: 200, body: { step_s: 10, from: new Date(Date.now() - 3_600_000).toISOString(), series: {}, failures: {} } };
  const all = [...devices.values()].map((item) => item.registration);
  const counted = (name) => all.reduce((counts, item) => ({ ...counts, [name(item)]: (counts[name(item)] ?? 0) + 1 }), {});
  const asleep = all.filter((item) => item.state === "asleep").length;
  const counts = { registered: all.length, awake: all.length - asleep, asleep, late: 0, lost: 0 };
  const kinds = { lwm2m: counted((item) => item.lwm2m_version), security: counted((item) => item.security?.mode ?? "nosec"), bindings: counted((item) => item.binding) };
  return { status: 200, body: { as_of: new Date().toISOString(), ...counts, ...kinds, lost_devices: [], firmware: [], models: [], noisiest: [], unknown: [] } };
}

function downlink(method, device, kind, ids, body) {
  const path = ids.length > 0 ? `/${ids.join("/")}` : undefined;
  if (device.registration.state === "asleep" && kind !== "observations") {
    const { expected_wake } = device.registration;
    return { status: 409, body: { ...problem(409, "asleep", "The device sleeps.", "It wakes up by itself.").body, expected_wake } };
  }
  switch (kind) {
    case "composite":
      return composite(method, device, ids, body);
    case "resources":
      if (path.startsWith("/3/")) deviate(device, "other-format");
      return resources(method, device, path, body);
    case "execute": {
      const model = typeOf(path);
      if (!model) return answer("execute", path, "4.04");
      return answer("execute", path, model.operations === "E" ? "2.04" : "4.05");
    }
    case "discover":
      return discover(device, path);
    case "attributes": {
      const set = { ...device.attributes[path] };
      for (const [name, value] of Object.entries(body)) value === null ? delete set[name] : (set[name] = value);
      device.attributes[path] = set;
      return answer("write-attributes", path, "2.04");
    }
    case "observations":
      return observations(method, device, path);
  }
}

function route(method, url, body) {
  const [, , , kind, name, verb, ...ids] = url.pathname.split("/");
  if (kind === "session") return { status: 200, body: { name: flags.token ? "configuration" : "dev", role: "admin" } };
  if (kind === "commands") return verb === "retry" ? retryRoute(name) : commandRoute(method, name, body);
  if (kind === "models") {
    const version = url.searchParams.get("version");
    const model = MODELS.find((item) => item.id === Number(name) && (!version || item.version === version));
    return model ? { status: 200, body: model } : problem(404, "unknown-model", "No such object definition is known.");
  }
  if (kind === "fleet") return fleetRoute(name);
  const secured = securityRoute(method, url, body, { problem, emit });
  if (secured) return secured;
  if (kind !== "endpoints") return problem(404, "not-found", "There is nothing at this address.");
  if (!name) {
    const filter = (url.searchParams.get("filter") ?? "").toLowerCase();
    const items = [...devices.values()].map((item) => item.registration).filter((item) => item.endpoint.toLowerCase().includes(filter));
    const [offset, limit] = [Number(url.searchParams.get("offset") ?? 0), Number(url.searchParams.get("limit") ?? 100)];
    return { status: 200, body: { items: items.slice(offset, offset + limit), total: items.length } };
  }
  const device = devices.get(decodeURIComponent(name));
  // What the server has written down; the mock writes nothing.
  if (["audit", "values", "trace"].includes(verb)) return { status: 200, body: { items: [] } };
  if (!device) return problem(404, "endpoint-not-registered", "No such endpoint is registered.");
  if (!verb && method === "DELETE") {
    devices.delete(device.registration.endpoint);
    emit("deregistered", device.registration.endpoint, { registration: device.registration, reason: "forgotten by an operator" });
    return { status: 204, body: undefined };
  }
  if (!verb) {
    const deviations = Object.fromEntries(device.deviations);
    return { status: 200, body: { ...device.registration, deviations } };
  }
  if (verb === "mock") {
    // Only the mock has this: `POST …/mock/awake`, `POST …/mock/asleep`.
    setState(device, ids[0]);
    return { status: 204, body: undefined };
  }
  if (verb === "log") {
    const types = (url.searchParams.get("type") ?? "").split(",").filter((type) => type !== "");
    const items = log.filter((event) => event.endpoint === device.registration.endpoint && (types.length === 0 || types.includes(event.type)));
    return { status: 200, body: { endpoint: device.registration.endpoint, items: items.toReversed().slice(0, 100) } };
  }
  if (verb === "values") return { status: 200, body: { endpoint: device.registration.endpoint, items: [] } };
  if (verb === "history") return { status: 200, body: { endpoint: device.registration.endpoint, path: `/${ids.join("/")}`, items: [] } };
  if (verb === "commands") {
    const items = [...commands.values()].map((held) => held.command).filter((command) => command.endpoint === device.registration.endpoint);
    return { status: 200, body: { items: items.reverse() } };
  }
  if (url.searchParams.get("queue") === "true") return enqueue(method, device, verb, ids, body);
  return downlink(method, device, verb, ids, body);
}

function stream(request, response, url) {
  response.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-store" });
  const send = (event) => response.write(`id: ${event.id}\nevent: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`);
  const after = request.headers["last-event-id"] ?? url.searchParams.get("after");
  response.write(": hello\n\n");
  if (after !== null && after !== undefined) {
    const known = Number(after) >= (log[0]?.id ?? 1) - 1 && Number(after) <= sequence;
    if (!known) response.write(`data: {"type":"gap"}\n\n`);
    for (const event of log) if (known && Number(event.id) > Number(after)) send(event);
  }
  listeners.add(send);
  const beat = setInterval(() => response.write(": \n\n"), 10_000);
  request.on("close", () => {
    listeners.delete(send);
    clearInterval(beat);
  });
}

const TYPES = { ".html": "text/html; charset=utf-8", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml" };

async function file(response, pathname) {
  const name = pathname === "/" ? "index.html" : normalize(pathname).slice(1);
  try {
    const bytes = await readFile(join(dist, name));
    response.writeHead(200, { "Content-Type": TYPES[extname(name)] ?? "application/octet-stream", "Content-Security-Policy": CSP });
    response.end(bytes);
  } catch {
    response.writeHead(404).end();
  }
}

async function handle(request, response) {
  const url = new URL(request.url, "http://mock");
  if (!url.pathname.startsWith("/api/")) return file(response, url.pathname);
  const send = ({ status, body }) => {
    const type = status < 400 ? "application/json" : "application/problem+json";
    response.writeHead(status, { "Content-Type": type });
    response.end(body === undefined ? undefined : JSON.stringify(body));
  };
  if (flags.token && request.headers.authorization !== `Bearer ${flags.token}`) {
    return send(problem(401, "no-token", "A bearer token is needed.", "Send Authorization: Bearer …"));
  }
  if (url.pathname === "/api/v1/events") return stream(request, response, url);
  let text = "";
  for await (const chunk of request) text += chunk;
  send(route(request.method, url, text === "" ? undefined : JSON.parse(text)));
}

// The world goes on: temperatures drift, a battery drains, registrations are updated.
setInterval(() => {
  const sensor = devices.get("demo-sensor");
  if (!sensor) return;
  for (const path of ["/3303/0/5700", "/3303/1/5700"]) {
    const drift = Math.sin(Date.now() / 9000) * 0.15 + (Math.random() - 0.5) * 0.2;
    sensor.values[path] = Math.round((sensor.values[path] + drift) * 100) / 100;
    notify(sensor, path);
  }
  sensor.values["/3/0/13"] = Math.floor(Date.now() / 1000);
  notify(sensor, "/3/0/13");
}, 1000);
// The firmware device sends by itself, three samples at once, each with the time at which it was taken.
setInterval(() => {
  const device = devices.get("demo-firmware");
  if (!device) return;
  const content = [12, 8, 4].map((age, i) => {
    const value = (device.values["/3/0/9"] = 70 + Math.floor(Math.random() * 10) + i);
    return { path: "/3/0/9", type: "integer", value, time: new Date(Date.now() - age * 1000).toISOString() };
  });
  emit("sent", "demo-firmware", { format: "senml-cbor", content });
}, 3000);
setInterval(() => {
  for (const device of devices.values()) if (device.registration.state === "awake") update(device);
}, 20_000);

const server = createServer((request, response) => {
  handle(request, response).catch((error) => {
    process.stderr.write(`${error.stack}\n`);
    response.writeHead(500).end();
  });
});
server.listen(Number(flags.port), "127.0.0.1", () => {
  process.stdout.write(`listening http tcp 127.0.0.1:${server.address().port}\nready\n`);
});
