// Walks through the model browser on `lightship demo`: list, definition, versions, adding with its check, taking away, and who
// has what; looks at each page: light, dark, phone, axe.
//
//   node test/models.mjs [--program PATH] [--shots DIR] [--browser PATH] [--dist]
//
// `--dist` takes the page from ../dist and only the API from the program.

import { check, demoPorts, eventually, expect, holdBack, look, settled, STEP_MAX_MS, walkDemo, walkFlags, watch } from "./lib.mjs";

const flags = walkFlags();

const trouble = [];
const ports = await demoPorts();

async function api(path, init) {
  const response = await fetch(`http://127.0.0.1:${ports.http}/api/v1${path}`, init);
  return { status: response.status, body: await response.json().catch(() => undefined) };
}

function item(id, name, operations, type) {
  return (
    `<Item ID="${id}"><Name>${name}</Name><Operations>${operations}</Operations><MultipleInstances>Single</MultipleInstances>` +
    `<Mandatory>Optional</Mandatory><Type>${type}</Type></Item>`
  );
}

function pump(version, ...items) {
  return (
    `<LWM2M><Object ObjectType="MODefinition"><Name>Pump &lt;img src=x onerror=alert(1)&gt;</Name><ObjectID>33000</ObjectID>` +
    `<ObjectVersion>${version}</ObjectVersion><MultipleInstances>Single</MultipleInstances><Mandatory>Optional</Mandatory>` +
    `<Resources>${items.join("")}</Resources></Object></LWM2M>`
  );
}

