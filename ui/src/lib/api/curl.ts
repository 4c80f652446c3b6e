// The same request as a line for the shell: whatever the page can do, `curl` can do.

import type { Call } from "./client";
import { queryString } from "./client";
import { withoutSecrets } from "./secrets";

/** For a POSIX shell. */
export function shellQuote(text: string): string {
  if (/^[\w@%+=:,./-]+$/.test(text)) return text;
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

export function curlLine(origin: string, call: Call, withToken: boolean): string {
  const parts = ["curl"];
  if (call.method !== "GET") parts.push("-X", call.method);
  // The token itself never lands in a history or a chat.
  if (withToken) parts.push("-H", `"Authorization: Bearer $LIGHTSHIP_TOKEN"`);
  if (call.body !== undefined) {
    parts.push("-H", shellQuote("Content-Type: application/json"), "-d", shellQuote(JSON.stringify(withoutSecrets(call.body))));
  }
  if (call.xml !== undefined) parts.push("-H", shellQuote("Content-Type: application/xml"), "--data-binary", shellQuote(`@${call.xml.file}`));
  if (call.csv !== undefined) parts.push("-H", shellQuote("Content-Type: text/csv"), "--data-binary", shellQuote(`@${call.csv.file}`));
  if (call.bytes !== undefined) parts.push("-H", shellQuote("Content-Type: application/octet-stream"), "--data-binary", shellQuote(`@${call.bytes.file}`));
  parts.push(shellQuote(`${origin}/api/v1${call.path}${queryString(call.query)}`));
  return parts.join(" ");
}
