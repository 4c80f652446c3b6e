// Composite sets, data that a device sends by itself, inherited attributes, deviations, formats: against the mock.

import { check, eventually, expect } from "./lib.mjs";

export async function composite({ base, open, shot, inspector, mock }) {
  const page = await open(base, "/devices/demo-sensor/data");
  const api = async (path, init) => (await fetch(`${base}/api/v1/endpoints/demo-sensor${path}`, init)).json();
  const card = page.getByRole("region", { name: /^Set / }).first();
  const rowOf = (path) => card.getByRole("listitem").filter({ has: page.getByRole("link", { name: path, exact: true }) });

  await check("paths are collected from the tree into a set", async () => {
    await page.getByLabel("Collect paths into a set").selectOption({ label: "into a new set" });
    await page.locator("[aria-expanded]", { hasText: "/3303/0" }).click();
    await page.getByRole("button", { name: "/3303/0/5700 in Set 1" }).click();
    await page.locator("[aria-expanded]", { hasText: "/3/0" }).click();
    for (const id of [9, 15, 13]) await page.getByRole("button", { name: `/3/0/${id} in Set 1` }).click();
    await page.getByRole("button", { name: "/3/0/13 in Set 1" }).click();
    await shot(page, "collect-light");
    await page.getByRole("link", { name: "3 paths in Set 1" }).click();
    await card.getByText("3 paths").waitFor();
  });

  await check("a set gets a name and paths by hand, and bad ones are refused", async () => {
    await card.getByRole("button", { name: "Edit Set 1" }).click();
    await card.getByLabel("Paths, one a line").fill("/3/0/9\n/3/0/x");
    await card.getByText("/3/0/x is no path").waitFor();
    expect(await card.getByRole("button", { name: "Save" }).isDisabled(), "a bad path can be saved");
    await card.getByLabel("Paths, one a line").fill("/3/0/9\n/3/0/15\n/3303/0/5700\n/3442/0/130\n/4/0/2");
    await card.getByLabel("Name").fill("Cold room");
    await card.getByRole("button", { name: "Save" }).click();
    await page.getByRole("heading", { name: "Cold room" }).waitFor();
    await page.reload();
    await card.getByText("5 paths").waitFor();
  });

  await check("a composite Read fills the table, with ages, and says what was left out", async () => {
    await card.getByRole("button", { name: "Read", exact: true }).click();
    await card.getByText("2.05 Content").waitFor();
    await eventually("the battery is shown", async () => (await rowOf("/3/0/9").innerText()).includes("84"));
    expect((await rowOf("/3/0/9").locator("time").count()) === 1, "the value has no age");
    await rowOf("/4/0/2").getByText("left out by the device").waitFor();
    await shot(page, "composite-light");
  });

  await check("several values are written at once with their editors", async () => {
    await card.getByRole("button", { name: "Write …" }).click();
    expect(await card.getByRole("checkbox", { name: "Write /3/0/9" }).isDisabled(), "a read-only resource can be written");
    await card.getByRole("checkbox", { name: "Write /3/0/15" }).check();
    await card.getByRole("checkbox", { name: "Write /3442/0/130" }).check();
    await card.getByRole("textbox", { name: "New value of /3/0/15" }).fill("Asia/Tokyo");
    await card.getByRole("textbox", { name: "New value of /3442/0/130" }).fill("warm");
    await card.getByText("Must be a number.").waitFor();
    await card.getByRole("textbox", { name: "New value of /3442/0/130" }).fill("6.5");
    await card.getByText("From a shell", { exact: true }).click();
    const lines = await card.locator("code").allInnerTexts();
    expect(lines[0]?.endsWith("ctl --url " + base + " composite write demo-sensor /3/0/15=Asia/Tokyo /3442/0/130=6.5"), lines[0]);
    expect(lines[1]?.includes("/composite/write") && lines[1].includes("Asia/Tokyo"), lines[1]);
    await shot(page, "composite-write-light");
    await card.getByRole("button", { name: "Write 2 values" }).click();
    await card.getByText("2.04 Changed").waitFor();
    expect((await api("/resources/3/0/15")).content.value === "Asia/Tokyo" && (await api("/resources/3442/0/130")).content.value === 6.5, "not written");
  });

  await check("a set is observed under its name, stays live, and is stopped", async () => {
    await card.getByRole("switch", { name: "Observe Cold room" }).click();
    await card.getByText("Observed", { exact: true }).waitFor();
    const listed = (await api("/observations")).items.find((item) => item.name === "Cold room");
    expect(listed?.paths.length === 5, "the server does not observe the set");
    const before = await rowOf("/3303/0/5700").innerText();
    await eventually("another value", async () => (await rowOf("/3303/0/5700").innerText()) !== before);
    await card.getByText(/[1-9]\d* reports?/).waitFor();
    await rowOf("/3303/0/5700").getByText("notified").waitFor();
    await shot(page, "composite-observed-light");
    const other = await open(base, "/devices/demo-sensor/composite");
    await other.getByText("from the server").waitFor();
    await other.getByRole("button", { name: "Keep here" }).click();
    await other.getByRole("button", { name: "Edit Cold room" }).waitFor();
    await other.goto(`${base}/#/devices/demo-sensor/observations`);
    await other.getByRole("list", { name: "Observations" }).getByRole("link", { name: "Cold room" }).waitFor();
    await other.context().close();
    await card.getByRole("switch", { name: "Observe Cold room" }).click();
    await card.getByText("Observe", { exact: true }).waitFor();
    expect(!(await api("/observations")).items.some((item) => item.name === "Cold room"), "the server still observes it");
  });

  await check("in dark and on a phone the sets keep their shape", async () => {
    const keep = await page.evaluate(() => localStorage.getItem("lightship.sets"));
    for (const colorScheme of ["light", "dark"]) {
      for (const [file, viewport] of [["composite", { width: 1440, height: 900 }], ["phone-composite", { width: 360, height: 740 }]]) {
        const small = await open(base, "", { viewport, colorScheme });
        await small.evaluate((sets) => localStorage.setItem("lightship.sets", sets), keep);
        await small.goto(`${base}/?again#/devices/demo-sensor/composite`);
        await small.getByRole("button", { name: "Read", exact: true }).click();
        await small.getByText("2.05 Content").waitFor();
        if (file !== "composite" || colorScheme === "dark") await shot(small, `${file}-${colorScheme}`);
        await small.getByRole("button", { name: "Write …" }).click();
        await small.getByRole("checkbox", { name: "Write /3/0/15" }).check();
        await shot(small, `${file}-write-${colorScheme}`);
        const excess = await small.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
        expect(excess <= 0, `${file} in ${colorScheme} scrolls sideways by ${excess} px`);
        await small.context().close();
      }
    }
  });

  await check("a set is deleted after asking", async () => {
    await card.getByRole("button", { name: "Edit Cold room" }).click();
    await card.getByRole("button", { name: "Delete set" }).click();
    await card.getByText("Delete this set?").waitFor();
    await card.getByRole("button", { name: "Delete set" }).click();
    await page.getByText("No set of paths yet").waitFor();
  });
  await page.context().close();

  await check("a server without composite operations says so in words", async () => {
    const old = await open(await mock("--no-composite"), "/devices/demo-sensor/composite");
    await old.getByRole("button", { name: "New set" }).click();
    await old.getByLabel("Paths, one a line").fill("/3/0/9");
    await old.getByRole("button", { name: "Save" }).click();
    await old.getByRole("button", { name: "Read", exact: true }).click();
    await old.getByText("The server cannot do this yet. composite operations are not available yet").waitFor();
    await old.getByText("This server does not do composite operations yet.", { exact: false }).waitFor();
    await shot(old, "composite-unsupported-light");
    await old.getByRole("button", { name: "Read each path" }).click();
    await eventually("the value is there", async () => (await old.getByRole("listitem").filter({ hasText: "/3/0/9" }).innerText()).includes("84"));
    await old.context().close();
  });
}

