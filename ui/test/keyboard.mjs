// The page with nothing but a keyboard, on `lightship demo`: every page is walked along with Tab, and all that can be pressed or
// filled in gets the focus, in the order in which it is read, and shows it; then the jobs of an operator are done, and whatever
// opens gives the focus back when it closes.
//
//   node test/keyboard.mjs [--program PATH] [--shots DIR] [--browser PATH] [--dist]

import { check, demoPorts, drawn, eventually, expect, settled, STEP_MAX_MS, walkDemo, walkFlags } from "./lib.mjs";

const flags = walkFlags();
const ports = await demoPorts();
const TABS_MAX = 400;

async function api(path, init) {
  return (await fetch(`http://127.0.0.1:${ports.http}/api/v1${path}`, init)).json();
}

/** What a press or a key is for, as far as it can be seen; of what is one thing to Tab, such as the tabs of a device, the one that counts. */
function stops(page) {
  return page.evaluate(() => {
    const all = [...document.querySelectorAll("a[href], button, input, select, textarea, summary, [tabindex]")];
    const isRoved = (one) => one.closest('[role="tablist"], [role="listbox"]') && one.tabIndex < 0;
    const isOther = (one) => one.type === "radio" && !one.checked;
    const wanted = all.filter((one) => one.checkVisibility({ visibilityProperty: true }) && !one.disabled && one.tabIndex >= 0 && !isRoved(one) && !isOther(one));
    const deaf = all.filter((one) => one.checkVisibility() && !one.disabled && one.tabIndex < 0 && !isRoved(one) && one.matches("a, button, input, select, textarea") && !one.closest("[data-row], [aria-hidden=true]"));
    wanted.forEach((one, i) => one.setAttribute("data-stop", String(i)));
    const twice = new Set(wanted.map((one) => one.href).filter(Boolean));
    const nameOf = (one) => `${one.tagName.toLowerCase()} ${(one.getAttribute("aria-label") ?? one.textContent ?? "").trim().slice(0, 40)}`;
    return { wanted: wanted.map(nameOf), deaf: deaf.filter((one) => !twice.has(one.href)).map(nameOf) };
  });
}

/** Whatever has the focus: which stop it is, and whether one sees it. */
function focused(page) {
  return page.evaluate(() => {
    const one = document.activeElement;
    if (!one || one === document.body) return undefined;
    const style = getComputedStyle(one);
    const box = one.getBoundingClientRect();
    const seen = (style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0) || style.boxShadow !== "none";
    const inside = box.width > 0 && box.bottom > 0 && box.right > 0 && box.top < innerHeight && box.left < innerWidth;
    return { stop: one.getAttribute("data-stop"), seen, inside, text: `${one.tagName.toLowerCase()} ${(one.getAttribute("aria-label") ?? one.textContent ?? "").trim().slice(0, 40)}` };
  });
}

/** Along the page with Tab, from its beginning until it begins again. */
async function along(page, base, hash) {
  await page.goto("about:blank");
  await page.goto(`${base}/#${hash}`);
  await settled(page);
  const { wanted, deaf } = await stops(page);
  const wrong = [];
  const reached = new Set();
  let last = -1;
  for (let i = 0; i < TABS_MAX; i += 1) {
    await page.keyboard.press("Tab");
    const now = await focused(page);
    if (now === undefined) break;
    if (now.stop !== null) {
      const at = Number(now.stop);
      if (reached.has(at)) break;
      if (at < last) wrong.push(`goes back to ${now.text}`);
      last = at;
      reached.add(at);
    }
    if (!now.seen) wrong.push(`no sign of the focus: ${now.text}`);
    if (!now.inside) wrong.push(`out of sight: ${now.text}`);
  }
  // What came or went while one walked, as rows of live lists do, is not there any more.
  const left = await page.evaluate(() => [...document.querySelectorAll("[data-stop]")].filter((one) => one.checkVisibility()).map((one) => Number(one.getAttribute("data-stop"))));
  // Nobody goes through the hundreds of a long list one by one: as far as that was walked.
  const isLong = wanted.length > TABS_MAX;
  for (const at of left) if (!reached.has(at) && !(isLong && at > last)) wrong.push(`not reached: ${wanted[at]}`);
  wrong.push(...deaf.map((text) => `no key reaches ${text}`));
  expect(wanted.length > 8 && wrong.length === 0, `${hash}: ${reached.size} of ${wanted.length}\n${[...new Set(wrong)].slice(0, 20).join("\n")}`);
}

/** Presses Tab until that has the focus. */
async function reach(page, target) {
  await target.first().waitFor();
  for (let i = 0; i < TABS_MAX; i += 1) {
    if (await target.first().evaluate((node) => node === document.activeElement)) return;
    await page.keyboard.press("Tab");
  }
  throw new Error(`Tab does not lead to ${target}`);
}

async function press(page, target, key = "Enter") {
  await reach(page, target);
  await page.keyboard.press(key);
}

const has = (target) => eventually(`the focus is on ${target}`, () => target.evaluate((node) => node === document.activeElement));

