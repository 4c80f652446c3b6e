// Every editor and every state that a demo does not come into, against mock/server.mjs.
//
//   node test/forms.mjs [--shots DIR] [--browser PATH] [--url http://127.0.0.1:8080]

import { composite, reporting } from "./composite.mjs";
import { late } from "./late.mjs";
import { security } from "./security.mjs";
import { sleep } from "./sleep.mjs";
import { check, eventually, expect, freeTcpPort, holdBack, startMock, STEP_MAX_MS, stop, walk, walkFlags, watch } from "./lib.mjs";

// `url` = a server with a `demo-sensor` that runs already, in place of the mock.
const flags = walkFlags({ url: { type: "string" } });

const HOSTILE = '<img src=x onerror=alert(1)>\u202e"/../#?';
const trouble = [];
let browser;
const children = [];

async function mock(...more) {
  const port = await freeTcpPort();
  children.push(await startMock(port, ...more));
  return `http://127.0.0.1:${port}`;
}

async function open(base, hash = "", options = {}) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, colorScheme: "light", ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(STEP_MAX_MS);
  watch(page, trouble);
  await page.goto(`${base}/#${hash}`);
  return page;
}

const shot = (page, file) => page.screenshot({ path: `${flags.shots}/${file}.png` });
const inspector = (page) => page.getByRole("region", { name: "Selected" });
const value = async (base, path) => (await (await fetch(`${base}/api/v1/endpoints/demo-sensor/resources${path}`)).json()).content;

/** Opens a resource, edits it, presses Write, and gives what the device then has. */
async function write(page, base, path, edit, button = "Write") {
  await page.goto(`${base}/#/devices/demo-sensor/data${path}`);
  await inspector(page).locator("nav", { hasText: path.split("/").at(-1) }).waitFor();
  await eventually("the value is read", async () => (await inspector(page).getByText("No value known yet").count()) === 0);
  await edit(inspector(page));
  await inspector(page).getByRole("button", { name: button, exact: true }).click();
  await inspector(page).getByText("2.04 Changed").waitFor();
  return value(base, path);
}

/** Object and instance are chosen from what the device has. */
async function pickLink(at) {
  await at.getByRole("combobox", { name: "New value of /3442/0/170, object" }).selectOption("3303 · Temperature");
  const instance = at.getByRole("combobox", { name: "New value of /3442/0/170, instance" });
  expect((await instance.locator("option").allInnerTexts()).join() === "0,1", "not the instances that it has");
  await instance.selectOption("1");
}

async function typeLink(at) {
  await at.getByRole("combobox", { name: "New value of /3442/0/170, object" }).selectOption("Another, typed …");
  const typed = at.getByRole("textbox", { name: "New value of /3442/0/170" });
  await typed.fill("9");
  await at.getByText("Must be object:instance", { exact: false }).waitFor();
  await typed.fill("9:7");
  await at.getByText("The device lists no /9/7.").waitFor();
}

