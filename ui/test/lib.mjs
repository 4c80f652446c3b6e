// What the walks through the UI share: starting and stopping programs, a browser, and keeping the score.

import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, statSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createServer as createHttpServer, request } from "node:http";
import { connect, createServer } from "node:net";
import { createSocket } from "node:dgram";
import { createInterface } from "node:readline";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import axe from "axe-core";
import { chromium } from "playwright-core";

export const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const START_MAX_MS = 60_000;
export const STEP_MAX_MS = 20_000;
const BROWSER_ARGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** What no page may do in any walk: throw, break the Content-Security-Policy, complain in the console. It fails the walk at its end. */
export const misdeeds = [];
/** Answers of the server that are no 200, and lines that were cut, are for each walk to judge. */
const OF_THE_NETWORK = /^Failed to load resource:/;

/** Requests of each page that have no answer yet; streams, which never end, are none of them. */
const underWay = new WeakMap();

function isStream(request) {
  return request.headers().accept === "text/event-stream" || request.resourceType() === "eventsource";
}

/** Keeps count of what the pages of a context ask for. */
function countRequests(context) {
  // A request of a page that is closed belongs to no frame any more.
  const of = (request) => {
    try {
      const page = request.frame().page();
      if (!underWay.has(page)) underWay.set(page, new Set());
      return underWay.get(page);
    } catch {
      return new Set();
    }
  };
  context.on("request", (request) => !isStream(request) && of(request).add(request));
  for (const end of ["requestfinished", "requestfailed"]) context.on(end, (request) => of(request).delete(request));
}

/** Until the page has drawn what it knows. */
export function drawn(page) {
  return page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
}

/** Until the page stands: all that it asked for is there and drawn, and it asks for nothing more because of that. */
export async function settled(page) {
  await page.locator("main, [role=main]").first().waitFor();
  const isQuiet = () => (underWay.get(page)?.size ?? 0) === 0;
  await eventually("the page has what it asked for", async () => {
    if (!isQuiet()) return false;
    await drawn(page);
    return isQuiet();
  });
}

/** A browser in which every page is watched, whoever opens it. */
export async function launch(executablePath) {
  const browser = await chromium.launch({ executablePath, headless: true, args: BROWSER_ARGS });
  const make = browser.newContext.bind(browser);
  browser.newContext = async (options) => {
    const context = await make(options);
    countRequests(context);
    await context.addInitScript(() =>
      document.addEventListener("securitypolicyviolation", ({ effectiveDirective, blockedURI, sourceFile, lineNumber }) =>
        console.error(`The policy forbids: ${effectiveDirective} ${blockedURI} at ${sourceFile}:${lineNumber}`),
      ),
    );
    context.on("weberror", (found) => misdeeds.push(`exception at ${found.page()?.url()}: ${found.error().message}`));
    context.on("console", (message) => {
      if (message.type() === "error" && !OF_THE_NETWORK.test(message.text())) misdeeds.push(`${message.page()?.url()}: ${message.text()}`);
    });
    // A dialog that nobody asked for is closed, so that the walk goes on and tells of it.
    context.on("dialog", (dialog) => {
      misdeeds.push(`dialog: ${dialog.message()}`);
      dialog.dismiss().catch(() => undefined);
    });
    return context;
  };
  browser.newPage = async (options) => (await browser.newContext(options)).newPage();
  return browser;
}

export function freeTcpPort() {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

export function freeUdpPort() {
  return new Promise((resolve) => {
    const socket = createSocket("udp4").bind(0, "127.0.0.1", () => {
      const { port } = socket.address();
      socket.close(() => resolve(port));
    });
  });
}

/** Starts a program and waits until it says `ready`. */
export async function start(command, args) {
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "inherit"] });
  const ready = new Promise((resolve, reject) => {
    createInterface({ input: child.stdout }).on("line", (line) => line.startsWith("ready") && resolve());
    child.once("error", reject);
    child.once("exit", (code) => reject(new Error(`${command} ended with ${code} before it was ready`)));
    setTimeout(() => reject(new Error(`${command} did not become ready in time`)), START_MAX_MS).unref();
  });
  await ready.catch((error) => {
    child.kill("SIGKILL");
    throw error;
  });
  return child;
}

