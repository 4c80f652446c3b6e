// Walks through every tab of the device centre on `lightship demo`, and looks at each: light, dark, phone, axe.
//
//   node test/centre.mjs [--program PATH] [--shots DIR] [--browser PATH] [--dist]
//
// `--dist` takes the page from ../dist and only the API from the program.

import { parseArgs } from "node:util";
import { check, demoPorts, eventually, expect, findProgram, finish, here, launch, look, score, servePage, startDemo, STEP_MAX_MS, stop, watch } from "./lib.mjs";

const { values: flags } = parseArgs({
  options: {
    program: { type: "string" },
    shots: { type: "string", default: here("../shots") },
    browser: { type: "string", default: "/usr/bin/chromium" },
    dist: { type: "boolean", default: false },
  },
});

const trouble = [];
const ports = await demoPorts();

async function api(path, init) {
  const response = await fetch(`http://127.0.0.1:${ports.http}/api/v1${path}`, init);
  return response.json();
}

async function sensorOf() {
  return eventually("three devices register", async () => {
    const { items } = await api("/endpoints").catch(() => ({ items: [] }));
    return items.length >= 3 && items.find((item) => item.objects.some((object) => object.path === "/3303/0"));
  });
}

/** Goes to an address of the page and looks at what is there once `ready` shows. */
function walker(page, base) {
  const go = (hash) => page.goto(`${base}/#${hash}`);
  return {
    go,
    async visit(name, hash, ready) {
      await check(`${name}: light, dark, phone, accessible`, async () => {
        await go(hash);
        await ready();
        await look(page, flags.shots, `centre-${name}`);
      });
    },
  };
}

async function main(browser, base) {
  const sensor = await sensorOf();
  const device = `/devices/${encodeURIComponent(sensor.endpoint)}`;
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 } });
  const page = await context.newPage();
  page.setDefaultTimeout(STEP_MAX_MS);
  watch(page, trouble);
  const { visit } = walker(page, base);
  const tab = (name) => page.getByRole("tab", { name, selected: true }).waitFor();

  await visit("list", "/devices", () => page.getByRole("link", { name: sensor.endpoint, exact: true }).waitFor());
  await visit("overview", device, () => page.getByRole("region", { name: "Registration" }).waitFor());
  await visit("data", `${device}/data`, async () => {
    await page.getByRole("button", { name: "/3/0", exact: false }).and(page.locator("[aria-expanded]")).click();
    await page.getByRole("link", { name: "Manufacturer", exact: true }).waitFor();
  });
  await visit("resource", `${device}/data/3303/0/5700`, () => page.getByRole("region", { name: "Selected" }).waitFor());
  await visit("instance", `${device}/data/3/0`, () => page.getByRole("region", { name: "Selected" }).waitFor());
  await visit("composite", `${device}/composite`, () => tab(/Composite/));
  await visit("observations", `${device}/observations`, () => tab(/Observations/));
  await visit("queue", `${device}/queue`, () => tab(/Queue/));
  await visit("history", `${device}/history`, async () => {
    await page.getByRole("group", { name: /chart/ }).locator("canvas").waitFor();
  });
  await visit("bootstrap-tab", `${device}/bootstrap`, () => page.getByRole("region", { name: "Sessions" }).waitFor());
  await visit("security", `${device}/security`, () => tab("Security"));
  await visit("log", `${device}/log`, () => tab("Log"));
  await visit("events", "/events", () => page.getByText("Live", { exact: true }).waitFor());
  await visit("bootstrap", "/bootstrap", () => page.getByRole("heading", { level: 1 }).waitFor());
  await visit("security-page", "/security", () => page.getByRole("heading", { level: 1 }).waitFor());
  await visit("nobody", "/devices/nobody", () => page.getByText("This device is not registered now").waitFor());

  await check("nothing was blocked, nothing threw", () => {
    // What is not there is asked for on purpose, and noted by the browser's console, too.
    const real = trouble.filter((text) => !/the server responded with a status of 404/.test(text));
    expect(real.length === 0, real.join("\n"));
  });
  await context.close();
}

let demo;
let served;
let browser;
try {
  demo = await startDemo(findProgram(flags.program), ports);
  served = flags.dist ? await servePage(ports.http) : undefined;
  browser = await launch(flags.browser);
  await main(browser, `http://127.0.0.1:${served?.port ?? ports.http}`);
} catch (error) {
  score.failed += 1;
  process.stdout.write(`FAILED  ${error.stack ?? error}\n`);
} finally {
  await browser?.close();
  served?.close();
  if (demo) await stop(demo);
}
finish();
