// Walks through the web UI of a running `lightship demo` with a real browser, as a person would.
//
//   node test/demo.mjs [--program PATH] [--shots DIR] [--browser PATH]
//   node test/demo.mjs --mock            the same against mock/server.mjs
//
// The program is `--program`, else $LIGHTSHIP, else the newest build in ../target. Screenshots land in shots/.
// Exit code 0 = all passed; the last line says how many.

import { bootstrap } from "./bootstrap.mjs";
import { check, demoPorts, eventually, expect, findProgram, settled, startDemo, startLine, startMock, STEP_MAX_MS, stop, walk, walkFlags, watch } from "./lib.mjs";
import { secured } from "./secured.mjs";

const flags = walkFlags({ mock: { type: "boolean", default: false } });

function startProgram() {
  return flags.mock ? startMock(ports.http) : startDemo(program, ports);
}

const program = flags.mock ? undefined : findProgram(flags.program);
const ports = await demoPorts();
const base = `http://127.0.0.1:${ports.http}`;

async function api(path) {
  const response = await fetch(`${base}/api/v1${path}`);
  return response.json();
}

/** The device with a Temperature, once all three are there. */
async function findSensor() {
  const items = await eventually("three devices register", async () => {
    const list = await api("/endpoints").catch(() => ({ items: [] }));
    return list.items.length >= 3 ? list.items : undefined;
  });
  const sensor = items.find((item) => item.objects.some((object) => object.path === "/3303/0"));
  expect(sensor, "no device of the demo has /3303/0");
  return { sensor, items };
}

/** A text or a number of the sensor that can be written without harm. */
async function findWritable(endpoint) {
  for (const [path, value] of [
    ["/3/0/15", "Europe/Lisbon"],
    ["/3/0/14", "+03:00"],
    ["/3303/0/5750", "Engine room"],
    ["/1/0/2", "7"],
  ]) {
    const answer = await api(`/endpoints/${encodeURIComponent(endpoint)}/resources${path}`);
    if (answer.code === "2.05") return { path, value };
  }
  throw new Error("the sensor has none of the resources that this test knows to write");
}

const trouble = [];

async function sideways(page) {
  return page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
}

