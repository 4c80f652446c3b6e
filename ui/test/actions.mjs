// Each action shows how a shell does it, and the line is that of the action: beside a button stands a curl line with the method and the
// address that a press sends, and a lightship ctl line that is understood. On `lightship demo`.
//
//   node test/actions.mjs [--program PATH] [--shots DIR] [--browser PATH] [--dist]

import { spawnSync } from "node:child_process";
import { check, demoPorts, eventually, expect, findProgram, freeTcpPort, makeGone, settled, STEP_MAX_MS, walkDemo, walkFlags, words } from "./lib.mjs";

const flags = walkFlags();
const program = findProgram(flags.program);
const ports = await demoPorts();
const KEY = "00112233445566778899aabbccddeeff";
const EXTRA = `<?xml version="1.0"?><LWM2M><Object ObjectType="MODefinition"><Name>Extra</Name><Description1>x</Description1><ObjectID>33001</ObjectID><ObjectURN>urn:oma:lwm2m:x:33001</ObjectURN><LWM2MVersion>1.0</LWM2MVersion><ObjectVersion>1.0</ObjectVersion><MultipleInstances>Multiple</MultipleInstances><Mandatory>Optional</Mandatory><Resources><Item ID="0"><Name>Word</Name><Operations>RW</Operations><MultipleInstances>Single</MultipleInstances><Mandatory>Mandatory</Mandatory><Type>String</Type><RangeEnumeration></RangeEnumeration><Units></Units><Description>x</Description></Item></Resources><Description2></Description2></Object></LWM2M>`;

async function api(path, method = "GET", body = undefined) {
  const init = { method, ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body), headers: { "Content-Type": typeof body === "string" ? "application/xml" : "application/json" } }) };
  const response = await fetch(`http://127.0.0.1:${ports.http}/api/v1${path}`, init);
  const text = await response.text();
  return text === "" ? undefined : JSON.parse(text);
}

const button = (name, exact = true) => (page) => page.getByRole("button", { name, exact }).first();
const within = (region, name) => (page) => page.getByRole("region", { name: region, exact: true }).getByRole("button", { name, exact: true }).first();
const S = "/endpoints/demo-sensor";
const D = "/devices/demo-sensor";
const at = (path) => `${D}/data${path}`;

/**
 * What is pressed: name, page, button, and what it sends. `before` = what is done on the page so that the button can be pressed; `asks` =
 * the button asks first, and is pressed again in its question.
 */
