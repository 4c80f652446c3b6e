// The overview and the list, with a fleet: 20,000 devices from `lightship load`, or as many as `--devices` says.
//
//   node test/fleet.mjs [--devices N] [--program PATH] [--browser PATH] [--shots DIR] [--rate N] [--only-figures]
//
// It checks what is there and how it holds together; how fast it was is written as figures at the end, and never decides.

import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { check, eventually, expect, findProgram, freeTcpPort, freeUdpPort, look, start, STEP_MAX_MS, stop, walk, walkFlags, watch } from "./lib.mjs";

const flags = walkFlags({
  devices: { type: "string", default: "20000" },
  rate: { type: "string", default: "5000" },
  "only-figures": { type: "boolean", default: false },
});
const DEVICES = Number(flags.devices);
const FILL_MAX_MS = 600_000;
const figures = {};
const trouble = [];
const children = [];

const program = findProgram(flags.program);
const [http, coap] = [await freeTcpPort(), await freeUdpPort()];

function load(...args) {
  const child = spawn(program, ["load", "--server", `coap://127.0.0.1:${coap}`, "--quiet", ...args], { stdio: ["ignore", "ignore", "inherit"] });
  children.push(child);
  return child;
}

async function fleet(base) {
  return (await fetch(`${base}/api/v1/fleet`)).json();
}

/** Frames while something goes on in the page: how long each took, and tasks of more than 50 ms. */
function frames(page, body, ms) {
  return page.evaluate(
    async ([text, span]) => {
      const step = new Function("i", text);
      const tasks = [];
      const observer = new PerformanceObserver((list) => tasks.push(...list.getEntries().map((entry) => entry.duration)));
      observer.observe({ type: "longtask" });
      const deltas = [];
      await new Promise((done) => {
        const began = performance.now();
        let before = began;
        let i = 0;
        const frame = (now) => {
          deltas.push(now - before);
          before = now;
          step(i++);
          if (now - began < span) requestAnimationFrame(frame);
          else done();
        };
        requestAnimationFrame(frame);
      });
      observer.disconnect();
      const sorted = deltas.slice(1).sort((a, b) => a - b);
      const at = (part) => Math.round((sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0) * 10) / 10;
      return { frames: sorted.length, p50_ms: at(0.5), p99_ms: at(0.99), worst_ms: at(1), over_50_ms: sorted.filter((delta) => delta > 50).length, long_tasks: tasks.length, longest_task_ms: Math.round(Math.max(0, ...tasks)) };
    },
    [body, ms],
  );
}

async function empty(page, base) {
  await check("without a device the overview teaches how to connect the first one", async () => {
    await page.goto(`${base}/#/`);
    await page.getByRole("heading", { name: "No device is registered yet" }).waitFor();
    expect((await page.getByText("lightship device --endpoint", { exact: false }).count()) > 0, "a line to copy");
    await look(page, flags.shots, "overview-empty");
  });
}

async function overview(page, base) {
  await check("the overview counts the fleet, and each number leads to its devices", async () => {
    await page.goto(`${base}/#/`);
    const tile = (name) => page.getByRole("list", { name: "Devices" }).getByRole("link", { name });
    await tile("Registered").filter({ hasText: DEVICES.toLocaleString("en") }).waitFor({ timeout: 60_000 });
    await page.getByRole("region", { name: "Registrations" }).getByRole("figure").or(page.getByRole("region", { name: "Registrations" })).first().waitFor({ timeout: 30_000 });
    await look(page, flags.shots, "overview");
    const size = page.viewportSize();
    await page.setViewportSize({ width: 390, height: 844 });
    const ends = await page.getByRole("list", { name: "Devices" }).locator("li").evaluateAll((tiles) => tiles.map((one) => [Math.round(one.getBoundingClientRect().top), Math.round(one.getBoundingClientRect().right)]));
    const tops = [...new Set(ends.map(([top]) => top))];
    const edges = tops.map((top) => Math.max(...ends.filter(([own]) => own === top).map(([, right]) => right)));
    expect(new Set(edges).size === 1, `on a phone no row of tiles has a hole: ${edges}`);
    await page.setViewportSize(size);
    await tile("Awake").click();
    await page.getByRole("heading", { name: "Devices", level: 1 }).waitFor();
    expect(new URL(page.url()).hash === "#/devices?filter=state%3Aawake", page.url());
    await page.getByRole("status").filter({ hasText: `${DEVICES.toLocaleString("en")} match` }).waitFor();
  });
}