async function main(browser, base) {
  const sensor = await eventually("three devices register", async () => {
    const { body } = await api("/endpoints").catch(() => ({ body: { items: [] } }));
    return body.items.length >= 3 && body.items.find((one) => one.objects.some((object) => object.path === "/3303/0"));
  });
  const page = await (await browser.newContext({ viewport: { width: 1440, height: 900 } })).newPage();
  page.setDefaultTimeout(STEP_MAX_MS);
  watch(page, trouble);
  const go = (hash) => page.goto(`${base}/#${hash}`);
  const list = page.getByRole("region", { name: "Objects" });

  await check("hundreds of objects are listed and found by ID, name, URN and resource", async () => {
    await go("/models");
    await list.getByRole("link", { name: "Temperature", exact: true }).waitFor();
    const all = await list.getByRole("listitem").count();
    expect(all > 300, `${all} objects`);
    const search = page.getByRole("searchbox", { name: "Search objects" });
    for (const [text, name] of [["3304", "Humidity"], ["urn:oma:lwm2m:ext:3303", "Temperature"], ["battery level", "Device"]]) {
      await search.fill(text);
      await list.getByRole("link", { name, exact: true }).waitFor();
      await eventually(`only what has ${text}`, async () => (await list.getByRole("listitem").count()) < 60);
    }
    await search.fill("no such thing");
    await page.getByRole("heading", { name: "Nothing like that" }).waitFor();
    await look(page, flags.shots, "models-nothing");
    await search.fill("");
    await eventually("all again", async () => (await list.getByRole("listitem").count()) === all);
  });
  await check("an answer that comes late does not replace what was asked since", async () => {
    const held = await holdBack(page, "**/api/v1/models?q=humidity*", "GET");
    const search = page.getByRole("searchbox", { name: "Search objects" });
    await search.fill("humidity");
    await held.stored;
    await search.fill("temperature");
    await list.getByRole("link", { name: "Device", exact: true }).waitFor({ state: "hidden" });
    await list.getByRole("link", { name: "Temperature", exact: true }).waitFor();
    held.answer();
    await settled(page);
    expect(await list.getByRole("link", { name: "Temperature", exact: true }).isVisible(), "the later answer stays");
    await held.end();
    await search.fill("");
    await list.getByRole("link", { name: "Device", exact: true }).waitFor();
  });
  await check("list: light, dark, phone, accessible", () => look(page, flags.shots, "models-list"));
  await check("a definition has an address, its resources, and the devices that have it", async () => {
    await go("/models/3303");
    await page.getByRole("heading", { name: "Temperature", level: 1 }).waitFor();
    await page.getByRole("rowheader", { name: "Sensor Value", exact: true }).waitFor();
    const users = page.getByRole("region", { name: "Devices with it" });
    await users.getByRole("link", { name: sensor.endpoint, exact: true }).waitFor();
    await look(page, flags.shots, "models-object", { fullPage: true });
  });
  await check("two versions are compared at an address of their own", async () => {
    await go("/models/3303");
    await page.getByRole("heading", { name: "Temperature", level: 1 }).waitFor();
    const differences = page.getByRole("region", { name: "Differences" });
    await differences.getByRole("link", { name: "1.0", exact: true }).click();
    await differences.getByText("new in", { exact: false }).first().waitFor();
    expect(/#\/models\/3303\/\d\.\d\/since\/1\.0$/.test(page.url()), page.url());
    await page.reload();
    await differences.getByText("new in", { exact: false }).first().waitFor();
    await look(page, flags.shots, "models-differences", { fullPage: true });
  });
  await check("what is wrong with a document is shown, and nothing is kept", async () => {
    await go("/models/add");
    const text = page.getByRole("textbox", { name: "Or typed here" });
    await text.fill(pump("1.0", item(1, "Speed", "RW", "Float"), item(1, "Mode", "RX", "Float"), item(2, "Go", "E", "String")));
    const findings = page.getByRole("region", { name: "Findings" });
    await findings.getByText("this ID is there twice", { exact: false }).waitFor();
    await findings.getByText("none of R, W, RW, E", { exact: false }).waitFor();
    await findings.getByText("only executed", { exact: false }).waitFor();
    expect(await page.getByRole("button", { name: "Add", exact: true }).isDisabled(), "it cannot be added");
    await look(page, flags.shots, "models-findings", { fullPage: true });
    expect((await api("/models/33000")).status === 404, "nothing was kept");
  });
  await check("a document is added, shown as text whatever it says, and used for its versions", async () => {
    const text = page.getByRole("textbox", { name: "Or typed here" });
    await text.fill(pump("1.0", item(1, "Speed", "RW", "Float")));
    await page.getByText("Nothing to complain about.").waitFor();
    await page.getByRole("button", { name: "Add", exact: true }).click();
    await page.getByRole("heading", { name: "Pump <img src=x onerror=alert(1)>", level: 1 }).waitFor();
    expect(page.url().endsWith("#/models/33000"), page.url());
    const second = pump("1.1", item(1, "Speed", "RW", "Float"), item(2, "Go", "E", ""));
    const added = await api("/models", { method: "POST", headers: { "Content-Type": "application/xml" }, body: second });
    expect(added.status === 201, JSON.stringify(added));
    await go("/models/33000/1.1/since/1.0");
    await page.getByRole("rowheader", { name: "Go", exact: true }).first().waitFor();
    await look(page, flags.shots, "models-added", { fullPage: true });
  });
  await check("a check that is answered late says nothing about what was typed since", async () => {
    await go("/models/add");
    const held = await holdBack(page, "**/api/v1/models?dry_run=true", "POST", { once: true });
    const text = page.getByRole("textbox", { name: "Or typed here" });
    await text.fill(pump("2.0", item(1, "Speed", "RW", "Float")));
    await held.stored;
    await text.fill("<LWM2M>");
    await page.getByRole("region", { name: "Findings" }).waitFor();
    held.answer();
    await settled(page);
    expect(await page.getByRole("region", { name: "Findings" }).isVisible(), "the findings are about the text that is there");
    expect(await page.getByRole("button", { name: "Add", exact: true }).isDisabled(), "and it cannot be added");
    await held.end();
  });
  await check("what was added is taken away, version by version", async () => {
    for (const version of ["1.1", "1.0"]) {
      await go(`/models/33000/${version}`);
      await page.getByRole("button", { name: "Remove this version" }).click();
      await page.getByRole("group").getByRole("button", { name: "Remove this version" }).click();
      await eventually(`${version} is gone`, async () => (await api(`/models/33000?version=${version}`)).status === 404);
    }
    await list.getByRole("link", { name: "Temperature", exact: true }).waitFor();
  });
  await check("the device centre leads to the definition", async () => {
    await go(`/devices/${encodeURIComponent(sensor.endpoint)}/data/3303/0`);
    await page.getByTitle("Its definition").first().click();
    await page.getByRole("heading", { name: "Temperature", level: 1 }).waitFor();
  });
  await check("nothing went wrong unseen", () => {
    const unexpected = trouble.filter((text) => !text.includes("404"));
    expect(unexpected.length === 0, unexpected.join("\n"));
  });
}

await walkDemo(flags, ports, main);