async function editors(base) {
  const page = await open(base, "/devices/demo-sensor/data");
  const cases = [
    ["a string", "/3442/0/110", (at) => at.getByRole("textbox", { name: "New value" }).fill("grüße"), "grüße"],
    ["an integer", "/3442/0/120", (at) => at.getByRole("textbox", { name: "New value" }).fill("-7"), -7],
    ["an integer beyond what JSON numbers hold", "/3442/0/125", (at) => at.getByRole("textbox", { name: "New value" }).fill("18446744073709551615"), "18446744073709551615"],
    ["a float", "/3442/0/130", (at) => at.getByRole("textbox", { name: "New value" }).fill("2.5"), 2.5],
    ["a boolean", "/3442/0/140", (at) => at.getByRole("switch", { name: "New value" }).click(), false],
    ["bytes as hex", "/3442/0/150", (at) => at.getByRole("textbox", { name: "in hex" }).fill("de ad BE:EF"), "3q2+7w=="],
    ["a link to what the device has", "/3442/0/170", pickLink, "3303:1"],
    ["a link to nothing", "/3442/0/170", (at) => at.getByRole("combobox", { name: "New value of /3442/0/170, object" }).selectOption("Nothing"), "65535:65535"],
    ["a link that is typed", "/3442/0/170", typeLink, "9:7"],
  ];
  for (const [what, path, edit, expected] of cases) {
    await check(`${what} is written with its editor`, async () => {
      const got = (await write(page, base, path, edit)).value;
      expect(got === expected, `${path} is ${JSON.stringify(got)}, wanted ${JSON.stringify(expected)}`);
    });
  }
  await check("a time is written in the zone of the viewer", async () => {
    const got = (await write(page, base, "/3442/0/160", (at) => at.getByLabel("New value").fill("2026-07-01T12:00:00"))).value;
    expect(got === Math.floor(new Date("2026-07-01T12:00:00").getTime() / 1000), `got ${got}`);
  });
  await check("bytes are written as text", async () => {
    const edit = async (at) => {
      await at.getByRole("textbox", { name: "in hex" }).fill("68 69");
      await at.getByRole("button", { name: "As text" }).click();
      await at.getByRole("textbox", { name: "as text" }).fill("hello");
    };
    expect((await write(page, base, "/3442/0/150", edit)).value === "aGVsbG8=", "not hello");
  });
  await check("a multiple resource is written whole", async () => {
    const edit = async (at) => {
      await at.getByRole("button", { name: "Leave instance 0 out" }).click();
      await at.getByRole("button", { name: "Instance", exact: true }).click();
      await at.getByRole("spinbutton", { name: "Instance ID" }).last().fill("9");
      await at.getByRole("textbox", { name: "Value of instance 9" }).fill("99");
      await shot(page, "multiple-light");
    };
    const { 0: _left, ...rest } = (await value(base, "/3442/0/1120")).instances;
    const got = (await write(page, base, "/3442/0/1120", edit, "Write all")).instances;
    expect(JSON.stringify(got) === JSON.stringify({ ...rest, 9: 99 }), JSON.stringify(got));
  });
  await check("what is typed while a Write is on its way stays in the form", async () => {
    const field = inspector(page).getByRole("textbox", { name: "New value" });
    await page.goto(`${base}/#/devices/demo-sensor/data/3442/0/110`);
    await eventually("the value is read", async () => (await field.inputValue()) === "grüße");
    const line = await holdBack(page, "**/resources/3442/0/110*", "PUT");
    await field.fill("sent");
    await inspector(page).getByRole("button", { name: "Write", exact: true }).click();
    await line.stored;
    await field.fill("typed since");
    line.answer();
    await inspector(page).getByText("2.04 Changed").waitFor();
    await line.end();
    await page.getByRole("button", { name: "Read", exact: true }).first().click();
    await eventually("its value is what was sent", async () => (await value(base, "/3442/0/110")).value === "sent");
    expect((await field.inputValue()) === "typed since", "it was taken away");
    await inspector(page).getByRole("button", { name: "Undo" }).click();
    expect((await field.inputValue()) === "sent", "what the device has comes back");
  });
  await check("what does not fit is not sent, and the form says why", async () => {
    await page.goto(`${base}/#/devices/demo-sensor/data/3442/0/120`);
    await inspector(page).getByRole("textbox", { name: "New value" }).fill("4.5");
    await inspector(page).getByText("Must be a whole number.").waitFor();
    expect(await inspector(page).getByRole("button", { name: "Write", exact: true }).isDisabled(), "Write can be pressed");
    await shot(page, "invalid-light");
  });
  await page.context().close();
}

async function instances(base) {
  const page = await open(base, "/devices/demo-sensor/data/3303");
  await check("an instance is created with values, and deleted after asking", async () => {
    await inspector(page).getByText("Create an instance").click();
    await inspector(page).getByRole("textbox", { name: "Instance ID" }).fill("7");
    await inspector(page).getByRole("combobox", { name: "Add a resource" }).selectOption("5750");
    await inspector(page).getByRole("textbox", { name: "Application Type" }).fill("Hold");
    await shot(page, "create-light");
    await inspector(page).getByRole("button", { name: "Create", exact: true }).click();
    await inspector(page).getByText("2.01 Created").waitFor();
    expect((await value(base, "/3303/7/5750")).value === "Hold", "not created");
    await page.goto(`${base}/#/devices/demo-sensor/data/3303/7`);
    await inspector(page).getByRole("button", { name: "Delete instance" }).click();
    await inspector(page).getByText("This removes /3303/7 from the device.").waitFor();
    await inspector(page).getByRole("button", { name: "Delete instance" }).click();
    await inspector(page).getByText("2.02 Deleted").waitFor();
    await eventually("it leaves the tree", async () => (await page.locator("[data-row]", { hasText: "/3303/7" }).count()) === 0);
  });
  await check("several resources are updated at once", async () => {
    await page.goto(`${base}/#/devices/demo-sensor/data/3442/0`);
    await inspector(page).getByText("Write several resources").click();
    for (const id of ["110", "120"]) await inspector(page).getByRole("combobox", { name: "Add a resource" }).selectOption(id);
    await inspector(page).getByRole("textbox", { name: "String Value" }).fill("both");
    await inspector(page).getByRole("textbox", { name: "Integer Value" }).fill("11");
    await inspector(page).getByRole("button", { name: "Update", exact: true }).click();
    await inspector(page).getByText("2.04 Changed").waitFor();
    expect((await value(base, "/3442/0/110")).value === "both" && (await value(base, "/3442/0/120")).value === 11, "not written");
  });
  await check("a resource is executed, and bad arguments are not sent", async () => {
    await page.goto(`${base}/#/devices/demo-sensor/data/3/0/4`);
    await inspector(page).getByRole("textbox", { name: "Arguments" }).fill("12");
    await inspector(page).getByText("Arguments look like").waitFor();
    expect(await inspector(page).getByRole("button", { name: "Execute" }).isDisabled(), "Execute can be pressed");
    expect((await inspector(page).getByRole("combobox", { name: /to a set/ }).count()) === 0, "what can only be executed belongs to no set");
    await inspector(page).getByRole("textbox", { name: "Arguments" }).fill("0='now'");
    await inspector(page).getByRole("button", { name: "Execute" }).click();
    await inspector(page).getByText("2.04 Changed").waitFor();
    await shot(page, "execute-light");
  });
  await check("up and down go through the tree", async () => {
    await page.goto(`${base}/#/devices/demo-sensor/data`);
    const rows = page.locator("[data-row]");
    await rows.first().focus();
    await page.keyboard.press("ArrowDown");
    expect(await rows.nth(1).evaluate((row) => row === document.activeElement), "the focus did not move");
    await page.keyboard.press("ArrowRight");
    await eventually("right opens a branch", async () => (await rows.nth(1).getAttribute("aria-expanded")) === "true");
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("ArrowLeft");
    expect(await rows.nth(1).evaluate((row) => row === document.activeElement), "left does not go up to the branch");
    await page.keyboard.press("ArrowLeft");
    await eventually("left closes it", async () => (await rows.nth(1).getAttribute("aria-expanded")) === "false");
  });
  await page.context().close();
}

