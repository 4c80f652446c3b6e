// Walks a viewer, and an operator, through every button of every page: what they may not do is disabled with a reason, or absent, and
// whatever is pressed, nothing is sent that the server would refuse them.
//
//   node test/roles.mjs [--program PATH] [--shots DIR] [--browser PATH] [--dist]

import { spawn } from "node:child_process";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { check, eventually, expect, findProgram, freeTcpPort, freeUdpPort, settled, start, STEP_MAX_MS, stop, walk, walkFlags } from "./lib.mjs";

const flags = walkFlags();

const ADMIN = "the-token-of-the-configuration";
const NAME = "sensor-1";
const RANKS = ["nothing", "viewer", "operator", "admin"];
const BUTTONS = "main button:visible, main input[type=checkbox]:visible, main [role=switch]:visible, main summary:visible";
const BUTTONS_MAX = 400;
const PRESSES_MAX = 120;
const ALIKE_MAX = 3;
const CLICK_MAX_MS = 700;
/** What goes before it is pressed is looked for again, so often. */
const TRIES_MAX = 3;
const [http, coap, bootstrap] = [await freeTcpPort(), await freeUdpPort(), await freeUdpPort()];
const at = (port) => `127.0.0.1:${port}`;

async function api(path, init = {}, token = ADMIN) {
  const response = await fetch(`http://${at(http)}${path}`, { ...init, headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json", ...init.headers } });
  const text = await response.text();
  return { status: response.status, body: text.startsWith("{") ? JSON.parse(text) : text };
}
const v1 = (path, method = "GET", body = undefined) => api(`/api/v1${path}`, { method, ...(body === undefined ? {} : { body: JSON.stringify(body) }) });

const device = `/devices/${NAME}`;
const PAGES = [
  "/", "/devices", "/events", "/access", "/models", "/models/add", "/models/3", "/models/33001", "/security", `/security/devices/${NAME}`, "/security/devices/new",
  "/bootstrap", `/bootstrap/devices/${NAME}`, "/bootstrap/devices/new", "/bootstrap/templates/all", "/bootstrap/templates/new",
  device, `${device}/data`, `${device}/data/3`, `${device}/data/3/0`, `${device}/data/3/0/4`, `${device}/data/1/0/1`, `${device}/data/3303/0/5700`, `${device}/composite`,
  `${device}/observations`, `${device}/queue`, `${device}/history`, `${device}/security`, `${device}/trace`, `${device}/bootstrap`, `${device}/log`,
];

/** What each request needs, as the server's own document says it. */
async function table() {
  const { body } = await api("/api/openapi.json");
  return Object.entries(body.paths).flatMap(([path, methods]) => {
    const shape = new RegExp(`^${path.replace(/\{(path)\}/g, ".+").replace(/\{[^}]+\}/g, "[^/]+")}$`);
    return Object.entries(methods).map(([method, operation]) => ({ method: method.toUpperCase(), path, shape, role: operation.security?.[0]?.token?.[0] ?? "nothing" }));
  });
}

function neededOf(rows, method, url) {
  const { pathname, searchParams } = new URL(url);
  const row = rows.filter((one) => one.method === method && one.shape.test(pathname)).sort((a, b) => b.path.replace(/\{[^}]+\}/g, "").length - a.path.replace(/\{[^}]+\}/g, "").length)[0];
  if (!row) return undefined;
  if (pathname === "/api/v1/bulk" && searchParams.toString() === "dry_run=true") return "viewer";
  return searchParams.get("queue") === "true" && row.role === "viewer" ? "operator" : row.role;
}

async function opened(browser, base, token) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 } });
  const page = await context.newPage();
  page.setDefaultTimeout(STEP_MAX_MS);
  await page.goto(`${base}/#/access`);
  await page.getByRole("textbox", { name: "Token" }).fill(token);
  await page.getByRole("button", { name: "Open" }).click();
  await page.getByText(/You are /).waitFor();
  return page;
}

