// Walks through every page with devices, people and certificates whose texts mean harm: markup, control characters, letters that cannot be
// seen or turn the direction, 64 KB in a row. All of it has to stand there as text, cut where it is long, and no page may break.
//
//   node test/hostile.mjs [--program PATH] [--shots DIR] [--browser PATH] [--dist]

import { execFileSync, spawn } from "node:child_process";
import { createSocket } from "node:dgram";
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { check, eventually, expect, findProgram, freeTcpPort, freeUdpPort, look, misdeeds, settled, start, STEP_MAX_MS, stop, walk, walkFlags } from "./lib.mjs";

const flags = walkFlags();

const ADMIN = "the-token-of-the-configuration";
const MARKUP = `<img src=x onerror="taken()"><script>taken()</script><svg onload=taken()>`;
const UNSEEN = "\u202Etxt.exe\u202C\u2066a\u2069\u200Bb\u200D\u00ADc\uFEFF\u{E0041}\u3164\u115F\uFFA0\u2800\u034F\u061C\u180E\uFE0F\u{E0100}";
const CONTROL = "\u0000\u0007\u001b[31mred\u001b[0m\r\nSet-Cookie: a=b\u007f\u0085";
const HARM = `${MARKUP}${UNSEEN}"'&amp;&lt;{{7*7}}\${7*7}`;
const LONG = `${HARM}${"W".repeat(65_536 - 200)}end`;
/** As an endpoint name: no control characters, 252 bytes. */
const NAME = `ev"'&amp;il${MARKUP}${UNSEEN}`;
const STRANGER = `${MARKUP.slice(0, 28)}${UNSEEN}stranger`;
const IN_CERTIFICATE = `<script>taken()</script>${UNSEEN}cert`;

const [http, coap, coaps, bootstrap] = [await freeTcpPort(), await freeUdpPort(), await freeUdpPort(), await freeUdpPort()];
const folder = mkdtempSync(join(tmpdir(), "lightship-hostile-"));
const file = (name) => join(folder, name);
const at = (port) => `127.0.0.1:${port}`;
const encoded = encodeURIComponent;

async function api(path, init = {}) {
  const headers = { Authorization: `Bearer ${ADMIN}`, "Content-Type": "application/json", ...init.headers };
  const response = await fetch(`http://${at(http)}/api/v1${path}`, { ...init, headers });
  const text = await response.text();
  return { status: response.status, text, body: text.startsWith("{") ? JSON.parse(text) : undefined };
}
/** What is refused stands on no page, and would prove nothing. */
async function done(method, path, body) {
  const answer = await api(path, { method, body: JSON.stringify(body) });
  expect(answer.status < 300, `${method} ${path}: ${answer.status} ${answer.text.slice(0, 300)}`);
  return answer;
}
const put = (path, body) => done("PUT", path, body);
const post = (path, body) => done("POST", path, body);