async function main(browser, demo) {
  const { sensor, items } = await findSensor();
  const name = sensor.endpoint;
  const row = (page) => page.getByRole("link", { name, exact: true }).first();
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, colorScheme: "light" });
  const page = await context.newPage();
  page.setDefaultTimeout(STEP_MAX_MS);
  watch(page, trouble);
  const shot = (file, of = page) => of.screenshot({ path: `${flags.shots}/${file}.png` });
  const valueOf = async (label) =>
    (await page.locator("li", { has: page.getByRole("link", { name: label, exact: true }) }).first().locator(".value").innerText()).trim();

  await check("the list shows every registered device", async () => {
    await page.goto(`${base}/#/devices`);
    for (const item of items) await page.getByRole("link", { name: item.endpoint, exact: true }).waitFor();
    await page.getByText("Live", { exact: true }).waitFor();
    await shot("list-light");
  });

  await check("a filter narrows the list, and the keyboard goes on to the device", async () => {
    const bar = page.getByRole("combobox", { name: "Filter devices" });
    await bar.fill(name);
    await bar.press("Enter");
    await eventually("one row left", async () => (await page.getByRole("row").count()) === 2);
    await eventually("the keyboard reaches the device", async () => {
      await page.keyboard.press("Tab");
      return page.evaluate((text) => document.activeElement?.textContent === text, name);
    });
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name, level: 1 }).waitFor();
  });

  await check("the device page shows its registration", async () => {
    const card = page.getByRole("region", { name: "Registration" });
    const text = await card.innerText();
    for (const fact of [sensor.lwm2m_version, sensor.registration_id, sensor.address]) {
      expect(text.includes(fact), `the registration lacks ${fact}: ${text}`);
    }
  });

  await check("opening an instance reads it, with names from the definitions", async () => {
    await page.getByRole("tab", { name: "Data" }).click();
    await page.getByRole("button", { name: "/3/0", exact: false }).and(page.locator("[aria-expanded]")).click();
    await page.getByRole("link", { name: "Manufacturer", exact: true }).waitFor();
    const expected = (await api(`/endpoints/${encodeURIComponent(name)}/resources/3/0/0`)).content.value;
    await eventually("the manufacturer is shown", async () => (await valueOf("Manufacturer")) === expected);
    await shot("device-light");
  });

  await check("a resource is read with one press, and the curl line does the same", async () => {
    await page.goto(`${base}/#/devices/${encodeURIComponent(name)}/data/3303/0/5700`);
    const inspector = page.getByRole("region", { name: "Selected" });
    await inspector.getByRole("button", { name: "Read", exact: true }).click();
    await inspector.getByText("2.05 Content").first().waitFor();
    const curl = await inspector.locator("code").last().innerText();
    const ctl = await inspector.locator("code").first().innerText();
    expect(ctl === `lightship ctl --url ${base} read ${name} /3303/0/5700`, `ctl line: ${ctl}`);
    expect(curl === `curl ${base}/api/v1/endpoints/${encodeURIComponent(name)}/resources/3303/0/5700`, `curl line: ${curl}`);
  });

  await check("an observed value changes on the page without a hand", async () => {
    const inspector = page.getByRole("region", { name: "Selected" });
    const toggle = inspector.getByRole("switch", { name: "Observe /3303/0/5700" });
    // The demo observes it from the start: off, then on again by hand.
    if ((await toggle.getAttribute("aria-checked")) === "true") {
      await toggle.click();
      await inspector.getByText("Observe", { exact: true }).waitFor();
    }
    await toggle.click();
    await inspector.getByText("Observed", { exact: true }).waitFor();
    const big = inspector.locator(".big");
    const first = await big.innerText();
    await eventually("another value", async () => (await big.innerText()) !== first, 60_000);
    await inspector.getByText(/^notified/).waitFor();
    const list = await api(`/endpoints/${encodeURIComponent(name)}/observations`);
    expect(list.items.some((item) => item.path === "/3303/0/5700"), "the server does not know the observation");
    await eventually("a chart", async () => (await inspector.getByRole("img").count()) > 0, 60_000);
    await shot("observed-light");
  });

  await check("a value is written and the device has it", async () => {
    const { path, value } = await findWritable(name);
    await page.goto(`${base}/#/devices/${encodeURIComponent(name)}/data${path}`);
    const inspector = page.getByRole("region", { name: "Selected" });
    const field = inspector.getByRole("textbox", { name: `New value of ${path}` });
    await field.fill(value);
    await inspector.getByRole("button", { name: "Write", exact: true }).click();
    await inspector.getByText("2.04 Changed").first().waitFor();
    const { content } = await api(`/endpoints/${encodeURIComponent(name)}/resources${path}`);
    expect(String(content.value) === value, `the device has ${content.value}, written was ${value}`);
    await shot("written-light");
  });

  await check("a refusal of the device is shown with its code and in words", async () => {
    await page.goto(`${base}/#/devices/${encodeURIComponent(name)}/data/3303/0/9999`);
    const inspector = page.getByRole("region", { name: "Selected" });
    await inspector.getByRole("button", { name: "Read", exact: true }).click();
    await inspector.getByText("4.04 Not Found").first().waitFor();
    await inspector.getByText("The device has no such object, instance or resource.").first().waitFor();
  });

  await check("discover lists what the object has", async () => {
    await page.goto(`${base}/#/devices/${encodeURIComponent(name)}/data/3303/0`);
    const inspector = page.getByRole("region", { name: "Selected" });
    await inspector.getByRole("button", { name: "Discover", exact: true }).click();
    await inspector.getByRole("link", { name: "/3303/0/5700", exact: true }).waitFor();
  });

  await check("attributes are written and shown again", async () => {
    await page.goto(`${base}/#/devices/${encodeURIComponent(name)}/data/3303/0/5700`);
    const inspector = page.getByRole("region", { name: "Selected" });
    await inspector.getByText("Reporting attributes").click();
    await inspector.getByText("What is left empty is not set", { exact: false }).waitFor();
    await inspector.getByRole("textbox", { name: /^pmax/ }).fill("45");
    await inspector.getByRole("button", { name: "Write attributes" }).click();
    await inspector.locator("summary").getByText("pmax=45").waitFor();
    await shot("attributes-light");
  });

  await check("an attribute of the object holds for its resource, and the page says where it stands", async () => {
    const body = JSON.stringify({ pmin: 1 });
    const headers = { "Content-Type": "application/json" };
    await fetch(`${base}/api/v1/endpoints/${encodeURIComponent(name)}/attributes/3303`, { method: "PUT", headers, body });
    await page.goto(`${base}/#/devices/${encodeURIComponent(name)}/data`);
    await page.getByText("Nothing picked").waitFor();
    await page.goto(`${base}/#/devices/${encodeURIComponent(name)}/data/3303/0/5700`);
    const inspector = page.getByRole("region", { name: "Selected" });
    await inspector.getByText("Reporting attributes").click();
    await inspector.getByRole("button", { name: "Discover at each level" }).click();
    await inspector.getByText("holds 1 s · object /3303").waitFor();
    await inspector.getByText("holds 45 s · set here").waitFor();
  });

  await check("a set of paths is read, written and observed together", async () => {
    const endpoint = encodeURIComponent(name);
    const paths = ["/3/0/9", "/3303/0/5700", "/1/0/1"];
    await page.goto(`${base}/#/devices/${endpoint}/composite`);
    await page.getByRole("button", { name: "New set" }).click();
    await page.getByLabel("Paths, one a line").fill(paths.join(" "));
    await page.getByLabel("Name").fill("Demo");
    await page.getByRole("button", { name: "Save" }).click();
    const card = page.getByRole("region", { name: "Set Demo" });
    const rowOf = (path) => card.getByRole("listitem").filter({ has: page.getByRole("link", { name: path, exact: true }) });
    await card.getByRole("button", { name: "Read", exact: true }).click();
    await card.getByText("2.05 Content").waitFor();
    await eventually("values", async () => (await card.locator("li time").count()) === paths.length);
    await card.getByRole("button", { name: "Write …" }).click();
    await card.getByRole("checkbox", { name: "Write /1/0/1" }).check();
    await card.getByRole("textbox", { name: "New value of /1/0/1" }).fill("1200");
    await card.getByRole("button", { name: "Write 1 value" }).click();
    await card.getByText("2.04 Changed").waitFor();
    const { content } = await api(`/endpoints/${endpoint}/resources/1/0/1`);
    expect(content.value === 1200, `the device has ${content.value}`);
    await card.getByRole("switch", { name: "Observe Demo" }).click();
    await card.getByText("Observed", { exact: true }).waitFor();
    await rowOf("/3303/0/5700").getByText("notified").waitFor({ timeout: 60_000 });
    await card.getByText(/[1-9]\d* reports?/).waitFor();
    await shot("composite-demo-light");
    const { items } = await api(`/endpoints/${endpoint}/observations`);
    expect(items.some((item) => item.name === "Demo"), "the server does not list the observed set");
    await card.getByRole("switch", { name: "Observe Demo" }).click();
    await card.getByText("Observe", { exact: true }).waitFor();
  });

  await check("the observation is listed and can be stopped", async () => {
    await page.goto(`${base}/#/devices/${encodeURIComponent(name)}/observations`);
    await page.getByRole("tab", { name: /Observations/ }).click();
    await page.getByRole("link", { name: "/3303/0/5700", exact: true }).waitFor();
    await shot("observations-light");
    await page.getByRole("button", { name: "Stop observing /3303/0/5700" }).click();
    await page.getByRole("button", { name: "Stop observing /3303/0/5700" }).waitFor({ state: "detached" });
    const list = await api(`/endpoints/${encodeURIComponent(name)}/observations`);
    expect(!list.items.some((item) => item.path === "/3303/0/5700"), "the server still knows the observation");
  });

  await check("the feed shows events, stands still when paused, and goes on", async () => {
    await fetch(`${base}/api/v1/endpoints/${encodeURIComponent(name)}/observations/3303/0/5700`, { method: "PUT" });
    await page.goto(`${base}/#/events`);
    const events = page.getByRole("list", { name: "Events, newest first" }).getByRole("listitem");
    await eventually("an event", async () => (await events.count()) > 0, 60_000);
    await page.getByRole("button", { name: "Pause" }).click();
    const count = await events.count();
    await page.getByRole("button", { name: /Go on \(\d+ new\)/ }).waitFor({ timeout: 60_000 });
    expect((await events.count()) === count, "the feed moved while it was paused");
    await shot("events-light");
    await page.getByRole("button", { name: /Go on/ }).click();
    await eventually("more events", async () => (await events.count()) > count);
  });

  await check("dark and light follow the system, and the switch overrides it", async () => {
    const background = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const light = await background();
    await page.emulateMedia({ colorScheme: "dark" });
    await eventually("dark looks unlike light", async () => (await background()) !== light);
    await page.getByRole("button", { name: "Auto", exact: true }).click();
    await eventually("the switch overrides the system", async () => (await background()) === light);
    await page.reload();
    await page.getByRole("button", { name: "Light", exact: true }).waitFor();
    await eventually("the choice is remembered on reload", async () => (await background()) === light);
    await page.getByRole("button", { name: "Light", exact: true }).click();
    await page.getByRole("button", { name: "Dark", exact: true }).click();
    for (const [file, hash] of [["list-dark", "/devices"], ["device-dark", `/devices/${encodeURIComponent(name)}/data/3303/0/5700`], ["events-dark", "/events"]]) {
      await page.goto(`${base}/#${hash}`);
      await settled(page);
      await shot(file);
    }
    await page.emulateMedia({ colorScheme: "light" });
  });

  await check("on a phone nothing runs over the edge", async () => {
    for (const colorScheme of ["light", "dark"]) {
      const small = await browser.newContext({ viewport: { width: 360, height: 740 }, deviceScaleFactor: 2, colorScheme, isMobile: true, hasTouch: true });
      const phone = await small.newPage();
      watch(phone, trouble);
      const device = `/devices/${encodeURIComponent(name)}`;
      for (const [file, hash] of [
        ["list", "/devices"],
        ["overview", device],
        ["device", `${device}/data`],
        ["resource", `${device}/data/3303/0/5700`],
        ["write", `${device}/data/3/0/15`],
        ["instance", `${device}/data/3/0`],
        ["observations", `${device}/observations`],
        ["sets", `${device}/composite`],
        ["events", "/events"],
      ]) {
        await phone.goto(`${base}/#${hash}`);
        if (file === "list") await row(phone).waitFor();
        if (file === "device") await phone.locator("[aria-expanded]", { hasText: "/3/0" }).first().click();
        await settled(phone);
        await shot(`phone-${file}-${colorScheme}`, phone);
        const excess = await sideways(phone);
        expect(excess <= 0, `${file} in ${colorScheme} scrolls sideways by ${excess} px`);
      }
      await small.close();
    }
  });

  if (!flags.mock) {
    const before = trouble.length;
    await bootstrap({ page, base, shot, program, ports });
    await secured({ page, base, shot, program, ports });
    // There it asks for what may not be there, and is refused on purpose; the browser's console notes that, too.
    const real = trouble.splice(before).filter((text) => !/the server responded with a status of (404|422)/.test(text));
    trouble.push(...real);
  }

  await check("nothing was blocked, nothing threw", () => expect(trouble.length === 0, trouble.join("\n")));

  await check("while the server is away nothing is claimed of what was not asked, and all is there when it is back", async () => {
    const line = await startLine(ports.http);
    try {
      const small = await browser.newPage();
      await small.goto(`http://127.0.0.1:${line.port}/#/events`);
      await small.getByText("Live", { exact: true }).waitFor();
      line.cut();
      for (const [hash, claim] of [["/devices/demo-sensor", "Not registered"], ["/security", "None is remembered"]]) {
        await small.evaluate((to) => (location.hash = to), hash);
        await small.getByText("The server cannot be reached").first().waitFor();
        expect((await small.locator("main").getByText(claim).count()) === 0, `${hash} says: ${claim}`);
      }
      await small.evaluate(() => (location.hash = "/devices/demo-sensor"));
      line.mend();
      await small.getByText("Manufacturer").waitFor();
      await small.close();
    } finally {
      line.close();
    }
  });
  await check("what was written elsewhere is seen by whoever comes back to the page", async () => {
    const address = `${base}/api/v1/endpoints/demo-sensor/resources/3303/0/5750`;
    const put = (value) => fetch(address, { method: "PUT", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ value }) });
    await put("one tab");
    const tab = await browser.newPage();
    await tab.goto(`${base}/#/devices/demo-sensor/data/3303/0/5750`);
    await tab.locator(".big", { hasText: "one tab" }).waitFor();
    await put("another tab");
    await tab.evaluate(() => window.dispatchEvent(new Event("focus")));
    await tab.locator(".big", { hasText: "another tab" }).waitFor();
    await tab.close();
  });

  await check("what happened while the line was cut is caught up, nothing twice", async () => {
    const line = await startLine(ports.http);
    const heard = [];
    const abort = new AbortController();
    try {
      const small = await browser.newPage();
      await small.goto(`http://127.0.0.1:${line.port}/#/events`);
      await small.getByText("Live", { exact: true }).waitFor();
      // The test listens too, on a line of its own.
      const response = await fetch(`${base}/api/v1/events`, { signal: abort.signal });
      void (async () => {
        let rest = "";
        for await (const text of response.body.pipeThrough(new TextDecoderStream())) {
          const lines = (rest + text).split("\n");
          rest = lines.pop();
          for (const data of lines) if (data.startsWith("data:")) heard.push(JSON.parse(data.slice(5)).time);
        }
      })().catch(() => undefined);
      await eventually("an event before the cut", () => heard.length > 0);
      line.cut();
      await small.getByRole("alert").getByText("Not live.").waitFor();
      const before = heard.length;
      await eventually("events during the cut", () => heard.length >= before + 3);
      line.mend();
      const until = heard.length;
      await small.getByRole("button", { name: "Try now" }).click();
      const shown = () => small.locator("li .time").evaluateAll((items) => items.map((item) => item.title));
      await eventually("all events of the cut", async () => {
        const times = await shown();
        return heard.slice(0, until).every((time) => times.includes(time));
      });
      const wanted = [...heard];
      await eventually("each event once", async () => {
        const times = await shown();
        return wanted.every((time) => times.filter((other) => other === time).length === heard.filter((other) => other === time).length);
      });
    } finally {
      abort.abort();
      line.close();
    }
  });

  await check("when the server goes away the page says so, and comes back by itself", async () => {
    await page.goto(`${base}/#/devices`);
    await row(page).waitFor();
    await stop(demo.child);
    await page.getByRole("alert").getByText("Not live.").waitFor();
    await shot("offline-light");
    demo.child = await startProgram();
    await page.getByText("Live", { exact: true }).waitFor({ timeout: 60_000 });
    await page.getByText("Not live.").waitFor({ state: "detached" });
    await findSensor();
    await row(page).waitFor();
    for (const item of items) await page.getByRole("link", { name: item.endpoint, exact: true }).waitFor();
  });

  await context.close();
}

async function begin(ends) {
  const demo = { child: await startProgram() };
  ends.push(() => stop(demo.child));
  return demo;
}

await walk(flags, ports.http, begin, (browser, _, demo) => main(browser, demo));
