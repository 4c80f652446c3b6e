// What the walks through the UI share: starting and stopping programs, a browser, and keeping the score.

import { spawn } from "node:child_process";
import { connect, createServer } from "node:net";
import { createSocket } from "node:dgram";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
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

export function launch(executablePath) {
  return chromium.launch({ executablePath, headless: true, args: BROWSER_ARGS });
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