async function states(base) {
  await check("a sleeping device is not asked by itself, and its refusal is told in words", async () => {
    const page = await open(base, "/devices/demo-meter/data");
    await page.locator("[aria-expanded]", { hasText: "/3/0" }).click();
    await page.getByText("Nothing read yet, and the device sleeps.", { exact: false }).waitFor();
    await page.getByRole("button", { name: "Read /3/0" }).click();
    await page.getByText("Read: Asleep").waitFor();
    await page.getByText("The device sleeps. It wakes up by itself.").waitFor();
    await shot(page, "asleep-light");
    await page.context().close();
  });
  await check("a device that is not registered has a page that says so", async () => {
    const page = await open(base, `/devices/${encodeURIComponent(HOSTILE)}`);
    await page.getByText("This device is not registered now").waitFor();
    expect((await page.locator("h1 img").count()) === 0, "markup of a name became markup of the page");
    expect((await page.getByRole("heading", { level: 1 }).innerText()).includes("⟨U+202E⟩"), "a direction mark is not shown");
    await page.context().close();
  });
  await check("with no device the list teaches how to start one", async () => {
    const page = await open(await mock("--empty"));
    await page.getByText("No device is registered yet").waitFor();
    await page.getByText("lightship device --endpoint my-first-device", { exact: false }).waitFor();
    await shot(page, "empty-light");
    await page.context().close();
  });
  await check("nothing was blocked, nothing threw", () => {
    // A 404, 409 or 501 that the page explains is also noted by the browser's console.
    const real = trouble.filter((text) => !/the server responded with a status of (404|409|501)/.test(text));
    expect(real.length === 0, real.join("\n"));
  });
  await check("a server with a token asks for it, and keeps it for the tab", async () => {
    const page = await open(await mock("--token", "s3cret"), "/devices");
    await page.getByRole("heading", { name: "API token" }).waitFor();
    await page.getByLabel("Token").fill("wrong");
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: "API token" }).waitFor();
    await shot(page, "token-light");
    await page.getByLabel("Token").fill("s3cret");
    await page.keyboard.press("Enter");
    await page.getByRole("link", { name: "demo-sensor" }).waitFor();
    await page.reload();
    await page.getByRole("link", { name: "demo-sensor" }).click();
    await page.goto(page.url().replace(/#.*/, "#/devices/demo-sensor/data/3/0/9"));
    const curl = await inspector(page).locator("code").last().innerText();
    expect(curl.includes("$LIGHTSHIP_TOKEN") && !curl.includes("s3cret"), curl);
    await page.context().close();
  });
}

async function begin(ends) {
  ends.push(async () => {
    for (const child of children) await stop(child);
  });
}

await walk(flags, undefined, begin, async (launched) => {
  browser = launched;
  const base = flags.url ?? (await mock());
  await editors(base);
  await instances(base);
  if (flags.url === undefined) {
    await composite({ base, open, shot, inspector, mock });
    await reporting({ base, open, shot, inspector });
    await states(base);
    await sleep({ base: await mock(), open, shot, inspector });
    await security({ base: await mock(), open, shot });
    await late({ base: await mock(), open, inspector });
  }
});
