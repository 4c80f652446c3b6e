// Walks through every tab of the device centre on `lightship demo`, and looks at each: light, dark, phone, axe.
//
//   node test/centre.mjs [--program PATH] [--shots DIR] [--browser PATH] [--dist]
//
// `--dist` takes the page from ../dist and only the API from the program.

import { check, demoPorts, eventually, expect, findProgram, look, makeGone, STEP_MAX_MS, walkDemo, walkFlags, watch } from "./lib.mjs";

const flags = walkFlags();
const program = findProgram(flags.program);

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
  const { go, visit } = walker(page, base);
  const tab = (name) => page.getByRole("tab", { name, selected: true }).waitFor();
  const region = (name) => page.getByRole("region", { name, exact: true });
  const here = (name) => check(`${name}: light, dark, phone, accessible`, () => look(page, flags.shots, `centre-${name}`));

  await check("the palette finds a device by a part of its name", async () => {
    await go("/events");
    await page.getByText("Live", { exact: true }).waitFor();
    await page.keyboard.press("Control+k");
    await page.getByRole("combobox").fill("ensor");
    await page.getByRole("option", { name: /demo-sensor/ }).waitFor();
    await look(page, flags.shots, "centre-palette");
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: sensor.endpoint, level: 1 }).waitFor();
  });
  await check("it leads to a tab and to a path of the device that is open", async () => {
    await page.keyboard.press("Control+k");
    await page.getByRole("combobox").fill("observ");
    await page.keyboard.press("Enter");
    await tab(/Observations/);
    await page.keyboard.press("/");
    await page.getByRole("combobox").fill("3303/0/5700");
    await page.getByRole("option", { name: /Go to \/3303\/0\/5700/ }).waitFor();
    await page.keyboard.press("Enter");
    await region("Selected").getByText("Sensor Value").first().waitFor();
    expect(page.url().endsWith("/data/3303/0/5700"), page.url());
  });
  await check("a question mark shows the keys, Escape hides them", async () => {
    await page.getByRole("heading", { level: 1 }).click();
    await page.keyboard.press("?");
    await page.getByRole("dialog", { name: "Keys" }).waitFor();
    await look(page, flags.shots, "centre-keys");
    await page.keyboard.press("Escape");
    await page.getByRole("dialog", { name: "Keys" }).waitFor({ state: "hidden" });
  });

  await visit("list", "/devices", () => page.getByRole("link", { name: sensor.endpoint, exact: true }).waitFor());
  await visit("overview", device, async () => {
    await region("Registration").waitFor();
    await region("Device").getByText("Lightship", { exact: true }).waitFor();
    await region("Power").getByRole("img", { name: /^Battery: \d+ %/ }).waitFor();
    await region("Radio").getByText("dBm").first().waitFor();
    await region("Addresses").getByText(sensor.address).waitFor();
    await region("Observed").getByText("Temperature, Sensor Value").waitFor();
  });
  await check("the arrows go along the tabs", async () => {
    await page.getByRole("tab", { name: "Overview" }).focus();
    await page.keyboard.press("ArrowRight");
    await tab("Data");
    await page.keyboard.press("End");
    await tab("Log");
    await page.keyboard.press("Home");
    await tab("Overview");
  });
  await visit("data", `${device}/data`, async () => {
    const branch = page.locator("[aria-expanded]", { hasText: "/3/0" }).first();
    if ((await branch.getAttribute("aria-expanded")) === "false") await branch.click();
    await page.getByRole("link", { name: "Manufacturer", exact: true }).waitFor();
  });
  await visit("resource", `${device}/data/3303/0/5700`, () => region("Selected").waitFor());
  await check("a payload is shown byte by byte when it is asked for", async () => {
    const inspector = region("Selected");
    await inspector.getByText("Format and patience").click();
    await inspector.getByRole("checkbox", { name: /byte by byte/ }).check();
    await inspector.getByRole("button", { name: "Read", exact: true }).click();
    await inspector.getByRole("region", { name: "The payload as it came" }).getByText(/^0000  [0-9a-f]{2}/).waitFor();
  });
  await here("raw");
  await check("the tree is searched by a value", async () => {
    await page.getByRole("searchbox", { name: "Search the objects" }).fill("lightship dev");
    await page.getByRole("link", { name: "Model Number", exact: true }).waitFor();
    await page.getByRole("link", { name: "Serial Number", exact: true }).waitFor({ state: "detached" });
  });
  await visit("write", `${device}/data/3/0/15`, () => region("Selected").waitFor());
  await check("an object link is chosen from what the device has, bytes come from a file", async () => {
    await go(`${device}/data/3442/0/150`);
    await region("Selected").getByRole("textbox", { name: /New value/ }).first().waitFor();
    const file = region("Selected").locator('input[type="file"]');
    await file.setInputFiles({ name: "key.bin", mimeType: "application/octet-stream", buffer: Buffer.from([0, 1, 254, 255]) });
    await region("Selected").getByText("4 bytes").first().waitFor();
    await region("Selected").getByRole("button", { name: "Write", exact: true }).click();
    await region("Selected").getByText("2.04 Changed").first().waitFor();
    const { content } = await api(`/endpoints/${encodeURIComponent(sensor.endpoint)}/resources/3442/0/150`);
    expect(content.value === "AAH+/w==", `the device has ${content.value}`);
    await go(`${device}/data/3442/0/170`);
    await region("Selected").getByRole("combobox", { name: "New value of /3442/0/170, object" }).selectOption("3303 · Temperature");
    await region("Selected").getByRole("button", { name: "Write", exact: true }).click();
    await region("Selected").getByText("2.04 Changed").first().waitFor();
    const link = (await api(`/endpoints/${encodeURIComponent(sensor.endpoint)}/resources/3442/0/170`)).content.value;
    expect(link === "3303:0", `the device has ${link}`);
  });
  await visit("instance", `${device}/data/3/0`, () => region("Selected").waitFor());
  await visit("composite", `${device}/composite`, () => tab(/Composite/));
  await visit("observations", `${device}/observations`, () => tab(/Observations/));
  await history({ page, visit, here, device, region });
  await queue({ page, go, here, region, tab });
  await visit("bootstrap-tab", `${device}/bootstrap`, () => region("Sessions").waitFor());
  await check("a document is compared with what is kept", async () => {
    await page.getByLabel("Lifetime in seconds").fill("77");
    await page.getByText("What differs").click();
    const diff = page.getByRole("region", { name: "What differs" });
    await diff.getByText('"lifetime_s": 77').waitFor();
    await diff.getByText('"lifetime_s": 60').waitFor();
  });
  await here("bootstrap-diff");
  await visit("security", `${device}/security`, () => tab("Security"));
  await visit("log", `${device}/log`, () => page.getByRole("list", { name: /^Events/ }).first().waitFor());
  await check("the log shows one kind of events when it is asked to", async () => {
    await page.getByRole("button", { name: "registration", exact: true }).click();
    await eventually("only registrations", async () => {
      const kinds = await page.locator("ol li .kind").allInnerTexts();
      return kinds.length > 0 && kinds.every((kind) => /^(registered|updated|deregistered|expired)$/i.test(kind.trim()));
    });
  });
  await check("beside what happened stands who did what", async () => {
    await page.getByRole("button", { name: "done by people" }).click();
    await page.getByText("The same from a shell").waitFor();
  });
  await visit("events", "/events", () => page.getByText("Live", { exact: true }).waitFor());
  await gone({ page, go, here, region });
  await visit("bootstrap", "/bootstrap", () => page.getByRole("heading", { level: 1 }).waitFor());
  await visit("security-page", "/security", () => page.getByRole("heading", { level: 1 }).waitFor());
  await visit("nobody", "/devices/nobody", () => page.getByText("This device is not registered now").waitFor());

  await check("nothing was blocked, nothing threw", () => {
    // What is not there is asked for on purpose, and a device may fall asleep just before it is asked; the page says so in
    // words, and the browser's console notes it, too.
    const real = trouble.filter((text) => !/the server responded with a status of (404|409)/.test(text));
    expect(real.length === 0, real.join("\n"));
  });
  await context.close();
}

