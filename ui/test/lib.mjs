// What the walks through the UI share: starting and stopping programs, a browser, and keeping the score.

import { spawn } from "node:child_process";
import { existsSync, mkdirSync, statSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createServer as createHttpServer, request } from "node:http";
import { connect, createServer } from "node:net";
import { createSocket } from "node:dgram";
import { createInterface } from "node:readline";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
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

/** A browser in which every page is watched, whoever opens it. */
export async function launch(executablePath) {
  const browser = await chromium.launch({ executablePath, headless: true, args: BROWSER_ARGS });
  const make = browser.newContext.bind(browser);
  browser.newContext = async (options) => {
    const context = await make(options);
    await context.addInitScript(() =>
      document.addEventListener("securitypolicyviolation", ({ effectiveDirective, blockedURI, sourceFile, lineNumber }) =>
        console.error(`The policy forbids: ${effectiveDirective} ${blockedURI} at ${sourceFile}:${lineNumber}`),
      ),
    );
    context.on("weberror", (found) => misdeeds.push(`exception: ${found.error().message}`));
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
  page.on("pageerror", (error) => trouble.push(`exception: ${error.message}`));
  page.on("console", (message) => {
    if (message.type() === "error") trouble.push(`console: ${message.text()}`);
  });
}

/** Holds back the answers to one method at an address: `stored` is when the server has done it, `answer()` lets the page know. */
export async function holdBack(page, address, method) {
  const gates = {};
  const late = new Promise((resolve) => (gates.answer = resolve));
  const stored = new Promise((resolve) => (gates.stored = resolve));
  await page.route(address, async (route) => {
    if (route.request().method() !== method) return route.continue();
    const response = await route.fetch();
    gates.stored();
    await late;
    await route.fulfill({ response });
  });
  return { stored, answer: gates.answer, end: () => page.unroute(address) };
}

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

/**
 * Looks at the page as it stands: light, dark and as wide as a phone. Each look is kept as `NAME-VIEW.png`, must fit its
 * width, and must be without violations of WCAG 2.2 AA as far as axe can tell. The page is left as it was found, light.
 */
export async function look(page, shots, name, { fullPage = false } = {}) {
  mkdirSync(shots, { recursive: true });
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
      await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
      await page.screenshot({ path: `${shots}/${name}-${view}.png`, animations: "disabled", fullPage });
      const excess = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      if (excess > 0) found.push(`${view}: scrolls sideways by ${excess} px`);
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
