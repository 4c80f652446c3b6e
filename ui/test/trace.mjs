// Walks through the trace of a device on `lightship demo`: live, paused, filtered, opened by a link, downloaded; and looks at it.
//
//   node test/trace.mjs [--program PATH] [--shots DIR] [--browser PATH] [--dist]

import { readFile } from "node:fs/promises";
import { check, demoPorts, eventually, expect, look, STEP_MAX_MS, walkDemo, walkFlags, watch } from "./lib.mjs";

const flags = walkFlags();

const trouble = [];
const ports = await demoPorts();

async function api(path, init) {
  const response = await fetch(`http://127.0.0.1:${ports.http}/api/v1${path}`, init);
  return response.json();
}

async function main(browser, base) {
  const sensor = await eventually("three devices register", async () => {
    const { items } = await api("/endpoints").catch(() => ({ items: [] }));
    return items.length >= 3 && items.find((item) => item.objects.some((object) => object.path === "/3303/0"));
  });
  const name = encodeURIComponent(sensor.endpoint);
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, acceptDownloads: true });
  const page = await context.newPage();
  page.setDefaultTimeout(STEP_MAX_MS);
  watch(page, trouble);
  const list = page.getByRole("list", { name: "Exchanges, newest first" });
  const exchange = (text) => list.getByRole("link").filter({ hasText: text });
  const read = (path) => api(`/endpoints/${name}/resources${path}`);

  await read("/3/0");
  await page.goto(`${base}/#/devices/${name}/trace`);

  await check("what was said before one looked is there, joined", async () => {
    await exchange(/Register/).first().waitFor();
    const line = exchange(/Read.*\/3\/0.*2\.05 Content/s).first();
    await line.waitFor();
    expect((await line.getAttribute("aria-expanded")) === "false", "closed at first");
  });

  await check("resources have their names beside their paths, and are found by them", async () => {
    await exchange(/Read\s*\/3\/0\s*Device/).first().waitFor();
    await read("/3/0/9");
    await exchange(/Read\s*\/3\/0\/9\s*Device, Battery Level/).first().waitFor();
    await page.getByRole("searchbox", { name: "Find exchanges" }).fill("battery");
    await eventually("only those", async () => (await exchange("Battery Level").count()) >= 1 && (await exchange("Register").count()) === 0);
    await page.getByRole("searchbox", { name: "Find exchanges" }).fill("");
  });

  await check("what is said while one looks comes by itself", async () => {
    await page.getByRole("status").and(page.getByText("live", { exact: true })).waitFor();
    await read("/3303/0/5700");
    await exchange(/Read\s*\/3303\/0\/5700/).first().waitFor();
  });

  await check("a pause holds it, and says so", async () => {
    await page.getByRole("button", { name: "Pause" }).click();
    await page.getByRole("status").and(page.getByText("paused", { exact: true })).waitFor();
    await read("/3303/0/5601");
    const go = page.getByRole("button", { name: /Go on \(\d+ new\)/ });
    await go.waitFor();
    expect((await exchange("/3303/0/5601").count()) === 0, "nothing comes while it is paused");
    await go.click();
    await exchange("/3303/0/5601").first().waitFor();
  });

  await check("a refusal is found by its filter", async () => {
    await read("/3303/0/5999?check=none");
    await page.getByRole("button", { name: "errors only" }).click();
    await exchange(/4\.04 Not Found/).first().waitFor();
    const badges = await list.getByRole("listitem").filter({ hasText: "2.05 Content" }).count();
    expect(badges === 0, "what went well is not there");
    await page.getByRole("button", { name: "all", exact: true }).click();
    await page.getByRole("combobox", { name: "Operation" }).selectOption("register");
    await eventually("only Registers", async () => (await list.getByRole("listitem").count()) >= 1 && (await exchange("Read").count()) === 0);
    await page.getByRole("combobox", { name: "Operation" }).selectOption("");
    await page.getByRole("searchbox", { name: "Find exchanges" }).fill("/3/0 2.05");
    await exchange(/\/3\/0/).first().waitFor();
    await page.getByRole("searchbox", { name: "Find exchanges" }).fill("nothing is like this");
    await page.getByText("No exchange is like that").waitFor();
    await page.getByRole("button", { name: "Show all" }).click();
  });

  await check("the list: light, dark, phone, accessible", () => look(page, flags.shots, "trace-list"));

  let address;
  await check("an exchange opens with its messages, options, values and bytes", async () => {
    // The device goes on talking: what was read at first may have left the list by now.
    await read("/3/0");
    await exchange(/Read\s*\/3\/0\s*Device\s.*2\.05 Content/s).first().click();
    const messages = page.getByRole("list", { name: /Messages of this exchange/ });
    await messages.getByText("CON 0.01 GET").waitFor();
    await messages.getByText("ACK 2.05 Content").waitFor();
    await messages.getByText("Uri-Path").first().waitFor();
    await messages.getByText("/3/0/0", { exact: true }).waitFor();
    await messages.getByText("Device, Manufacturer").first().waitFor();
    await messages.getByText(/^bytes/).last().click();
    await messages.getByLabel("Bytes in hex and as text").last().waitFor();
    address = page.url();
    expect(/\/trace\/[0-9a-f-]+$/.test(decodeURIComponent(address)), address);
    await look(page, flags.shots, "trace-exchange");
  });

  await check("its address leads there, also from a fresh page", async () => {
    const other = await context.newPage();
    watch(other, trouble);
    await other.goto(address);
    await other.getByRole("list", { name: /Messages of this exchange/ }).getByText("ACK 2.05 Content").waitFor();
    await other.close();
    await page.goto(`${base}/#/devices/${name}/trace/1-0-1`);
    await page.getByText("no longer kept").waitFor();
    await page.goto(`${base}/#/devices/${name}/trace`);
  });

  await check("the capture is one", async () => {
    const coming = page.waitForEvent("download");
    await page.getByRole("button", { name: "pcapng" }).click();
    const download = await coming;
    expect(download.suggestedFilename() === "trace.pcapng", download.suggestedFilename());
    const bytes = await readFile(await download.path());
    expect(bytes.readUInt32LE(0) === 0x0a0d0d0a && bytes.length > 1000, "a section header");
  });

  await check("the same from a shell", async () => {
    await page.getByText(new RegExp(`lightship ctl .*trace ${sensor.endpoint} --pcapng trace.pcapng`)).waitFor();
    await page.getByText(/curl .*\/trace\?follow=true/).waitFor();
  });

  await check("who has said nothing is shown what to do", async () => {
    await page.goto(`${base}/#/devices/nobody/trace`);
    await page.getByText("Nothing was heard of this device yet").waitFor();
    await look(page, flags.shots, "trace-nobody");
  });

  await check("nothing was blocked, nothing threw", () => {
    const real = trouble.filter((text) => !/the server responded with a status of 404/.test(text));
    expect(real.length === 0, real.join("\n"));
  });
  await context.close();
}

await walkDemo(flags, ports, main);