/** Of a device that is not registered any more the page shows what is kept. */
async function gone({ page, go, here, region }) {
  const name = "gone-device";
  await check("a device that is gone says so, with its last known values", async () => {
    await makeGone(program, ports, name);
    await go(`/devices/${name}`);
    await page.getByRole("heading", { name: "This device is not registered now" }).waitFor();
    await page.getByText("Its lifetime ran out").waitFor();
    await region("Last known values").getByText("Device, Manufacturer").waitFor();
    await page.getByRole("link", { name: "1 command waits for it" }).click();
  });
  await check("its queue is shown, and why it waits", async () => {
    await page.getByRole("tab", { name: "Queue 1", selected: true }).waitFor();
    await page.getByText("This device is not registered now").waitFor();
    const open = page.getByRole("list", { name: "Commands" }).getByRole("listitem");
    await open.getByText("/3/0/9").waitFor();
    await open.getByText("it leaves when the device registers again").waitFor();
  });
  await here("gone-queue");
  await check("its trace, its history and its log are shown", async () => {
    await page.getByRole("tab", { name: "Trace" }).click();
    await page.getByRole("list", { name: "Exchanges, newest first" }).getByText("Register").first().waitFor();
    await page.getByRole("tab", { name: "History" }).click();
    await page.getByRole("combobox", { name: "Add a resource to the chart" }).selectOption("/3/0/9");
    await region("History").getByRole("link", { name: "Device, Battery Level" }).waitFor();
    await page.getByRole("tab", { name: "Log" }).click();
    await page.getByRole("list", { name: /^Events/ }).first().getByText("expired").first().waitFor();
  });
  await here("gone-log");
  await go(`/devices/${name}`);
  await here("gone");
}