/** An authority, the server and a device, of which the device's subject and names mean harm. */
function makeCertificates() {
  const openssl = (...args) => execFileSync("openssl", args, { cwd: folder, stdio: ["ignore", "ignore", "pipe"] });
  const key = (name) => openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", `${name}.key`);
  for (const name of ["ca", "server", "device", "other"]) key(name);
  writeFileSync(file("ca.cnf"), "[req]\ndistinguished_name=dn\n[dn]\n[ca]\nbasicConstraints=critical,CA:TRUE\nkeyUsage=keyCertSign\n[device]\nkeyUsage=digitalSignature\nextendedKeyUsage=clientAuth\nsubjectAltName=@names\n[names]\nURI.1=javascript:taken()\nURI.2=urn:x:<script>taken()</script>\nDNS.1=\"<img src=x onerror=taken()>\"\nemail.1=\"<b>@example.com\"\n[server]\nkeyUsage=digitalSignature\nsubjectAltName=DNS:localhost\n[old]\nkeyUsage=keyAgreement\nextendedKeyUsage=serverAuth\n");
  const issued = (name, subject, section, ...more) => {
    openssl("req", "-new", "-utf8", "-key", `${name}.key`, "-subj", subject, "-config", "ca.cnf", "-out", `${name}.csr`);
    openssl("x509", "-req", "-in", `${name}.csr`, "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "3650", "-extfile", "ca.cnf", "-extensions", section, "-out", `${name}.pem`, ...more);
  };
  const subject = (name) => `/CN=${name.replaceAll("\\", "\\\\").replaceAll("/", "\\/").replaceAll("+", "\\+")}`;
  openssl("req", "-x509", "-utf8", "-key", "ca.key", "-subj", subject("Authority <b>of\u202E harm</b>"), "-config", "ca.cnf", "-extensions", "ca", "-days", "3650", "-out", "ca.pem");
  issued("server", "/CN=localhost", "server");
  issued("device", subject(IN_CERTIFICATE.slice(0, 64)), "device");
  issued("other", "/CN=other", "old", "-days", "1");
}

/** A device made of hand-written CoAP: what it says of itself no client of ours would say. */
function startPeer(port, name, links) {
  const socket = createSocket("udp4");
  const option = (delta, value) => {
    const ext = (n) => (n < 13 ? [n, []] : n < 269 ? [13, [n - 13]] : [14, [(n - 269) >> 8, (n - 269) & 255]]);
    const [d, de] = ext(delta);
    const [l, le] = ext(value.length);
    return Buffer.concat([Buffer.from([(d << 4) | l, ...de, ...le]), value]);
  };
  const message = (type, code, id, token, options, payload) => {
    let last = 0;
    const parts = [Buffer.from([0x40 | (type << 4) | token.length, code, id >> 8, id & 255]), token];
    for (const [number, value] of options) {
      parts.push(option(number - last, Buffer.from(value)));
      last = number;
    }
    if (payload.length > 0) parts.push(Buffer.from([255]), Buffer.from(payload));
    return Buffer.concat(parts);
  };
  let id = Math.floor(Math.random() * 60_000);
  const query = (text) => [15, Buffer.from(text)];
  const register = () => {
    id = (id + 1) & 0xffff;
    socket.send(message(0, 2, id, Buffer.from([7]), [[11, "rd"], [12, [40]], query(`ep=${name}`), query("lt=86400"), query("lwm2m=1.1"), query(`x${MARKUP}=${MARKUP}`)], links), port, "127.0.0.1");
  };
  const text = (value) => JSON.stringify([{ bn: "/3/0/", n: "0", vs: value }, { n: "1", vs: value }, { n: "2", vs: value }, { n: "3", vs: value }, { n: "17", vs: value }]);
  socket.on("message", (bytes, from) => {
    const [head, code] = bytes;
    if (((head >> 4) & 3) !== 0 || code === 0 || code >= 32) return;
    const token = bytes.subarray(4, 4 + (head & 15));
    const isWrite = code !== 1;
    const answer = isWrite ? message(2, 0x84, bytes.readUInt16BE(2), token, [], `${MARKUP}${CONTROL}`) : message(2, 0x45, bytes.readUInt16BE(2), token, [[12, [110]]], text(`${CONTROL}${HARM}`));
    socket.send(answer, from.port, from.address);
  });
  socket.bind(0, "127.0.0.1", register);
  const timer = setInterval(register, 3000);
  return { stop: () => { clearInterval(timer); socket.close(); }, registered: () => clearInterval(timer) };
}

/** What may stand nowhere: elements that came of a text, letters that deceive, texts that nobody cut. */
function findHarm(max) {
  const found = [];
  // Lines and their indents are the page's own.
  const deceptive = /(?![\t\n])[\p{Cc}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\p{Bidi_Control}\ufff9-\ufffb\u2800\u{1d159}]/u;
  if (window.taken_by) found.push(`it ran: ${window.taken_by}`);
  for (const element of document.querySelectorAll("img, iframe, object, embed, base, form[action], body script, svg[onload], a[href^='javascript']")) {
    if (!element.closest("[data-of-the-page]") && !/^\/?assets|theme\.js/.test(element.getAttribute("src") ?? "-")) found.push(`an element: ${element.outerHTML.slice(0, 200)}`);
  }
  for (const element of document.querySelectorAll("*")) {
    for (const { name, value } of element.attributes) {
      if (name.startsWith("on")) found.push(`a handler: ${name}=${value.slice(0, 80)}`);
      if (["title", "aria-label", "placeholder", "alt"].includes(name) && deceptive.test(value)) found.push(`${name} deceives: ${JSON.stringify(value.slice(0, 160))} in ${element.tagName} ${element.className}`);
    }
  }
  const walker = document.createTreeWalker(document.documentElement, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    if (["SCRIPT", "STYLE"].includes(node.parentElement?.tagName)) continue;
    const where = `${node.parentElement?.tagName}.${node.parentElement?.className} in ${node.parentElement?.closest("section, [aria-label]")?.getAttribute("aria-label")}`;
    if (deceptive.test(node.data)) found.push(`a text deceives: ${JSON.stringify(node.data.slice(0, 160))} (${where})`);
    if (node.data.length > max) found.push(`a text of ${node.data.length} letters is not cut (${where})`);
  }
  if (deceptive.test(document.title)) found.push(`the title deceives: ${JSON.stringify(document.title)}`);
  return [...new Set(found)];
}

const TEXT_MAX = 2_500;
const device = `/devices/${encoded(NAME)}`;
const secured = () => `/devices/${encoded(securedName)}`;
let securedName = "";
/** Every page that can show something of somebody. */
const PAGES = () => [
  ["overview", "/"],
  ["list", "/devices?columns=/3/0/1,/3/0/2"],
  ["list-filtered", `/devices?filter=${encoded(`"${MARKUP}"`)}`],
  ["device", device],
  ["data", `${device}/data`],
  ["data-object", `${device}/data/3/0`],
  ["data-resource", `${device}/data/3/0/1`],
  ["data-unit", `${device}/data/3303/0/5701`],
  ["composite", `${device}/composite`],
  ["observations", `${device}/observations`],
  ["queue", `${device}/queue`],
  ["history", `${device}/history/3/0/1`],
  ["security", `${device}/security`],
  ["trace", `${device}/trace`],
  ["bootstrap", `${device}/bootstrap`],
  ["log", `${device}/log`],
  ["peer-data", `/devices/${encoded(`${NAME.slice(0, 100)}-peer`)}/data/3/0`],
  ["peer-trace", `/devices/${encoded(`${NAME.slice(0, 100)}-peer`)}/trace`],
  ["certificate", `${secured()}/security`],
  ["events", "/events"],
  ["all-security", "/security"],
  ["credential", `/security/devices/${encoded(NAME)}`],
  ["claim", `/security/devices/${encoded(STRANGER)}/lwm2m/psk/${encoded(STRANGER)}`],
  ["all-bootstrap", "/bootstrap"],
  ["document", `/bootstrap/devices/${encoded(NAME)}`],
  ["template", `/bootstrap/templates/${encoded(NAME.slice(0, 60))}`],
  ["models", "/models"],
  ["model", "/models/33000"],
  ["access", "/access"],
  ["unknown", `/${encoded(HARM)}`],
];

const DOCUMENT = {
  servers: [{ short_server_id: 1, uri: `coap://${at(coap)}`, mode: "nosec" }],
  // In a template braces stand for something.
  write: [{ path: "/3/0/15", value: HARM.replace(/[{}]/g, "") }],
};

async function prepare(program, started) {
  await post("/tokens", { name: `${UNSEEN.slice(0, 12)}${MARKUP}`.slice(0, 60), role: "operator", expires_in_s: 86_400 });
  await put(`/credentials/${encoded(NAME)}`, { mode: "nosec" });
  await put(`/credentials/${encoded(`${NAME}-psk`)}`, { mode: "psk", identity: `${MARKUP}${UNSEEN}`.slice(0, 80), key_hex: "00".repeat(16) });
  await put(`/bootstrap/${encoded(NAME)}/credential`, { mode: "x509", name: NAME });
  await put(`/bootstrap/${encoded(NAME)}`, DOCUMENT);
  await put(`/bootstrap-templates/${encoded(NAME.slice(0, 60))}`, { pattern: `ev*${UNSEEN}`, document: DOCUMENT });
  const words = "&lt;script&gt;taken()&lt;/script&gt;&#x202E;";
  const long = `${words}${"long ".repeat(800)}`;
  const xml = `<?xml version="1.0"?><LWM2M><Object ObjectType="MODefinition"><Name>${words}</Name><Description1>${long}</Description1><ObjectID>33000</ObjectID><ObjectURN>urn:oma:lwm2m:x:33000</ObjectURN><LWM2MVersion>1.0</LWM2MVersion><ObjectVersion>1.0</ObjectVersion><MultipleInstances>Multiple</MultipleInstances><Mandatory>Optional</Mandatory><Resources><Item ID="0"><Name>${words}</Name><Operations>RW</Operations><MultipleInstances>Single</MultipleInstances><Mandatory>Mandatory</Mandatory><Type>String</Type><RangeEnumeration></RangeEnumeration><Units>&lt;b&gt;</Units><Description>${long}</Description></Item></Resources><Description2></Description2></Object></LWM2M>`;
  const model = await api("/models", { method: "POST", body: xml, headers: { "Content-Type": "application/xml" } });
  expect(model.status === 201, `the definition is taken: ${model.text.slice(0, 300)}`);

  // A real device, with values that mean harm.
  const real = spawn(program, ["device", "--server", `coap://${at(coap)}`, "--endpoint", NAME, "--object", "3303=1", "--object", "3341=1", "--lifetime", "3600"], { stdio: ["pipe", "ignore", "inherit"] });
  const say = (line) => real.stdin.write(`${line}\n`);
  say(`set /3/0/0 ${JSON.stringify(`${CONTROL}${HARM}`)}`);
  say(`set /3/0/1 ${JSON.stringify(LONG)}`);
  say(`set /3/0/2 ${JSON.stringify(HARM)}`);
  say(`set /3/0/17 ${JSON.stringify(HARM)}`);
  say(`set /3/0/3 ${JSON.stringify(HARM)}`);
  say(`set /3303/0/5701 ${JSON.stringify(`${MARKUP}${UNSEEN}`)}`);
  const links = `</1/0>,</3/0>;ver="<img src=x onerror=taken()>";title="${MARKUP.replaceAll('"', "'")}",</3303/0>;x="\u202E<script>taken()</script>",</33000/0>`;
  const peer = startPeer(coap, `${NAME.slice(0, 100)}-peer`, links);
  const withCertificate = spawn(program, ["device", "--server", `coaps://localhost:${coaps}`, "--endpoint", securedName, "--cert", file("device.pem"), "--key", file("device.key"), "--trust", file("ca.pem")], { stdio: ["pipe", "ignore", "inherit"] });
  const stranger = spawn(program, ["device", "--server", `coaps://localhost:${coaps}`, "--endpoint", STRANGER, "--psk-identity", STRANGER, "--psk-key", "00112233445566778899aabbccddeeff"], { stdio: ["pipe", "ignore", "ignore"] });
  started.push(peer.stop, ...[real, withCertificate, stranger].map((child) => () => child.kill("SIGKILL")));
  return { say, peer };
}

/** Makes the devices say and do everything that a page can show. */
async function stir({ say, peer }) {
  const names = [NAME, `${NAME.slice(0, 100)}-peer`, securedName];
  for (const name of names) await eventually(`${JSON.stringify(name)} registers`, async () => (await api(`/endpoints/${encoded(name)}`)).status === 200);
  peer.registered();
  const of = (path) => `/endpoints/${encoded(NAME)}${path}`;
  await eventually("the long value is read", async () => (await api(of("/resources/3/0"))).text.includes("Wend"));
  for (const path of ["3/0/0", "3/0/1", "3/0/2", "3303/0/5701"]) await put(of(`/observations/${path}`), {});
  await put(of(`/composite/observations/${encoded(`<${UNSEEN}`)}`), { paths: ["/3/0/0", "/3/0/2"] });
  await put(of("/resources/1/0/1?queue=true"), { value: 77 });
  await put(of(`/resources/3/0/15`), { value: HARM });
  await post(of("/execute/3/0/4?queue=true"), { arguments: "0='<b>'" });
  await post(of("/composite/read"), { paths: ["/3/0/0", "/3/0/1"] });
  await api(of("/discover/3"));
  say("send /3/0/0 /3/0/2");
  say("send /3/0/1");
  for (const path of ["/resources/3/0", "/resources/3/0/1", "/discover/3"]) await api(`/endpoints/${encoded(names[1])}${path}`);
  await put(`/endpoints/${encoded(names[1])}/resources/3/0/15`, { value: "x" });
  await post("/bulk", { filter: `"${MARKUP.slice(0, 10)}" "${UNSEEN}"`, operation: "read", path: "/3/0/2" });
  await eventually("the stranger is noticed", async () => (await api("/security/failures")).body.items.length > 0);
}

async function opened(browser, base) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, acceptDownloads: true });
  await context.addInitScript((name) => {
    window.taken = () => (window.taken_by = new Error().stack);
    // An empty page has no storage.
    if (location.protocol !== "http:") return;
    localStorage.setItem("lightship.views", JSON.stringify([{ name, href: "#/devices?filter=x" }]));
  }, `${MARKUP}${UNSEEN}view`);
  const page = await context.newPage();
  page.setDefaultTimeout(STEP_MAX_MS);
  await page.goto(`${base}/#/access`);
  await page.getByRole("textbox", { name: "Token" }).fill(ADMIN);
  await page.getByRole("button", { name: "Open" }).click();
  await page.getByText("You are configuration, admin").waitFor();
  return page;
}