async function go(page, base, hash) {
  await page.goto(`${base}/#${hash}`);
  await settled(page);
}

/** Forms are filled, so that nothing is disabled only because it is empty. */
async function fill(page) {
  await page.evaluate(() => {
    for (const field of document.querySelectorAll("main input:not([type=checkbox], [type=radio], [type=file]), main textarea")) {
      if (field.disabled || field.readOnly || field.value !== "" || field.offsetParent === null) continue;
      field.value = field.type === "number" ? "5" : field.type === "search" ? "" : "1";
      field.dispatchEvent(new Event("input", { bubbles: true }));
      field.dispatchEvent(new Event("change", { bubbles: true }));
    }
  });
}

const described = (page) =>
  page.locator("main button:visible").evaluateAll((all) =>
    all.map((one) => ({
      name: (one.getAttribute("aria-label") ?? one.textContent).trim().replace(/\s+/g, " "),
      disabled: one.disabled || one.getAttribute("aria-disabled") === "true",
      why: one.title || one.closest("[title]")?.title || (one.getAttribute("aria-describedby") && document.getElementById(one.getAttribute("aria-describedby"))?.textContent) || "",
    })),
  );

/** Presses it as a hand does; what moves or is covered just then is pressed all the same. False = it is gone, or may not be pressed any more. */
async function press(item) {
  try {
    await item.click({ timeout: CLICK_MAX_MS, noWaitAfter: true });
    return true;
  } catch {
    return item.evaluate((node) => node.isConnected && !node.matches(":disabled") && (node.click(), true)).catch(() => false);
  }
}

/** Presses everything that can be pressed, with what it asks for then, and submits every form. Tells how many it pressed, and what it could not. */
async function pressAll(page, base, hash) {
  let pressed = 0;
  let tries = 0;
  const missed = [];
  // Of many rows that have the same buttons a few are enough.
  const seen = new Map();
  // What a press opens or closes moves the others: each is known by its name, and by how many of that name stand before it.
  const visited = new Set();
  for (let looked = 0; looked < BUTTONS_MAX && pressed < PRESSES_MAX; looked += 1) {
    if (!page.url().endsWith(`#${hash}`)) await go(page, base, hash);
    await fill(page);
    const all = page.locator(BUTTONS);
    const found = await all.evaluateAll((items) => {
      const before = new Map();
      return items.map((item) => {
        const name = (item.getAttribute("aria-label") ?? item.textContent).trim();
        before.set(name, (before.get(name) ?? 0) + 1);
        return { name, id: `${name} ${before.get(name)}`, disabled: item.matches(":disabled, [aria-disabled=true]") };
      });
    });
    // One that is disabled now may be pressed once something else was.
    const at = found.findIndex(({ id, disabled }) => !disabled && !visited.has(id));
    if (at < 0) break;
    const { name, id } = found[at];
    visited.add(id);
    // Without its token nobody is anybody.
    if (name.includes("Forget the token")) continue;
    const one = await all.nth(at).elementHandle({ timeout: CLICK_MAX_MS }).catch(() => null);
    const nameNow = await one?.evaluate((item) => (item.getAttribute("aria-label") ?? item.textContent).trim()).catch(() => undefined);
    if (one && nameNow !== name) {
      // Something came before it meanwhile: it is looked for again.
      visited.delete(id);
      continue;
    }
    // What it does stands in the first word, what it does it to behind that.
    const shape = name.split(/[\s\d/]/, 1)[0];
    seen.set(shape, (seen.get(shape) ?? 0) + 1);
    if (seen.get(shape) > ALIKE_MAX) continue;
    if (!one || !(await press(one))) {
      tries += 1;
      if (tries < TRIES_MAX) {
        seen.set(shape, seen.get(shape) - 1);
        visited.delete(id);
        continue;
      }
      missed.push(name);
    }
    tries = 0;
    pressed += 1;
    await settled(page);
    for (const confirm of (await page.locator("main [role=group] button.danger:visible:enabled").elementHandles()).slice(0, 1)) await press(confirm);
  }
  await fill(page);
  for (const field of await page.locator("main form input:visible:enabled:not([type=file], [type=checkbox])").elementHandles()) {
    let sent = false;
    // As with buttons: a machine that is busy gets another chance.
    for (let turn = 0; !sent && turn < TRIES_MAX; turn += 1) sent = await field.press("Enter", { timeout: CLICK_MAX_MS, noWaitAfter: true }).then(() => true, () => false);
    // A form that went with the one before it needs no sending.
    if (!sent && (await field.evaluate((item) => item.isConnected && !item.matches(":disabled")).catch(() => false))) missed.push("Enter in a form");
  }
  await settled(page);
  return { pressed, missed };
}

