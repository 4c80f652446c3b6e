// Walks through tokens, roles and the audit on a server that asks for a token, with names that mean harm.
//
//   node test/access.mjs [--program PATH] [--shots DIR] [--browser PATH] [--dist]

import { spawn } from "node:child_process";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { check, eventually, expect, findProgram, freeTcpPort, freeUdpPort, look, settled, start, STEP_MAX_MS, stop, walk, walkFlags, watch } from "./lib.mjs";

const flags = walkFlags();

const ADMIN = "the-token-of-the-configuration";
const HOSTILE = `<img src=x onerror="document.title='taken'"> \u202Eeman\u202C &amp;`;
const trouble = [];
const [http, coap] = [await freeTcpPort(), await freeUdpPort()];

async function api(path, token = ADMIN, init = {}) {
  const response = await fetch(`http://127.0.0.1:${http}/api/v1${path}`, { ...init, headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" } });
  const text = await response.text();
  return { status: response.status, body: text === "" ? undefined : JSON.parse(text) };
}

async function opened(browser, base, token, hash) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 } });
  await context.addInitScript(() => {
    window.violations = [];
    document.addEventListener("securitypolicyviolation", (event) => window.violations.push(`${event.violatedDirective} ${event.blockedURI}`));
  });
  const page = await context.newPage();
  page.setDefaultTimeout(STEP_MAX_MS);
  await page.goto(`${base}/#${hash}`);
  await page.getByRole("textbox", { name: "Token" }).fill(token);
  await page.getByRole("button", { name: "Open" }).click();
  watch(page, trouble);
  return page;
}