async function harmless(page) {
  const found = await page.evaluate(findHarm, TEXT_MAX);
  expect(found.length === 0, found.slice(0, 12).join("\n"));
}

const UNFOLDED_MAX = 25;

/** What can be opened is opened. */
async function unfold(page) {
  for (const button of (await page.locator("main [aria-expanded=false]:visible:enabled, main summary:visible").all()).slice(0, UNFOLDED_MAX)) {
    await button.click({ timeout: 1000 }).catch(() => undefined);
  }
  await settled(page);
}

async function walkPages(page, base) {
  for (const [name, hash] of PAGES()) {
    await check(`${name}: what means harm is text, and nothing breaks`, async () => {
      await page.setViewportSize({ width: 1440, height: 900 });
      await page.goto(`${base}/#${hash}`);
      await settled(page);
      await harmless(page);
      await look(page, flags.shots, `hostile-${name}`);
      await page.setViewportSize({ width: 390, height: 844 });
      await unfold(page);
      const excess = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      await page.screenshot({ path: `${flags.shots}/hostile-${name}-open.png` });
      const found = (await page.evaluate(findHarm, 1e9));
      expect(found.length === 0, found.slice(0, 12).join("\n"));
      expect(excess <= 0, `scrolls sideways by ${excess} px when everything is open`);
    });
  }
}