/** Charts of several resources, as a picture and as a table, and what is chosen in the address. */
async function history({ page, visit, here, device, region }) {
  const canvas = () => page.getByRole("group", { name: /chart/ }).locator("canvas").waitFor();
  await visit("history", `${device}/history`, canvas);
  await check("a resource is added to the chart, and the address says so", async () => {
    await page.getByRole("combobox", { name: "Add a resource to the chart" }).selectOption("/3/0/9");
    await region("History").getByRole("link", { name: "Device, Battery Level" }).waitFor();
    expect(decodeURIComponent(page.url()).includes("/3303/0/5700,/3304/0/5700,/3/0/9"), page.url());
    await canvas();
  });
  await check("the arrows tell the values of a chart", async () => {
    await region("History").getByRole("button", { name: /^Temperature, Sensor Value \d/ }).waitFor();
    await page.getByRole("group", { name: /chart/ }).focus();
    await page.keyboard.press("End");
    await page.keyboard.press("ArrowLeft");
    await region("History").locator("[aria-live]", { hasText: /\d\d:\d\d:\d\d: .*Temperature, Sensor Value \d/ }).waitFor();
  });
  await check("the same is a table, and a file", async () => {
    await page.getByRole("button", { name: "As a table" }).click();
    await page.getByRole("columnheader", { name: /Temperature/ }).waitFor();
    const wait = page.waitForEvent("download");
    await page.getByRole("button", { name: "Save as CSV" }).click();
    const file = await wait;
    expect(file.suggestedFilename() === "history.csv", file.suggestedFilename());
    const moments = await page.locator("tbody th").allInnerTexts();
    expect(new Set(moments).size === moments.length, `a moment stands there twice: ${moments}`);
  });
  await here("history-table");
}

/** What a device that sleeps is told waits in sight: cancelled, repeated, and done when it wakes. */
async function queue({ page, go, here, region, tab }) {
  const is = (state) => async () => (await api("/endpoints/demo-meter")).state === state;
  // When it has just fallen asleep it does not wake for half a minute.
  const fallsAsleep = async () => {
    await eventually("the meter wakes", is("awake"), 90_000);
    await eventually("the meter sleeps", is("asleep"), 90_000);
  };
  const queueRead = async () => {
    await go("/devices/demo-meter");
    await fallsAsleep();
    await region("Radio").getByRole("button", { name: "Queue a Read of /4/0" }).click();
    await region("Waiting").getByText("/4/0").waitFor();
  };
  await check("what is missing of a sleeping device is queued from its overview", queueRead);
  await check("a waiting command is cancelled, and queued once more", async () => {
    await page.getByRole("tab", { name: /Queue/ }).click();
    await tab(/Queue/);
    const open = page.getByRole("list", { name: "Commands" }).getByRole("listitem");
    const ended = page.getByRole("list", { name: "Ended commands" }).getByRole("listitem");
    await open.first().getByRole("button", { name: "Cancel" }).click();
    await ended.first().getByText("cancelled", { exact: true }).first().waitFor();
    await ended.first().getByRole("button", { name: "Retry" }).click();
    await open.first().getByText("waiting", { exact: true }).waitFor();
  });
  await here("queue");
  await check("when the device wakes the command is done, and its values are there", async () => {
    await page.getByRole("list", { name: "Ended commands" }).getByText("done", { exact: true }).first().waitFor({ timeout: 90_000 });
    await page.getByRole("tab", { name: "Overview" }).click();
    await region("Radio").getByText("dBm").first().waitFor();
  });
  await here("overview-meter");
  await check("what waits for a device stands on its overview", queueRead);
  await here("overview-asleep");
  await check("the chart of a device that sleeps shows when it slept", async () => {
    await go("/devices/demo-meter/history/15m%2C%2F3331%2F0%2F5700");
    await region("History").getByText("asleep", { exact: true }).waitFor();
  });
  await here("history-asleep");
}

await walkDemo(flags, ports, main);