/** The program to test: the one that is named, else the newest build. */
export function findProgram(named) {
  const builds = ["../../target/release/lightship", "../../target/debug/lightship"].map(here).filter((path) => existsSync(path));
  const program = named ?? process.env.LIGHTSHIP ?? builds.sort((a, b) => statSync(b).mtimeMs - statSync(a).mtimeMs)[0];
  if (!program) throw new Error("no program: build it with `cargo build --release`, or name it with --program");
  return program;
}

export async function demoPorts() {
  return { http: await freeTcpPort(), coap: await freeUdpPort(), bootstrap: await freeUdpPort(), coaps: await freeUdpPort(), bootstrapCoaps: await freeUdpPort() };
}

/** `lightship demo` on ports of its own. */
export function startDemo(program, ports, ...more) {
  const at = (port) => `127.0.0.1:${port}`;
  const listen = ["--http", at(ports.http), "--coap", at(ports.coap), "--bootstrap-coap", at(ports.bootstrap), "--coaps", at(ports.coaps), "--bootstrap-coaps", at(ports.bootstrapCoaps)];
  return start(program, ["demo", ...listen, ...more]);
}

const TYPES = { ".html": "text/html; charset=utf-8", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml" };
const CSP =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; " +
  "manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/** The page from dist/ over the API of a server that has an older page in it: while one works on the page. */
export function servePage(apiPort) {
  const dist = here("../dist/");
  const server = createHttpServer((asked, answer) => {
    if (asked.url.startsWith("/api/")) {
      const headers = { ...asked.headers, host: `127.0.0.1:${apiPort}` };
      if (headers.origin) headers.origin = `http://${headers.host}`;
      const far = request({ host: "127.0.0.1", port: apiPort, path: asked.url, method: asked.method, headers }, (response) => {
        answer.writeHead(response.statusCode, response.headers);
        response.pipe(answer);
      });
      far.on("error", () => answer.destroy());
      answer.on("close", () => far.destroy());
      return void asked.pipe(far);
    }
    const path = normalize(new URL(asked.url, "http://x").pathname);
    readFile(join(dist, path === "/" ? "index.html" : path)).then(
      (bytes) => answer.writeHead(200, { "Content-Type": TYPES[extname(path) || ".html"], "Content-Security-Policy": CSP }).end(bytes),
      () => answer.writeHead(404).end(),
    );
  });
  return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve({ port: server.address().port, close: () => server.close() })));
}

export function startMock(port, ...more) {
  return start(process.execPath, [here("../mock/server.mjs"), "--port", String(port), ...more]);
}

export async function stop(child) {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGINT");
  const timer = setTimeout(() => child.kill("SIGKILL"), 10_000);
  await gone;
  clearTimeout(timer);
}

/** A line that can be cut: forwards TCP to a port of this machine until it is told not to. */
export async function startLine(target) {
  const sockets = new Set();
  let isCut = false;
  const server = createServer((near) => {
    if (isCut) return void near.destroy();
    const far = connect(target, "127.0.0.1");
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on("error", () => socket.destroy());
      socket.on("close", () => {
        sockets.delete(socket);
        near.destroy();
        far.destroy();
      });
    }
    near.pipe(far).pipe(near);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: server.address().port,
    cut() {
      isCut = true;
      for (const socket of sockets) socket.destroy();
    },
    mend() {
      isCut = false;
    },
    close() {
      this.cut();
      server.close();
    },
  };
}

/** Words of a line as a shell takes them; without the first, where that is curl or lightship. */
export function words(line) {
  const { status, stdout, stderr } = spawnSync("bash", ["-c", `printf '%s\\0' ${line.replace(/^(lightship|curl) /, "")}`], { encoding: "utf8" });
  if (status !== 0) throw new Error(`a shell does not take it: ${line}\n${stderr}`);
  return stdout.split("\0").slice(0, -1);
}

export const score = { passed: 0, failed: 0 };

export async function check(name, body) {
  try {
    await body();
    score.passed += 1;
    process.stdout.write(`ok      ${name}\n`);
  } catch (error) {
    score.failed += 1;
    process.stdout.write(`FAILED  ${name}\n        ${String(error.stack ?? error).replaceAll("\n", "\n        ")}\n`);
  }
}