async function main(browser, base, device) {
  const admin = await opened(browser, base, ADMIN, "/access");
  await check("an admin makes a token, sees it once, and it works", async () => {
    await admin.getByText("You are configuration, admin").waitFor();
    await admin.getByRole("textbox", { name: "Name", exact: true }).fill("Vera");
    await admin.getByRole("button", { name: "Create token" }).click();
    const secret = await admin.locator(".secret").textContent();
    expect(secret.startsWith("ls_"), secret);
    const me = await api("/session", secret);
    expect(me.body.role === "viewer" && me.body.name === "Vera", JSON.stringify(me));
    await look(admin, flags.shots, "access-made");
    await admin.getByRole("button", { name: "I have copied it" }).click();
    await admin.getByText("shown this once").waitFor({ state: "detached" });
    const viewer = await opened(browser, base, secret, "/access");
    await check("a viewer sees who it is, and why it may not more", async () => {
      await viewer.getByText("You are Vera, viewer").waitFor();
      await viewer.getByText("Tokens and the audit are for admins").waitFor();
      await look(viewer, flags.shots, "access-viewer");
      await viewer.goto(`${base}/#/devices/${encodeURIComponent(device)}/data/3/0/4`);
      const execute = viewer.getByRole("button", { name: /^Execute/ }).first();
      await execute.waitFor();
      expect(await execute.isDisabled(), "Execute is not for viewers");
      for (const [hash, name] of [["/security/devices/new", "Add a credential"], ["/bootstrap/devices/new", "Save document"], ["/bootstrap/templates/new", "Save template"]]) {
        await viewer.goto(`${base}/#${hash}`);
        const button = viewer.getByRole("button", { name }).first();
        await button.waitFor();
        expect(await button.isDisabled(), `${name} is not for viewers`);
        expect((await button.getAttribute("title")).includes("admin"), `${name} says what it needs`);
      }
    });
    await api(`/endpoints/${encodeURIComponent(device)}/execute/3/0/4`, secret, { method: "POST" });
    await check("a token that is taken away ends what is open", async () => {
      await admin.getByRole("listitem").filter({ hasText: "Vera" }).getByRole("button", { name: "Revoke" }).click();
      await admin.getByRole("group", { name: /Revoke it/ }).getByRole("button", { name: "Revoke" }).click();
      await viewer.getByRole("heading", { name: "API token" }).waitFor();
      await look(viewer, flags.shots, "access-gate");
    });
  });
  await check("the audit tells of it, and what means harm is text", async () => {
    await api("/tokens", ADMIN, { method: "POST", body: JSON.stringify({ name: HOSTILE.slice(0, 60), role: "operator", expires_in_s: 3600 }) });
    await api(`/credentials/${encodeURIComponent(HOSTILE)}`, ADMIN, { method: "PUT", body: JSON.stringify({ mode: "nosec" }) });
    await api("/bulk", ADMIN, { method: "POST", body: JSON.stringify({ filter: "", operation: "read", path: "/3/0" }) });
    await admin.reload();
    await admin.getByText("forbidden-role").first().waitFor();
    await admin.getByText("Run on many devices: read /3/0 on 1 device (all that are registered), bulk operation 1").waitFor();
    await admin.getByText("<img src=x").first().waitFor();
    await look(admin, flags.shots, "access-audit");
    expect((await admin.title()) === "Access · Lightship", await admin.title());
    expect((await admin.locator("main img").count()) === 0, "no element came of a name");
  });
  await check("a device's log says who changed what", async () => {
    await api(`/endpoints/${encodeURIComponent(device)}/resources/1/0/1`, ADMIN, { method: "PUT", body: JSON.stringify({ value: 77 }) });
    await admin.goto(`${base}/#/devices/${encodeURIComponent(device)}/log`);
    await admin.getByRole("button", { name: "done by people" }).click();
    const region = admin.getByRole("region", { name: "Who did what", exact: true });
    await region.getByText(/^\s*Write\s+\/1\/0\/1/).first().waitFor();
    await look(admin, flags.shots, "access-device");
  });
  await check("a table of credentials is looked at, and then kept, without a key in sight", async () => {
    const key = "6c69676874736869702d6b65792d3132";
    const buffer = Buffer.from(`endpoint,mode,identity,key_hex\nmeter-1,psk,meter-1,${key}\nmeter-2,psk,meter-1,${key}\n"${HOSTILE.replaceAll('"', '""')}",x509,,\n`);
    await admin.goto(`${base}/#/security`);
    await admin.getByRole("button", { name: "Import a table" }).click();
    await admin.getByLabel("Table for the LwM2M Server").setInputFiles({ name: "devices.csv", mimeType: "text/csv", buffer });
    await admin.getByText("1 row would be new, 1 would replace what is kept, 1 cannot be kept").waitFor();
    await admin.getByText("line 2 proves itself with the same").waitFor();
    expect((await api("/credentials/meter-1")).status === 404, "it was only looked at");
    await look(admin, flags.shots, "security-import");
    await admin.getByRole("button", { name: "Import 2 rows" }).click();
    await admin.getByText("Done: 1 new, 1 replaced, 1 not kept").waitFor();
    await admin.getByRole("link", { name: "meter-1" }).waitFor();
    expect((await api("/credentials/meter-1")).body.key_set === true, "the key is kept");
    expect(!(await admin.content()).includes(key), "no key stands on the page");
  });
  await check("no page asked for what the policy forbids, and names that mean harm do none", async () => {
    for (const hash of ["/devices", "/bootstrap", "/security", "/events", "/access", `/security/devices/${encodeURIComponent(HOSTILE)}`, `/bootstrap/devices/${encodeURIComponent(HOSTILE)}`, `/devices/${encodeURIComponent(HOSTILE)}`]) {
      await admin.goto(`${base}/#${hash}`);
      await settled(admin);
      expect((await admin.title()) !== "taken", hash);
      expect((await admin.locator("main img").count()) === 0, hash);
    }
    const violations = await admin.evaluate(() => window.violations);
    expect(violations.length === 0, violations.join("; "));
    const unexpected = trouble.filter((line) => !/40[134]/.test(line));
    expect(unexpected.length === 0, unexpected.join("; "));
  });
}

const folder = mkdtempSync(join(tmpdir(), "lightship-access-"));
const config = join(folder, "lightship.toml");
writeFileSync(config, `[api]\ntoken = "${ADMIN}"\n[security]\nallow_nosec = true\n`);
const at = (port) => `127.0.0.1:${port}`;
const name = "sensor-1";

async function begin(ends) {
  const program = findProgram(flags.program);
  const server = await start(program, ["serve", "--config", config, "--http", at(http), "--coap", at(coap), "--coaps", "none", "--bootstrap-coap", "none", "--bootstrap-coaps", "none"]);
  ends.push(() => stop(server));
  // It is steered from its standard input, and ends with that.
  const device = spawn(program, ["device", "--server", `coap://${at(coap)}`, "--endpoint", name], { stdio: ["pipe", "ignore", "inherit"] });
  ends.push(() => stop(device));
  await eventually("the device registers", async () => (await api("/endpoints")).body.items.length > 0);
}

await walk(flags, http, begin, (browser, base) => main(browser, base, name));
