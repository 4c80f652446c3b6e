// Answers that come late: they take nothing away that was typed meanwhile, and show nothing on a page that was left for
// another.

import { check, eventually, expect, holdBack } from "./lib.mjs";

export async function late({ base, open, inspector }) {
  const page = await open(base, "/devices/demo-sensor/data");
  const at = inspector(page);
  const api = async (address) => (await fetch(`${base}/api/v1/endpoints/demo-sensor${address}`)).json();
  const goto = (hash) => page.goto(`${base}/#/devices/demo-sensor${hash}`);

  await check("what is typed while a Read is on its way stays in the form", async () => {
    await goto("/data/3442/0/120");
    const field = at.getByRole("textbox", { name: "New value" });
    await eventually("the value is read", async () => (await field.inputValue()) !== "");
    const line = await holdBack(page, "**/resources/3442/0/120*", "GET");
    await at.getByRole("button", { name: "Read", exact: true }).click();
    await line.stored;
    await field.fill("4711");
    line.answer();
    await at.getByText("2.05 Content").waitFor();
    await line.end();
    expect((await field.inputValue()) === "4711", "it was taken away");
  });

  await check("what is typed while all instances of a resource are written stays in the form", async () => {
    await goto("/data/3442/0/1120");
    const first = at.getByRole("textbox", { name: /^Value of instance/ }).first();
    const id = at.getByRole("spinbutton", { name: "Instance ID" }).first();
    await eventually("its instances are read", async () => (await first.inputValue().catch(() => "")) !== "");
    const line = await holdBack(page, "**/resources/3442/0/1120*", "PUT");
    await first.fill("51");
    await at.getByRole("button", { name: "Write all" }).click();
    await line.stored;
    await first.fill("52");
    await at.getByRole("button", { name: "Instance", exact: true }).click();
    const rows = await at.getByRole("spinbutton", { name: "Instance ID" }).count();
    line.answer();
    await at.getByText("2.04 Changed").waitFor();
    await line.end();
    const key = await id.inputValue();
    await eventually("the device has what was sent", async () => (await api("/resources/3442/0/1120")).content.instances[key] === 51);
    await at.getByRole("button", { name: "Read", exact: true }).click();
    await at.getByText("2.05 Content").waitFor();
    expect((await first.inputValue()) === "52", "the value was taken away");
    expect((await at.getByRole("spinbutton", { name: "Instance ID" }).count()) === rows, "the new instance was taken away");
    await at.getByRole("button", { name: "Undo" }).click();
    expect((await first.inputValue()) === "51", "what the device has comes back");
  });

  await check("what is typed while an instance is created stays in the form", async () => {
    await goto("/data/3303");
    await at.getByText("Create an instance").click();
    const id = at.getByRole("textbox", { name: "Instance ID" });
    const add = at.getByRole("combobox", { name: "Add a resource" });
    const application = at.getByRole("textbox", { name: "Application Type" });
    await id.fill("41");
    await add.selectOption("5750");
    await application.fill("first");
    const line = await holdBack(page, "**/resources/3303*", "POST");
    await at.getByRole("button", { name: "Create", exact: true }).click();
    await line.stored;
    await id.fill("42");
    await application.fill("second");
    await add.selectOption("5701");
    await at.getByRole("textbox", { name: "Sensor Units" }).fill("Cel");
    line.answer();
    await at.getByText("2.01 Created").waitFor();
    await line.end();
    expect((await id.inputValue()) === "42" && (await application.inputValue()) === "second", "it was taken away");
    expect((await at.getByRole("textbox", { name: "Sensor Units" }).inputValue()) === "Cel", "the resource that was added was taken away");
    await at.getByRole("button", { name: "Create", exact: true }).click();
    await eventually("both are there", async () => (await api("/resources/3303/42/5750")).content?.value === "second");
    expect((await api("/resources/3303/41/5750")).content.value === "first", "the first was changed");
    for (const made of [41, 42]) await fetch(`${base}/api/v1/endpoints/demo-sensor/resources/3303/${made}`, { method: "DELETE" });
  });

  await check("what is typed while several resources are updated stays in the form", async () => {
    await goto("/data/3442/0");
    await at.getByText("Write several resources").click();
    for (const id of ["110", "120"]) await at.getByRole("combobox", { name: "Add a resource" }).selectOption(id);
    const text = at.getByRole("textbox", { name: "String Value" });
    await text.fill("sent");
    await at.getByRole("textbox", { name: "Integer Value" }).fill("21");
    const line = await holdBack(page, "**/resources/3442/0*", "PATCH");
    await at.getByRole("button", { name: "Update", exact: true }).click();
    await line.stored;
    await text.fill("typed since");
    line.answer();
    await at.getByText("2.04 Changed").waitFor();
    await line.end();
    expect((await text.inputValue()) === "typed since", "it was taken away");
    await eventually("what was sent and not touched leaves the form", async () => (await at.getByRole("textbox", { name: "Integer Value" }).count()) === 0);
  });

  await check("what is typed while attributes are written stays in the form", async () => {
    await goto("/data/3303/0/5700");
    await at.getByText("Reporting attributes").click();
    const pmin = at.getByRole("textbox", { name: /^pmin/ });
    const pmax = at.getByRole("textbox", { name: /^pmax/ });
    await pmin.fill("7");
    const line = await holdBack(page, "**/attributes/3303/0/5700*", "PUT");
    await at.getByRole("button", { name: "Write attributes" }).click();
    await line.stored;
    await pmin.fill("8");
    await pmax.fill("90");
    line.answer();
    await at.getByText("holds 7 s · set here").waitFor();
    await line.end();
    expect((await pmin.inputValue()) === "8" && (await pmax.inputValue()) === "90", "it was taken away");
    await at.getByRole("button", { name: "Undo" }).click();
    expect((await pmin.inputValue()) === "7", "what the device has comes back");
  });

  await check("what is typed while a set is written stays in the table", async () => {
    await goto("/composite");
    const card = page.getByRole("region", { name: /^Set / });
    await page.getByRole("button", { name: "New set" }).click();
    await card.getByLabel("Paths, one a line").fill("/3442/0/110\n/3442/0/130");
    await card.getByRole("button", { name: "Save" }).click();
    await card.getByRole("button", { name: "Read", exact: true }).click();
    await card.getByText("2.05 Content").waitFor();
    await card.getByRole("button", { name: "Write …" }).click();
    await card.getByRole("checkbox", { name: "Write /3442/0/110" }).check();
    const text = card.getByRole("textbox", { name: "New value of /3442/0/110" });
    await text.fill("sent together");
    const line = await holdBack(page, "**/composite/write*", "POST");
    await card.getByRole("button", { name: "Write 1 value" }).click();
    await line.stored;
    await text.fill("typed since");
    await card.getByRole("checkbox", { name: "Write /3442/0/130" }).check();
    await card.getByRole("textbox", { name: "New value of /3442/0/130" }).fill("9.5");
    line.answer();
    await card.getByText("2.04 Changed").waitFor();
    await line.end();
    expect((await text.inputValue()) === "typed since", "it was taken away");
    expect((await card.getByRole("textbox", { name: "New value of /3442/0/130" }).inputValue()) === "9.5", "the second was taken away");
    expect((await api("/resources/3442/0/110")).content.value === "sent together", "not what was sent");
  });

  await check("an answer for a device shows on its own page only", async () => {
    await goto("/data/3442/0/110");
    await at.getByRole("textbox", { name: "New value" }).fill("late and elsewhere");
    const line = await holdBack(page, "**/demo-sensor/resources/3442/0/110*", "PUT");
    await at.getByRole("button", { name: "Write", exact: true }).click();
    await line.stored;
    await page.goto(`${base}/#/devices/demo-firmware/data/3/0/15`);
    await page.getByRole("heading", { level: 1, name: "demo-firmware" }).waitFor();
    line.answer();
    await eventually("the device has it", async () => (await api("/resources/3442/0/110")).content.value === "late and elsewhere");
    await line.end();
    // One more answer for the page that is shown: by then the late one is in.
    await at.getByRole("button", { name: "Read", exact: true }).click();
    await at.getByText("2.05 Content").waitFor();
    expect((await at.getByText("2.04 Changed").count()) === 0, "the other device's answer stands here");
    expect(!(await page.locator("main").innerText()).includes("late and elsewhere"), "the other device's value stands here");
  });

  // Each tab asks for something of its own; the answer is marked, so that it is seen wherever it turns up.
  for (const [tab, address] of [
    ["overview", "**/endpoints/demo-sensor"],
    ["observations", "**/endpoints/demo-sensor/observations"],
    ["queue", "**/endpoints/demo-sensor/commands"],
    ["log", "**/endpoints/demo-sensor/log*"],
    ["history", "**/endpoints/demo-sensor/log*"],
    ["trace", "**/endpoints/demo-sensor/trace*"],
  ]) {
    await check(`the tab ${tab} of a device that was left shows nothing on the next one's`, async () => {
      const gates = {};
      const asked = new Promise((resolve) => (gates.asked = resolve));
      const let_go = new Promise((resolve) => (gates.go = resolve));
      const done = new Promise((resolve) => (gates.done = resolve));
      await page.goto(`${base}/#/events`);
      await page.getByRole("heading", { level: 1 }).waitFor();
      // One answer only: the page may ask twice, and what still waits when a route is taken away has been handled by then.
      const late = async (route) => {
        const response = await route.fetch();
        const body = (await response.text()).replaceAll("demo-sensor", "left-behind");
        gates.asked();
        await let_go;
        await route.fulfill({ response, body });
        gates.done();
      };
      await page.route(address, late, { times: 1 });
      await goto(tab === "overview" ? "" : `/${tab}`);
      await asked;
      await page.goto(`${base}/#/devices/demo-firmware${tab === "overview" ? "" : `/${tab}`}`);
      await page.getByRole("heading", { level: 1, name: "demo-firmware" }).waitFor();
      await page.getByRole("tabpanel").waitFor();
      gates.go();
      await done;
      await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
      expect((await page.getByRole("heading", { level: 1 }).innerText()) === "demo-firmware", "the page was changed");
      expect(!(await page.locator("main").innerText()).includes("left-behind"), "the other device's answer stands here");
    });
  }

  await check("the answer to an older choice of the audit does not take the place of the newer one", async () => {
    await page.goto(`${base}/#/access`);
    const gates = {};
    const stored = new Promise((resolve) => (gates.stored = resolve));
    const older = new Promise((resolve) => (gates.answer = resolve));
    const entry = (actor) => ({ id: actor, time: new Date().toISOString(), actor, role: "admin", action: "write", method: "PUT", target: "/x", status: 200 });
    await page.route("**/api/v1/audit*", async (route) => {
      const actor = new URL(route.request().url()).searchParams.get("actor") ?? "";
      if (actor === "slow") {
        gates.stored();
        await older;
      }
      await route.fulfill({ json: { items: [entry(actor === "" ? "everybody" : actor)] } });
    });
    const field = page.getByRole("textbox", { name: "Token", exact: true });
    await field.fill("slow");
    await stored;
    await field.fill("quick");
    const list = page.getByRole("list", { name: "Who did what, newest first" });
    await list.getByText("quick").waitFor();
    const late = page.waitForResponse((response) => response.url().includes("actor=slow"));
    gates.answer();
    await (await late).finished();
    await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
    expect((await list.getByText("slow").count()) === 0, "the older answer is shown");
    await page.unroute("**/api/v1/audit*");
  });
  await page.context().close();
}