/** A device of that name that was heard, has a Read waiting for it, and is not registered any more. */
export async function makeGone(program, ports, name) {
  const load = spawn(program, ["load", "--server", `coap://127.0.0.1:${ports.coap}`, "--quiet", "--devices", "1", "--name", name, "--lifetime", "10", "--rate", "1", "--duration", "10m", "--stay"], { stdio: ["ignore", "ignore", "inherit"] });
  const ask = (path) => fetch(`http://127.0.0.1:${ports.http}/api/v1/endpoints/${name}${path}`);
  await eventually(`${name} is there`, async () => (await ask("/resources/3/0").catch(() => ({ ok: false }))).ok);
  await stop(load);
  // Nobody answers any more, so that it waits.
  expect((await ask("/resources/3/0/9?queue=true")).status === 202, "a Read is queued");
  await eventually(`${name} is gone`, async () => (await ask("")).status === 404, 60_000);
}

/** What every walk can be told on its command line, and `more` of its own. */
export function walkFlags(more = {}) {
  const { values } = parseArgs({
    options: {
      program: { type: "string" },
      shots: { type: "string", default: here("../shots") },
      browser: { type: "string", default: process.env.CHROMIUM ?? "/usr/bin/chromium" },
      /** The page from dist/, and only the API from the program. */
      dist: { type: "boolean", default: false },
      ...more,
    },
  });
  mkdirSync(values.shots, { recursive: true });
  return values;
}

/**
 * A walk from its beginning to its end: `begin` starts what it needs and says how each is ended, by `ends.push`; then `body` walks
 * with a browser through the page at `base`. Whatever goes wrong, all that was started is ended, and the score is the last line.
 */
export async function walk(flags, http, begin, body) {
  const ends = [];
  try {
    const begun = await begin(ends);
    const served = flags.dist ? await servePage(http) : undefined;
    if (served) ends.push(() => served.close());
    const browser = await launch(flags.browser);
    ends.push(() => browser.close());
    await body(browser, `http://127.0.0.1:${served?.port ?? http}`, begun);
  } catch (error) {
    score.failed += 1;
    process.stdout.write(`FAILED  ${error.stack ?? error}\n`);
  }
  for (const end of ends.reverse()) await Promise.resolve(end()).catch((error) => process.stderr.write(`${error}\n`));
  finish();
}

/** The same on a `lightship demo` of its own. */
export function walkDemo(flags, ports, body) {
  return walk(
    flags,
    ports.http,
    async (ends) => {
      const demo = await startDemo(findProgram(flags.program), ports);
      ends.push(() => stop(demo));
    },
    body,
  );
}

/** Prints the score as the last line and ends with what it says. */
export function finish() {
  if (misdeeds.length > 0) {
    score.failed += 1;
    process.stdout.write(`FAILED  no page throws, breaks the policy, or complains\n        ${misdeeds.slice(0, 20).join("\n        ")}\n`);
  } else {
    score.passed += 1;
    process.stdout.write("ok      no page throws, breaks the policy, or complains\n");
  }
  process.stdout.write(`${score.passed} passed, ${score.failed} failed\n`);
  process.exit(score.failed === 0 && score.passed > 0 ? 0 : 1);
}

export function expect(condition, message) {
  if (!condition) throw new Error(message);
}