async function main(browser, base) {
  const page = await opened(browser, base);
  await check("a page that breaks the policy is caught", async () => {
    const scratch = await page.context().newPage();
    await scratch.goto(`${base}/`);
    const before = misdeeds.length;
    await scratch.evaluate(() => document.body.insertAdjacentHTML("beforeend", `<img src="https://example.invalid/x.png"><p onclick="1">x</p>`));
    await eventually("the break of the policy is noticed", () => misdeeds.slice(before).some((line) => line.includes("The policy forbids: img-src")));
    await scratch.close();
    misdeeds.splice(before);
  });
  await walkPages(page, base);
  await check("the palette shows it as text", async () => {
    await page.setViewportSize({ width: 1440, height: 900 });
    await page.goto(`${base}/#${device}`);
    await settled(page);
    await page.keyboard.press("Control+k");
    await page.getByRole("combobox").fill("ev");
    await page.getByRole("option").first().waitFor();
    await harmless(page);
    await look(page, flags.shots, "hostile-palette");
    await page.keyboard.press("Escape");
    await page.getByRole("dialog").waitFor({ state: "hidden" });
  });
  await check("confirmations and the table as CSV show it as text", async () => {
    await page.reload();
    await page.goto(`${base}/#${device}/data/3/0/4`);
    await page.getByRole("button", { name: /^Execute/ }).first().click();
    await settled(page);
    await harmless(page);
    await page.goto(`${base}/#/access`);
    await page.getByRole("button", { name: "Revoke" }).first().click();
    await harmless(page);
    const csv = await api("/endpoints?columns=/3/0/2", { headers: { Accept: "text/csv" } });
    expect(!/^[=+\-@\t\r]/m.test(csv.text.replaceAll("\r\n", "\n")), "no cell begins a formula");
  });
  await certificates(page, base);
}

