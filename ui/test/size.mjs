// What the built page must keep: small at first load, nothing from outside, nothing inline.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const FIRST_LOAD_MAX = 300 * 1024;
// What is loaded only where it is used, each by itself.
const LATER_MAX = 100 * 1024;
const dist = fileURLToPath(new URL("../dist/", import.meta.url));
const failures = [];

const files = readdirSync(dist, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
const firstLoad = loadedFirst();
let total = 0;
for (const entry of files) {
  const bytes = readFileSync(join(entry.parentPath, entry.name));
  const size = gzipSync(bytes, { level: 9 }).length;
  const later = !firstLoad.has(entry.name);
  if (!later) total += size;
  if (later && size > LATER_MAX) failures.push(`${entry.name} is ${size} bytes compressed, allowed for what is loaded later are ${LATER_MAX}`);
  process.stdout.write(`${String(size).padStart(7)}  ${entry.name}${later ? " (loaded later)" : ""}\n`);
  // Names of XML vocabularies and links in messages of the framework are no resources.
  const addresses = bytes.toString("utf8").match(/(?:src|href)="https?:[^"]*|url\(["']?(?:https?:|data:)|@import/g);
  if (addresses) failures.push(`${entry.name} uses outside or inline resources: ${addresses.join(" ")}`);
}
if (total > FIRST_LOAD_MAX) failures.push(`${total} bytes compressed at first load, allowed are ${FIRST_LOAD_MAX}`);

/** The names of what index.html asks for, and of what that imports before it runs. */
function loadedFirst() {
  const first = new Set(["index.html"]);
  const follow = (name) => {
    if (first.has(name)) return;
    first.add(name);
    const entry = files.find((file) => file.name === name);
    if (!entry) return void failures.push(`${name} is asked for and is not there`);
    if (!name.endsWith(".js")) return;
    const text = readFileSync(join(entry.parentPath, entry.name), "utf8");
    for (const [, other] of text.matchAll(/(?:\bfrom|\bimport)\s*["']\.\/([^"']+)["']/g)) follow(other);
  };
  const html = readFileSync(join(dist, "index.html"), "utf8");
  for (const [, address] of html.matchAll(/(?:src|href)="\.\/([^"]+)"/g)) follow(address.split("/").at(-1));
  return first;
}

const html = readFileSync(join(dist, "index.html"), "utf8");
for (const tag of html.match(/<script\b[^>]*>/g) ?? []) {
  if (!tag.includes("src=")) failures.push(`inline script: ${tag}`);
}
if (/<style\b|\sstyle=|\son[a-z]+=/.test(html)) failures.push("index.html has inline style or handlers");
// A template with a style attribute would be blocked by the Content-Security-Policy without a word.
for (const entry of files.filter((file) => file.name.endsWith(".js"))) {
  const inline = readFileSync(join(entry.parentPath, entry.name), "utf8").match(/<[a-z]+[^>`]* style="[^"]*"/g);
  if (inline) failures.push(`${entry.name} has style attributes in templates: ${inline.join(" ")}`);
}

process.stdout.write(`${String(total).padStart(7)}  compressed at first load, allowed are ${FIRST_LOAD_MAX}\n`);
for (const failure of failures) process.stderr.write(`FAILED ${failure}\n`);
process.exit(failures.length > 0 ? 1 : 0);
