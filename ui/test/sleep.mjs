// A device in Queue Mode: what it is not told while it sleeps waits for it, in sight.

import { check, eventually, expect } from "./lib.mjs";

export async function sleep({ base, open, shot, inspector }) {
  const tell = (state) => fetch(`${base}/api/v1/endpoints/demo-meter/mock/${state}`, { method: "POST" });
  const page = await open(base, "/devices/demo-meter/data/3/0/15");
  const at = inspector(page);
  await check("a device that sleeps says when it should be back", async () => {
    await page.getByText(/^Asleep, back in [34] min$/).waitFor();
    await page.goto(`${base}/#/devices/demo-meter`);
    await page.getByText("Expected back").waitFor();
    await page.goto(`${base}/#/devices/demo-meter/data/3/0/15`);
  });
  await check("what a sleeping device is asked can be queued with one press", async () => {
    await at.getByRole("button", { name: "Read", exact: true }).click();
    await at.getByText("It should be back in", { exact: false }).waitFor();
    await shot(page, "asleep-refusal-light");
    await at.getByRole("button", { name: "Queue it until it wakes" }).click();
    await at.getByText("Queued", { exact: true }).waitFor();
  });
  await check("a write is queued by choice, and its lines for the shell say so", async () => {
    await at.getByText("Format and patience").click();
    await at.getByLabel("Wait for the device").selectOption("queue");
    await at.getByRole("textbox", { name: "New value" }).fill("Asia/Tokyo");
    const lines = await at.locator("code").allInnerTexts();
    expect(lines.some((line) => line.includes("--queue")) && lines.some((line) => line.includes("queue=true")), lines.join("\n"));
    await at.getByRole("button", { name: "Write", exact: true }).click();
    await page.getByRole("tab", { name: "Queue 2" }).waitFor();
  });
  const list = page.getByRole("tabpanel", { name: /Queue/ });
  const rows = page.getByRole("list", { name: "Commands", exact: true }).getByRole("listitem");
  const ended = page.getByRole("list", { name: "Ended commands" }).getByRole("listitem");
  await check("commands stand in the order in which they leave, with the reason why they wait", async () => {
    await page.getByRole("tab", { name: "Queue 2" }).click();
    await rows.nth(1).waitFor();
    const texts = (await rows.allInnerTexts()).map((text) => text.toLowerCase());
    expect(texts[0].includes("read") && texts[1].includes("write"), texts.join("\n"));
    expect(texts.every((text) => text.includes("waiting") && text.includes("the device sleeps")), texts.join("\n"));
    await shot(page, "commands-light");
  });
  await check("what waits is moved with the keyboard and with the mouse, and the hand stays on it", async () => {
    const names = async () => (await rows.locator(".what").allInnerTexts()).map((text) => text.trim().toLowerCase());
    await fetch(`${base}/api/v1/endpoints/demo-meter/discover/3?queue=true`);
    await rows.nth(2).waitFor();
    expect((await names()).join() === "read /3/0/15,write /3/0/15,discover /3", (await names()).join());
    const up = page.getByRole("button", { name: "Move discover /3 up" });
    await up.focus();
    const lines = await list.locator("code").allInnerTexts();
    expect(lines.some((line) => line.includes("commands --move")) && lines.some((line) => line.includes("-X PATCH")), lines.join("\n"));
    await page.keyboard.press("Enter");
    await eventually("it is the second", async () => (await names()).join() === "read /3/0/15,discover /3,write /3/0/15");
    expect(await up.evaluate((button) => button === document.activeElement), "the hand was taken off it");
    await page.keyboard.press("Enter");
    await eventually("it is the first", async () => (await names())[0] === "discover /3");
    const down = page.getByRole("button", { name: "Move discover /3 down" });
    await eventually("the hand goes to the other button", () => down.evaluate((button) => button === document.activeElement));
    await list.getByText("discover /3 is number 1 of 3 now").waitFor({ state: "attached" });
    await rows.first().dragTo(rows.nth(2), { targetPosition: { x: 60, y: 60 } });
    await eventually("it is the last", async () => (await names()).join() === "read /3/0/15,write /3/0/15,discover /3");
    await page.reload();
    await rows.nth(2).waitFor();
    expect((await names()).join() === "read /3/0/15,write /3/0/15,discover /3", (await names()).join());
    await shot(page, "queue-moved-light");
    await rows.nth(2).getByRole("button", { name: "Cancel" }).click();
    await eventually("two are left", async () => (await rows.count()) === 2);
  });
  await check("one of them is cancelled", async () => {
    await rows.first().getByRole("button", { name: "Cancel" }).click();
    await ended.filter({ hasText: "cancelled" }).first().waitFor();
    await page.getByRole("tab", { name: "Queue 1" }).waitFor();
  });
  await check("when the device wakes it takes the other, and the page tells what came of it", async () => {
    await tell("awake");
    await list.getByText("done", { exact: true }).waitFor();
    expect((await ended.filter({ hasText: "2.04 Changed" }).count()) === 1, (await ended.allInnerTexts()).join("\n"));
    await page.getByRole("tab", { name: "Overview" }).click();
    await page.getByText("Listens", { exact: true }).waitFor();
    await page.getByRole("tab", { name: /Queue/ }).click();
    await tell("asleep");
    await page.getByText(/^Asleep, back in/).waitFor();
    await page.emulateMedia({ colorScheme: "dark" });
    await page.setViewportSize({ width: 390, height: 844 });
    await eventually("the page fits a phone", () => page.evaluate(() => document.documentElement.scrollWidth <= 390));
    await shot(page, "commands-phone-dark");
  });
  await page.context().close();
}