/** How many the list says that it has. */
async function listed(page) {
  // An ellipsis is there as long as it asks.
  const text = await eventually("the list is counted", async () => {
    const said = await page.locator("header").getByRole("status").innerText();
    return /^[\d,]+ \w+$/.test(said.trim()) ? said : undefined;
  });
  return Number(text.replace(/\D/g, ""));
}

const rows = (page) => page.getByRole("table", { name: "Registered devices" }).getByRole("row");

async function list(page, base) {
  await check("the list holds all of them, and only the rows that are looked at", async () => {
    await page.goto(`${base}/#/devices`);
    await page.getByRole("link", { name: "load-0", exact: true }).waitFor();
    expect((await page.getByRole("table").getAttribute("aria-rowcount")) === String(DEVICES + 1), "the count of rows");
    expect((await rows(page).count()) < 80, "rows in the page");
    await look(page, flags.shots, "devices");
  });
  await check("the end of the list is reached at once", async () => {
    await page.locator(".scroller").evaluate((node) => (node.scrollTop = node.scrollHeight));
    const names = Array.from({ length: DEVICES }, (_, n) => `load-${n}`).sort();
    await page.getByRole("link", { name: names.at(-1), exact: true }).waitFor();
    await page.locator(".scroller").evaluate((node) => (node.scrollTop = node.scrollHeight / 2));
    await page.getByRole("link", { name: names[Math.floor(DEVICES / 2)], exact: true }).waitFor();
  });
  await check("a filter is typed with help, its mistakes are underlined, and its link brings it back", async () => {
    const bar = page.getByRole("combobox", { name: "Filter devices" });
    await bar.fill("");
    await bar.pressSequentially("lwm");
    await page.getByRole("option", { name: "lwm2m:" }).waitFor();
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("Enter");
    expect((await bar.inputValue()) === "lwm2m:", await bar.inputValue());
    await bar.fill("load-1 stat:asleep");
    await page.getByRole("alert").getByText("did you mean state?", { exact: false }).waitFor();
    expect((await page.locator(".behind u").innerText()) === "stat", "the letters that are wrong");
    await look(page, flags.shots, "devices-mistake");
    await bar.fill("load-123");
    await page.getByRole("status").filter({ hasText: " match" }).first().waitFor();
    await eventually("the address has the filter", () => page.url().includes("filter=load-123"));
    const url = page.url();
    await page.goto(`${base}/#/events`);
    await page.goto(url);
    await page.getByRole("link", { name: "load-123", exact: true }).waitFor();
    expect((await page.getByRole("combobox", { name: "Filter devices" }).inputValue()) === "load-123", "the bar has it again");
  });
  await check("a view is kept under a name, and columns are chosen", async () => {
    await page.locator("summary", { hasText: "Columns" }).click();
    await page.getByRole("checkbox", { name: "Manufacturer" }).check();
    await page.getByRole("columnheader", { name: "Manufacturer" }).waitFor();
    await page.keyboard.press("Escape");
    await page.getByRole("checkbox", { name: "Manufacturer" }).waitFor({ state: "hidden" });
    await page.locator("summary", { hasText: "Views" }).click();
    await page.getByRole("textbox", { name: "Name of the view" }).fill("One to three");
    await page.getByRole("button", { name: "Save", exact: true }).click();
    await page.goto(`${base}/#/devices`);
    await page.reload();
    await page.getByRole("link", { name: "load-0", exact: true }).waitFor();
    await page.locator("summary", { hasText: "Views" }).click();
    await page.getByRole("link", { name: "One to three" }).click();
    await page.getByRole("columnheader", { name: "Manufacturer" }).waitFor();
    await page.getByRole("link", { name: "load-123", exact: true }).waitFor();
  });
  await check("a table for other programs has every device that fits", async () => {
    const href = await page.getByRole("link", { name: "CSV" }).getAttribute("href");
    const text = await (await fetch(`${base}/${href}`)).text();
    const shown = await listed(page);
    expect(text.trim().split("\r\n").length === shown + 1, `${text.split("\r\n").length} lines, ${shown} shown`);
  });
}

