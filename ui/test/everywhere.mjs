// What holds on every page, on `lightship demo`: it fits its width, is accessible, says how a shell does the same in lines that
// are right, and gives each moment without a doubt.
//
//   node test/everywhere.mjs [--program PATH] [--shots DIR] [--browser PATH] [--dist]

import { spawnSync } from "node:child_process";
import { check, demoPorts, eventually, expect, findProgram, freeTcpPort, look, settled, STEP_MAX_MS, walkDemo, walkFlags, watch, words } from "./lib.mjs";

const flags = walkFlags();

const program = findProgram(flags.program);
const ports = await demoPorts();
const trouble = [];
/** Lines for a shell; what is JSON for ctl comes through a pipe. */
const SHELL = /^(printf %s .* \| )?(lightship ctl|curl) /s;
/** Lines for a shell, and the page that showed each first. */
const lines = new Map();

async function api(path, init) {
  const response = await fetch(`http://127.0.0.1:${ports.http}/api/v1${path}`, init);
  return response.json();
}

/** Name of a picture, address, and words that are there once it is loaded. */
function pages(sensor, meter) {
  const at = (name) => `/devices/${encodeURIComponent(name)}`;
  const tabs = ["overview", "data", "composite", "observations", "queue", "history", "security", "trace", "bootstrap", "log"];
  return [
    ["overview", "", "Fleet"],
    ["devices", "/devices", sensor],
    ["bootstrap", "/bootstrap", "Bootstrap"],
    ["bootstrap-device", `/bootstrap${at(sensor)}`, "What it gets"],
    ["bootstrap-template", "/bootstrap/templates/demo", "For devices named"],
    ["security", "/security", "Security"],
    ["security-device", `/security${at(sensor)}`, "Handshakes"],
    ["models", "/models", "Models"],
    ["model", "/models/3", "Battery Level"],
    ["model-add", "/models/add", "Add object definitions"],
    ["events", "/events", "Events"],
    ["access", "/access", "Access"],
    ...tabs.map((tab) => [`device-${tab}`, `${at(sensor)}/${tab}`, ""]),
    ["device-resource", `${at(sensor)}/data/3/0/9`, "Reporting attributes"],
    ["device-writable", `${at(sensor)}/data/3442/0/170`, "New value"],
    ["device-instance", `${at(sensor)}/data/3303/0`, "Write several resources"],
    ["device-object", `${at(sensor)}/data/3303`, "Create an instance"],
    ["device-executable", `${at(sensor)}/data/3/0/4`, "Execute"],
    ["meter-queue", `${at(meter)}/queue`, ""],
    ["meter-overview", `${at(meter)}`, ""],
    ["nobody", "/devices/nobody", "not registered now"],
  ];
}

/** What the page says a shell should do, whether it is unfolded or not. */
async function shellLines(page) {
  const texts = await page.locator("main code, main pre").allTextContents();
  return texts.map((text) => text.trim()).filter((text) => SHELL.test(text));
}

/** Titles and texts that give a day and a time of it. */
async function vagueTimes(page) {
  return page.evaluate(() => {
    const moment = /\d{4}-\d\d-\d\d \d\d:\d\d/;
    const sure = /\d\d:\d\d(:\d\d)?(\.\d+)?(Z|[+-]\d\d:?\d\d)/;
    const titled = [...document.querySelectorAll("main [title]")].map((element) => element.getAttribute("title") ?? "");
    return titled.filter((title) => moment.test(title) && !sure.test(title));
  });
}

async function one(page, base, [name, hash, text]) {
  await page.goto(`${base}/#${hash}`);
  const main = page.locator("main");
  await page.getByRole("heading", { level: 1 }).first().waitFor();
  if (text !== "") await main.getByText(text, { exact: false }).first().waitFor();
  await main.locator("code, pre").filter({ hasText: SHELL }).first().waitFor({ state: "attached" });
  const found = await shellLines(page);
  expect(found.some((line) => line.includes("lightship ctl ")) && found.some((line) => line.startsWith("curl ")), `no lines for a shell:\n${found.join("\n")}`);
  for (const line of found) if (!lines.has(line)) lines.set(line, name);
  const vague = await vagueTimes(page);
  expect(vague.length === 0, `a moment without its zone: ${vague.join(" | ")}`);
  await look(page, flags.shots, `every-${name}`, { fullPage: true });
}