async function walkAs(page, base, rows, role, ofAdmin) {
  const sent = [];
  const refused = [];
  page.on("request", (request) => {
    if (request.url().includes("/api/")) sent.push({ method: request.method(), url: request.url(), hash: page.url().split("#")[1] });
  });
  page.on("response", (response) => {
    if (response.status() === 403) refused.push(`${response.request().method()} ${response.url()} at ${page.url().split("#")[1]}`);
  });
  let pressed = 0;
  for (const hash of PAGES) {
    await check(`${role}: every button of ${hash}`, async () => {
      await go(page, base, hash);
      const [before, stopped] = [sent.length, refused.length];
      const mine = await described(page);
      const silent = mine.filter((one) => one.disabled && one.why === "" && ofAdmin.get(hash)?.some((other) => other.name === one.name && !other.disabled));
      expect(silent.length === 0, `disabled without a reason: ${silent.map((one) => one.name).join(", ")}`);
      const all = await pressAll(page, base, hash);
      pressed += all.pressed;
      expect(all.missed.length === 0, `could not be pressed: ${all.missed.join(", ")}`);
      const too = sent.slice(before).filter(({ method, url }) => RANKS.indexOf(neededOf(rows, method, url) ?? "admin") > RANKS.indexOf(role));
      expect(too.length === 0, `sent what is not for ${role}s: ${[...new Set(too.map(({ method, url }) => `${method} ${url}`))].join(", ")}`);
      expect(refused.length === stopped, `refused: ${refused.slice(stopped).join(", ")}`);
    });
  }
  expect(pressed > PAGES.length, "buttons were pressed");
  return sent;
}

/** What nobody but an admin may have changed. */
async function facts() {
  const lists = ["credentials", "bootstrap-credentials", "bootstrap", "bootstrap-templates", "tokens", "models"];
  const found = await Promise.all(lists.map(async (list) => (await v1(`/${list}`)).body.items));
  return JSON.stringify(found, (key, value) => (key === "last_used_at" ? undefined : value));
}