async function jobs(page, base, sensor) {
  const at = (tab) => `${base}/#/devices/${sensor}${tab}`;
  await check("from anywhere to a resource by its name, and on to its Read", async () => {
    await page.goto(`${base}/#/`);
    await page.keyboard.press("Control+k");
    await page.keyboard.type(sensor);
    await page.getByRole("option").filter({ hasText: sensor }).first().waitFor();
    await page.keyboard.press("Enter");
    await page.getByRole("tab", { name: "Overview" }).waitFor();
    await reach(page, page.getByRole("tab", { selected: true }));
    await page.keyboard.press("ArrowRight");
    await page.getByRole("tab", { name: "Data", selected: true }).waitFor();
    const branch = page.getByRole("button", { name: /Instance 0/ }).and(page.locator("[data-row]"));
    await press(page, branch.first());
    await eventually("it opens", async () => (await branch.first().getAttribute("aria-expanded")) === "true");
  });
  await check("a value is read, written and observed", async () => {
    await page.goto(at("/data/3303/0/5750"));
    await press(page, page.getByRole("button", { name: "Read", exact: true }));
    const done = page.getByRole("region", { name: "Done on this page" }).or(page.locator("main").filter({ hasText: "Done on this page" }));
    await done.getByText("2.05 Content").first().waitFor();
    await reach(page, page.getByRole("textbox", { name: /New value|Application Type/ }));
    await page.keyboard.press("Control+a");
    await page.keyboard.type("by keys alone");
    await page.keyboard.press("Enter");
    await eventually("the device has it", async () => (await api(`/endpoints/${sensor}/resources/3303/0/5750`)).content?.value === "by keys alone");
    await page.goto(at("/data/3303/0/5601"));
    const observed = page.getByRole("switch").first();
    const before = await observed.getAttribute("aria-checked");
    await press(page, observed, "Space");
    await eventually("it is switched", async () => (await observed.getAttribute("aria-checked")) !== before);
  });
  await check("what covers the page gives the focus back", async () => {
    await page.goto(`${base}/#/devices`);
    await settled(page);
    const search = page.getByRole("button", { name: "Search" });
    await press(page, search);
    await page.getByRole("dialog").getByRole("combobox").waitFor();
    await page.keyboard.press("Escape");
    await has(search);
    await page.keyboard.press("?");
    await page.getByRole("dialog", { name: "Keys" }).waitFor();
    await page.keyboard.press("Escape");
    await has(search);
    for (const name of ["Views", "Columns"]) {
      const menu = page.locator("summary").filter({ hasText: name });
      await press(page, menu);
      await page.keyboard.press("Tab");
      await page.keyboard.press("Escape");
      await has(menu);
    }
  });
  await check("a question is answered with no by Escape and by its button, and one is back where one was", async () => {
    await page.goto(at(""));
    const forget = page.getByRole("button", { name: "Forget registration" });
    for (const key of ["Escape", "Enter"]) {
      await press(page, forget);
      await has(page.getByRole("button", { name: "No", exact: true }));
      await page.keyboard.press(key);
      await has(forget);
    }
    expect((await api("/endpoints")).items.some((item) => item.endpoint === sensor), "nothing was forgotten");
  });
  await check("one operation for many: begun with keys", async () => {
    await page.goto(`${base}/#/devices?filter=${encodeURIComponent("name:demo-sensor")}`);
    await settled(page);
    await press(page, page.getByRole("button", { name: /Run on all/ }).or(page.getByRole("link", { name: /Run on all/ })));
    const panel = page.getByRole("region", { name: "Run on many devices" });
    await press(page, panel.getByRole("button", { name: /Preview|How many/ }).or(panel.getByRole("button", { name: /^Run|^Read/ })).first());
    await drawn(page);
    await eventually("it says how many", async () => /\b1\b/.test(await panel.innerText()));
  });
  await check("a token is made and taken away", async () => {
    await page.goto(`${base}/#/access`);
    await reach(page, page.getByRole("textbox", { name: "Name", exact: true }));
    await page.keyboard.type("keys");
    await page.keyboard.press("Enter");
    await eventually("it is there", async () => (await api("/tokens")).items.some((token) => token.name === "keys"));
    const away = page.getByRole("button", { name: /Take away|Revoke|Delete/ }).first();
    await press(page, away);
    await press(page, page.getByRole("group").getByRole("button", { name: /Take away|Revoke|Delete/ }).first());
    await eventually("it is gone", async () => !(await api("/tokens")).items.some((token) => token.name === "keys"));
  });
}

async function main(browser, base) {
  const items = await eventually("three devices register", async () => {
    const list = await api("/endpoints").catch(() => ({ items: [] }));
    return list.items.length >= 3 ? list.items : undefined;
  });
  const sensor = items.find((item) => item.objects.some((object) => object.path === "/3303/0")).endpoint;
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 } });
  const page = await context.newPage();
  page.setDefaultTimeout(STEP_MAX_MS);
  const tabs = ["overview", "data", "composite", "observations", "queue", "history", "security", "trace", "bootstrap", "log"];
  const pages = ["/", "/devices", "/bootstrap", `/bootstrap/devices/${sensor}`, "/bootstrap/templates/demo", "/security", `/security/devices/${sensor}`, "/models", "/models/3", "/models/add", "/events", "/access", ...tabs.map((tab) => `/devices/${sensor}/${tab}`), `/devices/${sensor}/data/3303/0/5700`, `/devices/${sensor}/data/3/0/4`];
  await jobs(page, base, sensor);
  // What comes by itself would move what one walks along.
  await page.goto(`${base}/#/events`);
  for (const hash of pages) await check(`${hash}: Tab leads to all of it, in order, and one sees where`, () => along(page, base, hash));
  await context.close();
}

await walkDemo(flags, ports, main);