async function main(browser, base) {
  const items = await eventually("three devices register", async () => {
    const list = await api("/endpoints").catch(() => ({ items: [] }));
    return list.items.length >= 3 ? list.items : undefined;
  });
  const sensor = items.find((item) => item.objects.some((object) => object.path === "/3303/0")).endpoint;
  const meter = items.find((item) => item.queue_mode).endpoint;
  await eventually("it has something to show", async () => (await api(`/endpoints/${sensor}/resources/3/0`)).code === "2.05");
  for (const path of ["3/0/9", "3/0/0", "4/0"]) await fetch(`http://127.0.0.1:${ports.http}/api/v1/endpoints/${meter}/resources/${path}?queue=true`);
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 } });
  const page = await context.newPage();
  page.setDefaultTimeout(STEP_MAX_MS);
  watch(page, trouble);
  for (const item of pages(sensor, meter)) await check(`${item[0]}: fits, is accessible, shows its lines for a shell, and when things were`, () => one(page, base, item));

  await check("what somebody else has written appears on a page that is seen, without a reload", async () => {
    const put = (path, body, method = "PUT") => api(path, { method, headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
    const written = [
      ["/security", () => put("/credentials/by-another", { mode: "nosec" }), "by-another"],
      ["/access", () => put("/tokens", { name: "token-of-another", role: "viewer" }, "POST"), "token-of-another"],
      ["/bootstrap", () => put("/bootstrap-templates/template-of-another", { pattern: "none-*", document: { servers: [{ short_server_id: 9, uri: "coap://192.0.2.9", mode: "nosec", lifetime_s: 60 }] } }), "template-of-another"],
      [`/devices/${sensor}/data/3303/0/5750`, () => put(`/endpoints/${sensor}/resources/3303/0/5750`, { value: "by another" }), "by another"],
      ["/devices?columns=/3303/0/5750", () => put(`/endpoints/${sensor}/resources/3303/0/5750`, { value: "and once more" }), "and once more"],
    ];
    for (const [hash, write, text] of written) {
      await page.goto(`${base}/#${hash}`);
      await settled(page);
      expect((await page.locator("main").getByText(text).count()) === 0, `${hash}: not there yet`);
      await write();
      await page.locator("main").getByText(text).first().waitFor();
    }
  });
  await check("every line for lightship ctl is one that it understands", async () => {
    // Nobody listens there: what is understood fails with 1, what is not with 2.
    const nowhere = `http://127.0.0.1:${await freeTcpPort()}`;
    const wrong = [];
    for (const [line, where] of lines) {
      if (line.startsWith("curl ")) continue;
      const args = words(line.slice(line.indexOf("lightship ctl "))).filter((word, i, all) => word !== "--url" && all[i - 1] !== "--url");
      const { status, stderr } = spawnSync(program, [...args, "--url", nowhere], { encoding: "utf8", timeout: 20_000, input: "{}" });
      if (status !== 1) wrong.push(`${where}: ${line}\n  ends with ${status}: ${stderr}`);
    }
    expect(wrong.length === 0, wrong.join("\n"));
  });
  await check("every line for curl is one that a shell and curl understand", () => {
    const wrong = [];
    for (const [line, where] of lines) {
      if (!line.startsWith("curl ")) continue;
      const [first, ...args] = words(line);
      // One address of this server, and besides it only flags that curl has.
      const addresses = [first, ...args].filter((word) => /^https?:\/\//.test(word));
      if (addresses.length !== 1 || !URL.canParse(addresses[0]) || !addresses[0].includes("/api/")) wrong.push(`${where}: ${line}`);
    }
    expect(wrong.length === 0, wrong.join("\n"));
  });
  await check("on a phone all pages are reached from the bar, which fits", async () => {
    await page.setViewportSize({ width: 360, height: 740 });
    await page.goto(`${base}/#/devices`);
    const bar = page.getByRole("navigation", { name: "Pages" });
    const fits = async () => expect(await bar.evaluate((nav) => nav.scrollWidth <= nav.clientWidth), "the bar scrolls sideways");
    await fits();
    for (const name of ["Bootstrap", "Security", "Models", "Access"]) {
      await bar.getByRole("button", { name: "More" }).click();
      await fits();
      await bar.getByRole("link", { name, exact: true }).click();
      await page.getByRole("heading", { level: 1 }).filter({ hasText: new RegExp(name, "i") }).first().waitFor();
      await eventually("it closes", async () => (await bar.getByRole("link", { name, exact: true }).count()) === 0);
    }
    await bar.getByRole("button", { name: "More" }).click();
    await look(page, flags.shots, "every-more");
    await page.keyboard.press("Escape");
  });
  await check("nothing was blocked, nothing threw", () => {
    const real = trouble.filter((text) => !/the server responded with a status of (404|409)/.test(text));
    expect(real.length === 0, real.join("\n"));
  });
  await context.close();
}

await walkDemo(flags, ports, main);