const ACTIONS = [
  { name: "read a resource", hash: at("/3303/0/5700"), button: within("Selected", "Read"), sends: `GET ${S}/resources/3303/0/5700` },
  { name: "read an instance", hash: at("/3303/0"), button: within("Selected", "Read"), sends: `GET ${S}/resources/3303/0` },
  { name: "discover", hash: at("/3303/0"), button: within("Selected", "Discover"), sends: `GET ${S}/discover/3303/0` },
  {
    name: "write a resource", hash: at("/1/0/2"), button: within("Selected", "Write"), sends: `PUT ${S}/resources/1/0/2`,
    before: (page) => page.getByRole("textbox", { name: "New value of /1/0/2" }).fill("7"),
  },
  { name: "execute", hash: at("/3/0/12"), button: within("Selected", "Execute"), sends: `POST ${S}/execute/3/0/12` },
  { name: "observe", hash: at("/3/0/9"), button: (page) => page.getByRole("switch", { name: "Observe /3/0/9" }), sends: `PUT ${S}/observations/3/0/9` },
  { name: "stop observing, at the resource", hash: at("/3/0/9"), button: (page) => page.getByRole("switch", { name: "Observe /3/0/9", checked: true }), sends: `DELETE ${S}/observations/3/0/9` },
  { name: "stop observing, in the list", hash: `${D}/observations`, button: button("Stop observing /3304/0/5700"), sends: `DELETE ${S}/observations/3304/0/5700` },
  {
    name: "write attributes", hash: at("/3303/0/5700"), button: within("Selected", "Write attributes"), sends: `PUT ${S}/attributes/3303/0/5700`,
    before: async (page) => {
      await page.getByText("Reporting attributes").click();
      await page.getByRole("textbox", { name: /^pmax/ }).fill("45");
    },
  },
  { name: "delete an instance", hash: at("/3303/1"), button: within("Selected", "Delete instance"), asks: true, sends: `DELETE ${S}/resources/3303/1` },
  {
    name: "read a set", hash: `${D}/composite`, button: (page) => page.getByRole("region", { name: "Set Both" }).getByRole("button", { name: "Read", exact: true }), sends: `POST ${S}/composite/read`,
    before: async (page) => {
      await page.getByRole("button", { name: "New set" }).click();
      await page.getByLabel("Paths, one a line").fill("/3/0/9 /1/0/1");
      await page.getByLabel("Name").fill("Both");
      await page.getByRole("button", { name: "Save", exact: true }).click();
    },
  },
  { name: "observe a set", hash: `${D}/composite`, button: (page) => page.getByRole("switch", { name: "Observe Both" }), sends: `PUT ${S}/composite/observations/Both` },
  { name: "stop observing a set, in the list", hash: `${D}/observations`, button: button("Stop observing Both"), sends: `DELETE ${S}/composite/observations/Both` },
  { name: "cancel a command", hash: "/devices/gone-device/queue", button: button("Cancel"), sends: "DELETE /commands/*" },
  { name: "repeat a command", hash: "/devices/demo-meter/queue", button: button(/^(Retry|Repeat)$/, false), sends: "POST /commands/*/retry" },
  {
    name: "save a bootstrap document", hash: "/bootstrap/devices/lamp", button: button("Save document"), sends: "PUT /bootstrap/lamp",
    before: async (page) => {
      await page.getByLabel("Security").selectOption("psk");
      await page.getByLabel("Identity").fill("lamp");
      await page.getByLabel(/^Key in hex/).fill(KEY);
    },
  },
  { name: "delete a bootstrap document", hash: "/bootstrap/devices/lamp", button: button("Delete document"), asks: true, sends: "DELETE /bootstrap/lamp" },
  { name: "tell a device to bootstrap", hash: "/bootstrap/devices/demo-sensor", button: button("Bootstrap now"), sends: `POST ${S}/execute/1/0/9` },
  { name: "save a template", hash: "/bootstrap/templates/lamps", button: button("Save template"), sends: "PUT /bootstrap-templates/lamps" },
  { name: "delete a template", hash: "/bootstrap/templates/lamps", button: button("Delete template"), asks: true, sends: "DELETE /bootstrap-templates/lamps" },
  ...[["lwm2m", "LwM2M Server", "/credentials/bulb"], ["bootstrap", "Bootstrap-Server", "/bootstrap/bulb/credential"]].flatMap(([, text, path]) => [
    {
      name: `save a credential for the ${text}`, hash: "/security/devices/bulb", button: within(`Credential for the ${text}`, "Save credential"), sends: `PUT ${path}`,
      before: async (page) => {
        const card = page.getByRole("region", { name: `Credential for the ${text}` });
        await card.getByRole("button", { name: "Add a credential" }).click();
        await card.getByLabel(/^Key in hex/).fill(KEY);
      },
    },
    { name: `delete a credential for the ${text}`, hash: "/security/devices/bulb", button: within(`Credential for the ${text}`, "Delete credential"), asks: true, sends: `DELETE ${path}` },
  ]),
  {
    name: "create a token", hash: "/access", button: button("Create token"), sends: "POST /tokens",
    before: (page) => page.getByRole("textbox", { name: "Name", exact: true }).fill("Vera"),
  },
  { name: "revoke a token", hash: "/access", button: button("Revoke"), asks: true, sends: "DELETE /tokens/*" },
  {
    name: "add a definition", hash: "/models/add", button: button("Add"), sends: "POST /models",
    before: async (page) => {
      await page.getByRole("textbox", { name: "Or typed here" }).fill(EXTRA);
      await eventually("it may be added", () => button("Add")(page).isEnabled());
    },
  },
  { name: "remove a definition", hash: "/models/33001/1.0", button: button("Remove this version"), asks: true, sends: "DELETE /models/33001" },
  {
    name: "an operation on many", hash: "/devices?filter=demo-sensor", button: button(/^Read \/3\/0 on/, false), sends: "POST /bulk",
    before: async (page) => {
      await page.getByRole("button", { name: "Run on all that match" }).click();
      await page.getByRole("button", { name: "Preview" }).click();
      await button(/^Read \/3\/0 on/, false)(page).waitFor();
    },
  },
  { name: "forget a registration", hash: D, button: button("Forget registration"), asks: true, sends: `DELETE ${S}` },
];