/** Certificates: pasted, dropped, chosen, kept and in use. */
async function certificates(page, base) {
  const card = page.getByRole("region", { name: "Credential for the LwM2M Server" });
  const meaning = card.getByRole("group", { name: "What it means" });
  await check("a certificate that is dropped says what it means before it is kept", async () => {
    await page.goto(`${base}/#/security/devices/lamp`);
    await card.getByRole("button", { name: "Add a credential" }).click();
    await card.getByLabel("Kind").selectOption("x509");
    await card.getByLabel("Which certificate").selectOption("certificate");
    const data = await page.evaluateHandle(([text]) => {
      const transfer = new DataTransfer();
      transfer.items.add(new File([text], "other.pem"));
      return transfer;
    }, [readFileSync(file("other.pem"), "utf8") + readFileSync(file("ca.pem"), "utf8")]);
    await card.locator("textarea").dispatchEvent("drop", { dataTransfer: data });
    await meaning.waitFor();
    const warnings = meaning.getByRole("list", { name: "Warnings" });
    for (const text of ["it expires within a day", "lacks clientAuth", "lacks digitalSignature"]) await warnings.getByText(text, { exact: false }).first().waitFor();
    await meaning.getByText("Number 2:").first().waitFor();
    await harmless(page);
    await look(page, flags.shots, "certificate-dropped", { fullPage: true });
    await card.getByRole("button", { name: "Save credential" }).click();
    await card.getByText("It counts from now on", { exact: false }).waitFor();
    const kept = (await api("/credentials/lamp")).body;
    expect(kept.certificate.common_name === "other", JSON.stringify(kept).slice(0, 300));
    await card.getByRole("group", { name: "What the kept certificate means" }).waitFor();
  });
  await check("DER from a file becomes PEM, and a private key goes nowhere", async () => {
    execFileSync("openssl", ["x509", "-in", "device.pem", "-outform", "DER", "-out", "device.der"], { cwd: folder });
    await card.getByLabel("or from a file", { exact: false }).setInputFiles(file("device.der"));
    await meaning.getByText("clientAuth").waitFor();
    expect((await card.locator("textarea").inputValue()).startsWith("-----BEGIN CERTIFICATE-----"), "as PEM in the form");
    await harmless(page);
    const sent = [];
    const note = (request) => sent.push(request.postData() ?? "");
    page.on("request", note);
    await card.getByLabel("or from a file", { exact: false }).setInputFiles(file("device.key"));
    await card.getByText("must never leave its device", { exact: false }).waitFor();
    await card.locator("textarea").fill(readFileSync(file("device.key"), "utf8"));
    await eventually("the key is gone from the form", async () => (await card.locator("textarea").inputValue()) === "");
    await page.waitForTimeout(600);
    page.off("request", note);
    expect(!sent.some((body) => body.includes("PRIVATE KEY")), "no private key was sent");
    await card.locator("textarea").fill("-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----");
    await card.getByText("cannot be read", { exact: false }).first().waitFor();
  });
  await check("a public key says what it means, and the page of security explains any", async () => {
    await card.getByLabel("Kind").selectOption("rpk");
    const key = execFileSync("openssl", ["pkey", "-in", "device.key", "-pubout"], { cwd: folder }).toString();
    await card.locator("textarea").fill(key);
    await meaning.getByText("EC, P-256").waitFor();
    await page.goto(`${base}/#/security`);
    await page.getByRole("button", { name: "Explain a certificate" }).click();
    const explain = page.getByRole("group", { name: "Explain a certificate" });
    await explain.locator("textarea").fill(readFileSync(file("device.pem"), "utf8"));
    await explain.getByRole("group", { name: "What it means" }).getByText("clientAuth").waitFor();
    await explain.getByLabel("For the device", { exact: false }).fill("lamp");
    await explain.getByText("and not for 'lamp'", { exact: false }).waitFor();
    await harmless(page);
    await look(page, flags.shots, "certificate-explained", { fullPage: true });
  });
}

makeCertificates();
securedName = IN_CERTIFICATE.slice(0, 64);
writeFileSync(
  file("lightship.toml"),
  `[api]\ntoken = "${ADMIN}"\n[security]\nallow_nosec = true\naccept_trusted = true\nkey_file = "${file("server.key")}"\ncertificate_file = "${file("server.pem")}"\ntrust_files = ["${file("ca.pem")}"]\n`,
);

async function begin(ends) {
  const program = findProgram(flags.program);
  const server = await start(program, ["serve", "--config", file("lightship.toml"), "--http", at(http), "--coap", at(coap), "--coaps", at(coaps), "--bootstrap-coap", at(bootstrap), "--bootstrap-coaps", "none"]);
  ends.push(() => stop(server));
  await stir(await prepare(program, ends));
}

await walk(flags, http, begin, main);