async function prepare(program) {
  const child = spawn(program, ["device", "--server", `coap://${at(coap)}`, "--endpoint", NAME, "--object", "3303=2", "--lifetime", "86400"], { stdio: ["pipe", "ignore", "inherit"] });
  await eventually("the device registers", async () => (await v1(`/endpoints/${NAME}`)).status === 200);
  await v1(`/credentials/${NAME}`, "PUT", { mode: "nosec" });
  await v1(`/bootstrap/${NAME}`, "PUT", { servers: [{ uri: `coap://${at(coap)}`, mode: "nosec" }] });
  await v1("/bootstrap-templates/all", "PUT", { pattern: "*", servers: [{ uri: `coap://${at(coap)}`, mode: "nosec" }] });
  const xml = `<?xml version="1.0"?><LWM2M><Object ObjectType="MODefinition"><Name>Extra</Name><Description1>x</Description1><ObjectID>33001</ObjectID><ObjectURN>urn:oma:lwm2m:x:33001</ObjectURN><LWM2MVersion>1.0</LWM2MVersion><ObjectVersion>1.0</ObjectVersion><MultipleInstances>Multiple</MultipleInstances><Mandatory>Optional</Mandatory><Resources><Item ID="0"><Name>Word</Name><Operations>RW</Operations><MultipleInstances>Single</MultipleInstances><Mandatory>Mandatory</Mandatory><Type>String</Type><RangeEnumeration></RangeEnumeration><Units></Units><Description>x</Description></Item></Resources><Description2></Description2></Object></LWM2M>`;
  const model = await api("/api/v1/models", { method: "POST", body: xml, headers: { "Content-Type": "application/xml" } });
  expect(model.status === 201, JSON.stringify(model));
  await v1(`/endpoints/${NAME}/observations/3303/0/5700`, "PUT", {});
  await v1(`/endpoints/${NAME}/composite/observations/both`, "PUT", { paths: ["/3303/0/5700", "/3/0/9"] });
  await v1(`/endpoints/${NAME}/resources/1/0/1?queue=true`, "PUT", { value: 86400 });
  return child;
}

async function main(browser, base) {
  const rows = await table();
  const made = async (name, role) => (await v1("/tokens", "POST", { name, role, expires_in_s: null })).body.secret;
  const [viewer, operator] = [await made("Vera", "viewer"), await made("Otto", "operator")];
  const admin = await opened(browser, base, ADMIN);
  const ofAdmin = new Map();
  for (const hash of PAGES) {
    await go(admin, base, hash);
    ofAdmin.set(hash, await described(admin));
  }
  await admin.context().close();
  const before = await facts();
  const observed = JSON.stringify((await v1(`/endpoints/${NAME}/observations`)).body.items.map((one) => one.path));
  const page = await opened(browser, base, viewer);
  const sent = await walkAs(page, base, rows, "viewer", ofAdmin);
  await check("nothing was changed by the viewer, and nothing was tried", async () => {
    const changing = sent.filter(({ method, url }) => method !== "GET" && neededOf(rows, method, url) !== "viewer");
    expect(changing.length === 0, JSON.stringify(changing));
    expect((await facts()) === before, "credentials, documents, templates, tokens and definitions are as they were");
    expect(JSON.stringify((await v1(`/endpoints/${NAME}/observations`)).body.items.map((one) => one.path)) === observed, "and what is observed");
    const { body } = await v1("/audit?actor=Vera");
    expect(body.items.length === 0, JSON.stringify(body.items.slice(0, 5)));
  });
  await page.context().close();
  const second = await opened(browser, base, operator);
  await walkAs(second, base, rows, "operator", ofAdmin);
  await check("an operator changed nothing that is an admin's, and tried nothing of it", async () => {
    expect((await facts()) === before, "credentials, documents, templates, tokens and definitions are as they were");
    const { body } = await v1("/audit?actor=Otto&limit=1000");
    const tried = body.items.filter((one) => one.status === 403);
    expect(tried.length === 0, JSON.stringify(tried.slice(0, 5)));
    expect(body.items.length > 0, "an operator does something all the same");
  });
}

const folder = mkdtempSync(join(tmpdir(), "lightship-roles-"));
writeFileSync(join(folder, "lightship.toml"), `[api]\ntoken = "${ADMIN}"\n[security]\nallow_nosec = true\n`);

async function begin(ends) {
  const program = findProgram(flags.program);
  const server = await start(program, ["serve", "--config", join(folder, "lightship.toml"), "--http", at(http), "--coap", at(coap), "--coaps", "none", "--bootstrap-coap", at(bootstrap), "--bootstrap-coaps", "none"]);
  ends.push(() => stop(server));
  const device = await prepare(program);
  ends.push(() => device.kill("SIGKILL"));
}

await walk(flags, http, begin, main);