/** What the page says a shell should do, unfolded or not. */
async function shellLines(page) {
  const texts = (await page.locator("main code").allTextContents()).map((text) => text.trim());
  return { curl: texts.filter((text) => text.startsWith("curl ")), ctl: texts.filter((text) => /^(printf %s .* \| )?lightship ctl /s.test(text)) };
}

/** `PUT /bootstrap/lamp`, of a curl line. */
function requestOf(line) {
  const [, ...rest] = ["curl", ...words(line)];
  const method = rest[rest.indexOf("-X") + 1];
  const address = new URL(rest.find((word) => /^https?:\/\//.test(word)));
  return `${rest.includes("-X") ? method : "GET"} ${address.pathname.replace("/api/v1", "")}`;
}

const fits = (wanted, request) => new RegExp(`^${wanted.split("*").map((part) => part.replace(/[.?+^$()[\]{}|\\/]/g, "\\$&")).join("[^/]+")}$`).test(request);

/** Whether `lightship ctl` understands a line: nobody listens there, so what is understood fails with 1, what is not with 2. */
async function isUnderstood(line) {
  const nowhere = `http://127.0.0.1:${await freeTcpPort()}`;
  const args = words(line.slice(line.indexOf("lightship ctl "))).filter((word, i, all) => word !== "--url" && all[i - 1] !== "--url");
  // A file that it names is not there, which is no matter of the line.
  const { status, stderr } = spawnSync(program, [...args, "--url", nowhere], { encoding: "utf8", timeout: STEP_MAX_MS, input: "{}" });
  expect(status === 1, `${line}\nends with ${status}: ${stderr}`);
}

async function act(page, base, action) {
  const sent = [];
  const note = (request) => {
    const { pathname } = new URL(request.url());
    if (pathname.startsWith("/api/v1/")) sent.push(`${request.method()} ${pathname.replace("/api/v1", "")}`);
  };
  await page.goto("about:blank");
  await page.goto(`${base}/#${action.hash}`);
  await settled(page);
  await action.before?.(page);
  let pressed = action.button(page);
  await pressed.waitFor();
  await pressed.hover();
  await eventually("it can be pressed", () => pressed.isEnabled());
  if (action.asks) {
    const text = (await pressed.innerText()).trim();
    await pressed.click();
    pressed = page.getByRole("group").getByRole("button", { name: text, exact: true });
    await pressed.waitFor();
  }
  await settled(page);
  const { curl, ctl } = await shellLines(page);
  const own = curl.findIndex((line) => fits(action.sends, requestOf(line)));
  expect(own >= 0, `no curl line of ${action.sends}:\n${curl.join("\n")}`);
  expect(ctl.length === curl.length, `each has two lines:\n${[...curl, ...ctl].join("\n")}`);
  expect(![...curl, ...ctl].some((line) => line.includes(KEY)), `a key stands in a line:\n${[...curl, ...ctl].join("\n")}`);
  page.on("request", note);
  await pressed.click();
  await eventually(`it sends ${action.sends}: ${sent.join(", ")}`, () => sent.some((request) => fits(action.sends, request)));
  page.off("request", note);
  const shown = requestOf(curl[own]);
  expect(sent.includes(shown), `the line says ${shown}, sent was ${sent.join(", ")}`);
  await isUnderstood(ctl[own]);
  await settled(page);
}

async function main(browser, base) {
  await eventually("three devices register", async () => ((await api("/endpoints").catch(() => undefined))?.items ?? []).length >= 3);
  // A command of one that sleeps ends when it wakes; one of a device that is gone waits.
  await api("/endpoints/demo-meter/resources/3/0/0?queue=true");
  await makeGone(program, ports, "gone-device");
  const page = await (await browser.newContext({ viewport: { width: 1440, height: 900 } })).newPage();
  page.setDefaultTimeout(STEP_MAX_MS);
  for (const action of ACTIONS) await check(`${action.name}: the lines are those of what is sent`, () => act(page, base, action));
}

await walkDemo(flags, ports, main);
