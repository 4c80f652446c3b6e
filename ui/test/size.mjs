// What the built page must keep: small at first load, nothing from outside, nothing inline.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const FIRST_LOAD_MAX = 150 * 1024;
const dist = fileURLToPath(new URL("../dist/", import.meta.url));
const failures = [];

const files = readdirSync(dist, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
let total = 0;
for (const entry of files) {
  const bytes = readFileSync(join(entry.parentPath, entry.name));
  const size = gzipSync(bytes, { level: 9 }).length;
  total += size;
  process.stdout.write(`${String(size).padStart(7)}  ${entry.name}\n`);
  // Names of XML vocabularies and links in messages of the framework are no resources.
  const addresses = bytes.toString("utf8").match(/(?:src|href)="https?:[^"]*|url\(["']?(?:https?:|data:)|@import/g);
  if (addresses) failures.push(`${entry.name} uses outside or inline resources: ${addresses.join(" ")}`);
}
if (total > FIRST_LOAD_MAX) failures.push(`${total} bytes compressed, allowed are ${FIRST_LOAD_MAX}`);

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

process.stdout.write(`${String(total).padStart(7)}  compressed, allowed are ${FIRST_LOAD_MAX}\n`);
for (const failure of failures) process.stderr.write(`FAILED ${failure}\n`);
process.exit(failures.length > 0 ? 1 : 0);