async function bulk(page, base) {
  await check("an operation on many is previewed, done, and its values are shown as columns", async () => {
    const hit = await listed(page);
    await page.getByRole("button", { name: "Run on all that match" }).click();
    const panel = page.getByRole("region", { name: "Run on many devices" });
    await panel.getByRole("button", { name: "Preview" }).click();
    await panel.getByText("would get it", { exact: false }).waitFor();
    expect((await panel.getByRole("status").innerText()).includes(hit.toLocaleString("en")), "the number of the list");
    await look(page, flags.shots, "devices-bulk");
    await panel.getByRole("button", { name: /^Read \/3\/0 on/ }).click();
    // It is there again after a reload in its middle, and in a second tab.
    await eventually("the address has it", () => /[?&]bulk=\d+$/.test(page.url()));
    await page.reload();
    await panel.getByText("Read /3/0 on devices that match load-123").waitFor();
    await panel.getByText(`: done, ${hit.toLocaleString("en")} of`, { exact: false }).waitFor({ timeout: 120_000 });
    await look(page, flags.shots, "devices-bulk-done");
    const number = /bulk=(\d+)$/.exec(page.url())[1];
    await panel.getByRole("button", { name: "Another operation" }).click();
    await panel.getByRole("link", { name: "Read /3/0" }).first().click();
    await panel.getByRole("heading", { name: `Operation ${number}` }).waitFor();
    await page.goto(page.url().replace(/bulk=\d+/, "bulk=987654"));
    await panel.getByText("987654", { exact: false }).and(panel.getByRole("alert")).waitFor();
    await panel.getByRole("button", { name: "Close" }).click();
    await eventually("the address has none", () => !page.url().includes("bulk="));
    await page.reload();
    await eventually("the value stands in its column", async () => !(await rows(page).nth(1).innerText()).includes("–"));
  });
  await check("a click on a column's head puts the largest value, or the smallest, first", async () => {
    const before = page.url();
    await page.goto(`${base}/#/devices?filter=load-12&columns=%2F3%2F0%2F0%2C%2F3303%2F0%2F5700`);
    const names = Array.from({ length: DEVICES }, (_, n) => `load-${n}`).filter((name) => name.includes("load-12")).slice(0, 3);
    for (const [at, name] of names.entries()) {
      const read = await fetch(`${base}/api/v1/endpoints/${name}/resources/3303/0/5700`);
      expect(read.ok, `${name} ${at}`);
    }
    const head = page.getByRole("columnheader", { name: "Sensor Value" });
    for (const order of ["ascending", "descending"]) {
      await head.getByRole("button").click();
      await eventually(`the head says ${order}`, async () => (await head.getAttribute("aria-sort")) === order);
      await eventually("one whose value is known comes first", async () => names.includes(await page.locator(".device .name a").first().innerText()));
    }
    await look(page, flags.shots, "devices-by-value");
    await head.getByRole("button").click();
    await eventually("by name again", async () => (await head.getAttribute("aria-sort")) === "none");
    await page.goto(before);
    await page.getByRole("link", { name: "load-123", exact: true }).waitFor();
  });
  await check("on a phone a menu sorts the list, and the first column is there", async () => {
    const before = page.url();
    const size = page.viewportSize();
    await page.setViewportSize({ width: 390, height: 844 });
    await page.goto(`${base}/#/devices?filter=load-12&columns=%2F3303%2F0%2F5700`);
    const menu = page.getByRole("combobox", { name: "Sort by" });
    await menu.selectOption("Sensor Value, highest first");
    await eventually("its largest value comes first", async () => /^load-12[01]?$/.test(await page.locator(".device .name a").first().innerText()));
    await page.locator(".device .value").first().getByText(/^\d/).waitFor();
    await menu.selectOption("Last seen, oldest first");
    await eventually("the address says so", () => page.url().endsWith("sort=-updated"));
    await page.setViewportSize(size);
    await page.goto(before);
    await page.getByRole("link", { name: "load-123", exact: true }).waitFor();
  });
  await check("who is lost is a number of the overview that leads to a list", async () => {
    const before = page.url();
    const lost = load("--devices", "3", "--name", "gone-{n}", "--lifetime", "4", "--duration", "1s", "--stay");
    await eventually("three are lost", async () => (await fleet(base)).lost === 3, 60_000);
    await stop(lost);
    await page.goto(`${base}/#/`);
    await page.getByRole("list", { name: "Devices" }).getByRole("link", { name: "Lost" }).click();
    await page.getByRole("table", { name: "Lost devices" }).waitFor();
    await page.getByRole("link", { name: "gone-1", exact: true }).waitFor();
    expect((await page.locator(".device .state").first().innerText()).includes("Lost"), "the badge");
    const gap = await page.getByRole("table", { name: "Lost devices" }).evaluate((table) => table.getBoundingClientRect().right - table.querySelector(".device").getBoundingClientRect().right);
    expect(gap <= 2, `the rows of a short list end ${gap} px before it`);
    await look(page, flags.shots, "devices-lost");
    await page.goto(before);
    await page.getByRole("link", { name: "load-123", exact: true }).waitFor();
  });
  await check("devices are selected by hand, and an operation is cancelled", async () => {
    await page.getByRole("checkbox", { name: "Select load-123", exact: true }).check();
    await page.getByRole("button", { name: "Run on 1 selected" }).click();
    const panel = page.getByRole("region", { name: "Run on many devices" });
    await panel.getByText("1 selected device").waitFor();
    await panel.getByLabel("Operation").selectOption("execute");
    await panel.getByLabel("Path").fill("/3/0/4");
    await panel.getByRole("button", { name: "Preview" }).click();
    await panel.getByRole("button", { name: "Execute /3/0/4 on 1 device" }).waitFor();
    await panel.getByRole("button", { name: "Close" }).click();
  });
}