export async function reporting({ base, open, shot, inspector }) {
  const attributes = (path, body) =>
    fetch(`${base}/api/v1/endpoints/demo-sensor/attributes${path}`, { method: "PUT", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });

  await check("attributes show what holds and where it comes from", async () => {
    await attributes("/3303", { pmin: 5, epmin: 2 });
    await attributes("/3303/0", { pmax: 120 });
    await attributes("/3303/0/5700", { pmin: 10, st: 0.5 });
    const page = await open(base, "/devices/demo-sensor/data/3303/0/5700");
    await inspector(page).getByText("Reporting attributes").click();
    await inspector(page).getByText("holds 10 s · set here").waitFor();
    await inspector(page).getByText("holds 120 s · instance /3303/0").waitFor();
    await inspector(page).getByText("holds 2 s · object /3303").waitFor();
    await inspector(page).getByText("con came with 1.2", { exact: false }).waitFor();
    expect((await inspector(page).getByRole("textbox", { name: /^edge/ }).count()) === 0, "edge is offered for a number");
    await inspector(page).getByRole("textbox", { name: /^pmin/ }).fill("");
    await inspector(page).getByRole("button", { name: "Write attributes" }).click();
    await inspector(page).getByText("holds 5 s · object /3303").waitFor();
    await shot(page, "inherited-light");
    await page.context().close();
  });

  await check("what a device sends by itself is marked, with the device's own time", async () => {
    const page = await open(base, "/devices/demo-firmware/data/3/0/9");
    await inspector(page).getByText("send", { exact: true }).waitFor();
    await inspector(page).getByText("by the device's clock", { exact: false }).waitFor();
    await shot(page, "send-light");
    await page.goto(`${base}/#/devices/demo-firmware/log`);
    const row = page.getByRole("list", { name: /^Events/ }).getByRole("listitem").filter({ hasText: "send" }).first();
    await row.waitFor();
    await eventually("a time of the device", async () => /\(at .*\d\d:\d\d:\d\d\)/.test(await row.innerText()));
    await shot(page, "send-events-light");
    await page.context().close();
  });

  await check("deviations of a device stand on its page in words", async () => {
    const page = await open(base, "/devices/demo-firmware/data/3/0/1");
    await inspector(page).getByRole("button", { name: "Read", exact: true }).click();
    await inspector(page).getByText("2.05 Content").first().waitFor();
    await page.getByRole("tab", { name: "Overview" }).click();
    const facts = page.getByRole("region", { name: "Registration" });
    await facts.getByText("It answers in another format than it was asked for.").waitFor();
    await facts.getByText(/\d+×/).waitFor();
    await shot(page, "deviations-light");
    await page.context().close();
  });

  await check("formats that the device's version lacks cannot be chosen, and the page says why", async () => {
    for (const [device, open_, why] of [["demo-firmware", true, "json went with LwM2M 1.0"], ["demo-sensor", false, "lwm2m-cbor came with LwM2M 1.2"]]) {
      const page = await open(base, `/devices/${device}/data/3/0/9`);
      await inspector(page).getByText("Format and patience").click();
      await inspector(page).getByText(why, { exact: false }).first().waitFor();
      const option = inspector(page).locator('option[value="lwm2m-cbor"]');
      expect((await option.isDisabled()) !== open_, `lwm2m-cbor for ${device}`);
      await page.context().close();
    }
  });
}