/** Asks until it is true. */
export async function eventually(what, ask, maxMs = STEP_MAX_MS) {
  const end = Date.now() + maxMs;
  for (;;) {
    const value = await ask();
    if (value) return value;
    if (Date.now() > end) throw new Error(`not in ${maxMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** Collects what a page throws, and what the Content-Security-Policy blocks. */
export function watch(page, trouble) {
  page.on("pageerror", (error) => trouble.push(`exception at ${page.url()}: ${error.message}`));
  page.on("console", (message) => {
    if (message.type() === "error") trouble.push(`console: ${message.text()}`);
  });
}

/** Holds back the answers to one method at an address, or only the first: `stored` is when the server has done it, `answer()` lets the page know. */
export async function holdBack(page, address, method, { once = false } = {}) {
  let held = 0;
  const gates = {};
  const late = new Promise((resolve) => (gates.answer = resolve));
  const stored = new Promise((resolve) => (gates.stored = resolve));
  await page.route(address, async (route) => {
    if (route.request().method() !== method || (once && held > 0)) return route.continue();
    held += 1;
    const response = await route.fetch();
    gates.stored();
    await late;
    await route.fulfill({ response });
  });
  return { stored, answer: gates.answer, end: () => page.unroute(address) };
}

/** A longer page is kept as far as the window shows it. */
const PICTURE_MAX_PX = 6_000;
const VIEWS = [
  { name: "light", colorScheme: "light", viewport: undefined },
  { name: "dark", colorScheme: "dark", viewport: undefined },
  { name: "phone", colorScheme: "light", viewport: { width: 390, height: 844 } },
];
const RULES = { runOnly: { type: "tag", values: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"] }, resultTypes: ["violations"] };

function violationText(view, { id, help, nodes }) {
  const places = nodes.slice(0, 5).map((node) => `    ${node.target.join(" ")}\n      ${node.failureSummary.split("\n").slice(1).join(" ").trim()}\n      ${node.html.slice(0, 200)}`);
  return `${view}: ${id} (${help}), ${nodes.length} places\n${places.join("\n")}`;
}

/** Words that touch on one line though an element, or nothing, ends between them: markup swallows a space without a word. */
function runTogether(page) {
  return page.evaluate(() => {
    const found = new Set();
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const range = document.createRange();
    let before;
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
      range.selectNodeContents(node);
      const boxes = range.getClientRects();
      const [first, last] = [boxes[0], boxes[boxes.length - 1]];
      if (!first || first.width === 0) continue;
      const text = node.textContent;
      const touch = before && Math.abs(before.bottom - first.bottom) < 6 && Math.abs(first.left - before.right) < 1;
      if (touch && /[\p{L}\p{N}.,:;)]$/u.test(before.text) && /^[\p{L}\p{N}(/]/u.test(text)) found.add(`${before.text.slice(-24)}|${text.slice(0, 24)}`);
      before = { text, right: last.right, bottom: last.bottom };
    }
    return [...found];
  });
}

/**
 * Looks at the page as it stands: light, dark and as wide as a phone. Each look is kept as `NAME-VIEW.png`, must fit its
 * width, and must be without violations of WCAG 2.2 AA as far as axe can tell. The page is left as it was found, light.
 */
export async function look(page, shots, name, { fullPage = false } = {}) {
  mkdirSync(shots, { recursive: true });
  await settled(page);
  const before = page.viewportSize();
  const found = [];
  // What stands below the edge keeps the colours of the view before until it is drawn.
  await page.evaluate(() => {
    const sheet = new CSSStyleSheet();
    sheet.replaceSync("* { content-visibility: visible !important; }");
    document.adoptedStyleSheets = [sheet];
  });
  try {
    for (const { name: view, colorScheme, viewport } of VIEWS) {
      await page.setViewportSize(viewport ?? before);
      // Without movement, what is measured and what is kept is the end of it.
      await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
      await drawn(page);
      const height = await page.evaluate(() => document.documentElement.scrollHeight);
      const whole = fullPage && height <= PICTURE_MAX_PX;
      await page.screenshot({ path: `${shots}/${name}-${view}.png`, animations: "disabled", fullPage: whole, timeout: START_MAX_MS });
      const excess = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      if (excess > 0) found.push(`${view}: scrolls sideways by ${excess} px`);
      found.push(...(await runTogether(page)).map((text) => `${view}: words run together: ${text}`));
      await page.evaluate(axe.source);
      const { violations } = await page.evaluate((rules) => window.axe.run(document, rules), RULES);
      found.push(...violations.map((violation) => violationText(view, violation)));
    }
  } finally {
    await page.evaluate(() => (document.adoptedStyleSheets = []));
    await page.setViewportSize(before);
    await page.emulateMedia({ colorScheme: "light", reducedMotion: null });
  }
  expect(found.length === 0, `${name}:\n${found.join("\n")}`);
}
