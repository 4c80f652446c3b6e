// An event in a few words.

import type { Handshake } from "../../lib/api/security";
import type { ServerEvent } from "../../lib/api/types";
import { fullSpan } from "../../lib/lwm2m/ages";
import { codeText } from "../../lib/lwm2m/codes";
import { flatten, type Entry } from "../../lib/lwm2m/node";
import { MODE_TEXTS } from "../../lib/lwm2m/security";
import { formatDateTime, formatValue, printable } from "../../lib/lwm2m/values";

export type Tone = "good" | "bad" | "warn" | "sleep" | "accent" | "";

const TONES: Record<string, Tone> = {
  registered: "good",
  awake: "good",
  deregistered: "warn",
  expired: "bad",
  asleep: "sleep",
  command_queued: "sleep",
  command_moved: "sleep",
  command_done: "accent",
  bootstrap_started: "accent",
  bootstrap_finished: "good",
  session_opened: "good",
  handshake_failed: "bad",
  notified: "accent",
  sent: "accent",
};

export function tone(type: string): Tone {
  return TONES[type] ?? "";
}

/** `observation_cancelled` as people write it. */
export function typeText(type: string): string {
  return type === "sent" ? "send" : type.replaceAll("_", " ");
}

const SHOWN_MAX = 3;

/** What an event says beyond its type and device. `entryText` puts a value into words. */
export function describe(event: ServerEvent, entryText: (entry: Entry) => string = plainEntry): string {
  const parts: string[] = [];
  const { registration } = event;
  if (registration && (event.type === "registered" || event.type === "updated")) {
    parts.push(`LwM2M ${registration.lwm2m_version}, lifetime ${fullSpan(registration.lifetime_s)}, from ${registration.address}`);
  }
  if (event.command) {
    parts.push(`${event.command.operation.replaceAll("-", " ")} ${event.command.path}`);
    if (event.type === "command_done") parts.push(event.command.state);
    if (event.command.answer) parts.push(codeText(event.command.answer.code));
  }
  if (event.type === "asleep" && registration?.expected_wake) parts.push(`expected back ${formatDateTime(Date.parse(registration.expected_wake))}`);
  if (event.handshake) parts.push(...handshakeParts(event.handshake));
  if (event.name !== undefined) parts.push(`set ${printable(event.name)}`);
  const entries = flatten(event.content ?? []);
  if (entries.length > 0) {
    parts.push(entries.slice(0, SHOWN_MAX).map(entryText).join(", "));
    if (entries.length > SHOWN_MAX) parts.push(`and ${entries.length - SHOWN_MAX} more`);
  } else if (event.path !== undefined) {
    parts.push(event.path);
  }
  if (event.code && !event.code.startsWith("2.")) parts.push(codeText(event.code));
  const reason = event.reason ?? event.handshake?.reason;
  if (reason) parts.push(printable(reason));
  return parts.join(" · ");
}

function handshakeParts({ resumed, mode, identity, cipher_suite, address, server }: Handshake): string[] {
  const who = [mode ? MODE_TEXTS[mode].toLowerCase() : "", identity ? printable(identity) : ""].filter((part) => part !== "").join(" ");
  const parts = [who, resumed ? "resumed" : "", cipher_suite ?? "", `from ${address}`, server === "bootstrap" ? "at the Bootstrap-Server" : ""];
  return parts.filter((part) => part !== "");
}

function plainEntry(entry: Entry): string {
  return `${entry.path} = ${formatValue(entry.value, entry.type)}`;
}
