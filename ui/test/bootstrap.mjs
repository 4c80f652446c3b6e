// A document is made, a device asks for it, and the page shows how that went.

import { spawn } from "node:child_process";
import { check, eventually, expect, holdBack, settled } from "./lib.mjs";

const NAME = "walk-1";

/** A device that knows only the Bootstrap-Server; it lives until its standard input ends. */
function startDevice(program, port) {
  const args = ["device", "--endpoint", NAME, "--bootstrap", `coap://127.0.0.1:${port}`];
  return spawn(program, args, { stdio: ["pipe", "ignore", "inherit"] });
}

export async function bootstrap({ page, base, shot, program, ports }) {
  let device;
  const section = (name) => page.getByRole("region", { name, exact: true });
  const kept = async () => (await fetch(`${base}/api/v1/bootstrap/${NAME}`)).json();
  try {
    await check("a device gets a document of its own, in a form", async () => {
      await page.goto(`${base}/#/bootstrap`);
      await page.getByLabel("Endpoint name of a device").fill(NAME);
      await page.keyboard.press("Enter");
      await section("Document").getByText("From the template demo", { exact: false }).waitFor();
      await page.getByLabel("Address").fill("nowhere");
      await page.getByText("The address is a URI such as", { exact: false }).waitFor();
      expect(await page.getByRole("button", { name: "Save document" }).isDisabled(), "a broken address can be kept");
      await page.getByLabel("Address").fill(`coap://127.0.0.1:${ports.coap}`);
      await page.getByLabel("Lifetime in seconds").fill("77");
      await page.getByRole("button", { name: "Add a server" }).click();
      const second = page.getByRole("group", { name: "Server 2" });
      await second.getByLabel("Security").selectOption("psk");
      await second.getByLabel("Identity").fill("walker");
      await second.getByRole("button", { name: "Make one" }).click();
      expect(/^[0-9a-f]{32}$/.test(await second.getByLabel("Key in hex").inputValue()), "no key was made");
      await page.getByRole("button", { name: "Save document" }).click();
      await page.getByText("Saved. The device gets it the next time it asks", { exact: false }).waitFor();
      const { from, servers } = await kept();
      expect(from === "document" && servers[0].lifetime_s === 77 && servers[1].key_set === true, JSON.stringify(servers));
      expect(servers[1].key_hex === undefined, "a secret is shown");
      const credential = await (await fetch(`${base}/api/v1/credentials/${NAME}`)).json();
      expect(credential.identity === "walker" && credential.key_set === true, "the same key is kept as its credential");
      await fetch(`${base}/api/v1/credentials/${NAME}`, { method: "DELETE" });
      await shot("bootstrap-document-light");
    });
    await check("the whole document is edited as JSON, and the server's refusal is told", async () => {
      await page.getByRole("button", { name: "Whole as JSON" }).click();
      const text = page.getByLabel("Document as JSON");
      await text.fill("{");
      expect(await page.getByRole("button", { name: "Save document" }).isDisabled(), "broken JSON can be kept");
      const { from: _, ...document } = await kept();
      await text.fill(JSON.stringify({ ...document, servers: [document.servers[0], document.servers[0]] }));
      await page.getByRole("button", { name: "Save document" }).click();
      await page.getByRole("alert").first().waitFor();
      await text.fill(JSON.stringify({ ...document, servers: [document.servers[0]] }));
      await page.getByRole("button", { name: "Save document" }).click();
      await page.getByText("Saved. The device gets it the next time it asks.").waitFor();
      expect((await kept()).servers.length === 1, "the second server is still there");
    });
    await check("what is typed while a document is on its way to be kept stays in the form", async () => {
      await page.getByRole("button", { name: "Whole as JSON" }).click();
      const text = page.getByLabel("Document as JSON");
      const { from: _, ...document } = await kept();
      const line = await holdBack(page, `**/api/v1/bootstrap/${NAME}`, "PUT");
      await text.fill(JSON.stringify(document));
      await page.getByRole("button", { name: "Save document" }).click();
      await line.stored;
      await text.fill('{ "servers": [');
      line.answer();
      await page.getByText("Saved; what was changed since then is not yet.").waitFor();
      expect((await text.inputValue()) === '{ "servers": [', "it was taken away");
      await line.end();
      await page.getByRole("button", { name: "Undo" }).click();
      await page.getByLabel("Address").waitFor();
      expect(await page.getByRole("button", { name: "Save document" }).isDisabled(), "nothing is to keep");
    });
    await check("the plan shows what would be sent", async () => {
      const steps = section("Plan").getByRole("listitem");
      const texts = await steps.allInnerTexts();
      expect(texts[0].includes("Discover") && texts.at(-1).includes("Finish"), texts.join("\n"));
    });
    await check("a device bootstraps, and its session appears by itself, step by step", async () => {
      device = startDevice(program, ports.bootstrap);
      await section("Sessions").getByText("finished", { exact: true }).waitFor();
      const steps = await section("Sessions").getByRole("listitem").allInnerTexts();
      expect(steps.some((text) => text.includes("Write") && text.includes("2.04 Changed")), steps.join("\n"));
      await eventually("it is registered", async () => (await fetch(`${base}/api/v1/endpoints/${NAME}`)).status === 200);
      await shot("bootstrap-session-light");
    });
    await check("a registered device is told to bootstrap anew", async () => {
      await section("Sessions").getByRole("button", { name: "Bootstrap now" }).click();
      await eventually("two sessions", async () => (await section("Sessions").locator("details summary .badge").count()) >= 2);
    });
    await check("a template is made", async () => {
      await page.goto(`${base}/#/bootstrap/templates/walkers`);
      await page.getByLabel("For devices named").fill("walker-*");
      await page.getByRole("button", { name: "Save template" }).click();
      await page.getByText("Saved.", { exact: true }).waitFor();
    });
    await check("what is typed while a template is on its way to be kept stays in the form", async () => {
      const field = page.getByLabel("For devices named");
      const line = await holdBack(page, "**/api/v1/bootstrap-templates/walkers", "PUT");
      await field.fill("walker-1*");
      await page.getByLabel("Lifetime in seconds").fill("78");
      await page.getByRole("button", { name: "Save template" }).click();
      await line.stored;
      await field.fill("walker-2*");
      await page.getByLabel("Lifetime in seconds").fill("79");
      line.answer();
      await page.getByText("Saved; what was changed since then is not yet.").waitFor();
      await line.end();
      expect((await field.inputValue()) === "walker-2*", "the pattern was taken away");
      expect((await page.getByLabel("Lifetime in seconds").inputValue()) === "79", "the lifetime was taken away");
      const kept = await (await fetch(`${base}/api/v1/bootstrap-templates/walkers`)).json();
      expect(kept.pattern === "walker-1*" && kept.document.servers[0].lifetime_s === 78, "what was sent was not kept");
      await page.getByRole("button", { name: "Save template" }).click();
      await page.getByText("Saved.", { exact: true }).waitFor();
    });
    await check("a template is listed, and deleted after asking; who has gone on meanwhile is not called back", async () => {
      await page.goto(`${base}/#/bootstrap`);
      await page.getByRole("link", { name: "walkers" }).waitFor();
      await page.getByRole("link", { name: NAME }).waitFor();
      await shot("bootstrap-light");
      await page.getByRole("link", { name: "walkers" }).click();
      await page.getByRole("button", { name: "Delete template" }).click();
      const line = await holdBack(page, "**/api/v1/bootstrap-templates/walkers", "DELETE");
      await page.getByRole("button", { name: "Delete template" }).click();
      await line.stored;
      await page.goto(`${base}/#/events`);
      const late = page.waitForResponse((response) => response.request().method() === "DELETE");
      line.answer();
      await (await late).finished();
      await line.end();
      await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
      expect(page.url().endsWith("#/events"), `called back to ${page.url()}`);
      await page.goto(`${base}/#/bootstrap`);
      await page.getByLabel("Name of a template").waitFor();
      expect((await page.getByRole("link", { name: "walkers" }).count()) === 0, "the template is still there");
    });
    await check("on a phone the pages of bootstrap fit", async () => {
      const size = page.viewportSize();
      await page.setViewportSize({ width: 390, height: 844 });
      for (const hash of ["#/bootstrap", `#/bootstrap/devices/${NAME}`]) {
        await page.goto(`${base}/${hash}`);
        await page.getByRole("heading", { level: 1 }).waitFor();
        await eventually(`${hash} fits`, () => page.evaluate(() => document.documentElement.scrollWidth <= 390));
      }
      await page.emulateMedia({ colorScheme: "dark" });
      await settled(page);
      await shot("bootstrap-phone-dark");
      await page.emulateMedia({ colorScheme: "light" });
      await page.setViewportSize(size);
    });
  } finally {
    device?.stdin.end();
    if (device && device.exitCode === null) await new Promise((resolve) => device.once("exit", resolve));
  }
}