async function measure(page, base) {
  const scroll = "const at = document.querySelector('.scroller'); at.scrollTop = (at.scrollTop + 900) % (at.scrollHeight - at.clientHeight);";
  await check("the list is scrolled from end to end while its frames are timed", async () => {
    await page.goto(`${base}/#/devices`);
    await page.getByRole("link", { name: "load-0", exact: true }).waitFor();
    figures.scroll = await frames(page, scroll, 8000);
    expect((await rows(page).count()) < 80, "rows in the page");
    await eventually("the rows come after it", async () => (await page.locator(".device .name a").count()) > 5);
  });
  await check("a burst of events leaves the page usable", async () => {
    const noise = load("--devices", "1000", "--name", "noisy-{n}", "--first", "0", "--mix", "send=1", "--rate", flags.rate, "--duration", "40s");
    await eventually("the burst has begun", async () => (await fleet(base)).noisiest.some((one) => one.endpoint.startsWith("noisy-")), 60_000);
    figures.burst_list = await frames(page, scroll, 6000);
    await page.goto(`${base}/#/events`);
    figures.burst_events = await frames(page, "", 6000);
    await page.getByRole("button", { name: "Pause" }).click();
    await page.getByRole("button", { name: "Go on", exact: false }).waitFor();
    await page.goto(`${base}/#/`);
    figures.burst_overview = await frames(page, "", 6000);
    figures.burst_events_a_second = await page.evaluate(async () => {
      const rates = await (await fetch("api/v1/fleet/rates?minutes=1")).json();
      return Math.max(...rates.series.sent.map((count) => count ?? 0)) / rates.step_s;
    });
    await page.getByRole("list", { name: "Devices" }).waitFor();
    await look(page, flags.shots, "overview-burst");
    await stop(noise);
  });
}

async function main(browser, base) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, colorScheme: "light" });
  const page = await context.newPage();
  page.setDefaultTimeout(STEP_MAX_MS);
  watch(page, trouble);
  const all = !flags["only-figures"];
  if (all) await empty(page, base);
  const began = Date.now();
  load("--devices", String(DEVICES), "--mix", "update=1", "--rate", "20", "--duration", "30m");
  await eventually(`${DEVICES} devices`, async () => (await fleet(base)).registered === DEVICES, FILL_MAX_MS);
  figures.registered_in_s = Math.round((Date.now() - began) / 1000);
  if (all) {
    await overview(page, base);
    await list(page, base);
    await bulk(page, base);
  }
  await measure(page, base);
  await check("nothing was blocked, nothing threw", () => expect(trouble.filter((text) => !/ 40[04] /.test(text)).length === 0, trouble.join("\n")));
  await context.close();
}

async function begin(ends) {
  // The last of all that ends.
  ends.push(() => {
    process.stdout.write(`figures ${JSON.stringify({ devices: DEVICES, ...figures }, null, 1)}\n`);
    writeFileSync(`${flags.shots}/fleet-${DEVICES}.json`, JSON.stringify({ devices: DEVICES, ...figures }));
  });
  ends.push(async () => {
    for (const child of children.reverse()) await stop(child);
  });
  children.push(await start(program, ["serve", "--dev", "--http", `127.0.0.1:${http}`, "--coap", `127.0.0.1:${coap}`]));
}

// The page always comes from dist/, so that a change of it needs no build of the server.
await walk({ ...flags, dist: true }, http, begin, main);
