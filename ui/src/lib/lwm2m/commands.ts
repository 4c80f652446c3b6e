// What became of a command, in words.

import type { Command } from "../api/types";
import { count } from "./ages";
import { codeMeaning, codeText } from "./codes";

export interface StateText {
  tone: "good" | "bad" | "warn" | "sleep" | "accent" | "";
  text: string;
}

const STATES: Record<string, StateText> = {
  waiting: { tone: "sleep", text: "waiting" },
  sent: { tone: "accent", text: "sent" },
  done: { tone: "good", text: "done" },
  refused: { tone: "bad", text: "refused" },
  expired: { tone: "warn", text: "expired" },
  cancelled: { tone: "", text: "cancelled" },
  superseded: { tone: "", text: "superseded" },
};

export function stateText(state: string): StateText {
  return STATES[state] ?? { tone: "", text: state };
}

/** Whether a device is there to take a command. */
export type Whereabouts = "awake" | "asleep" | "gone";

/** Why it stands as it does. `ahead` = those that leave before it, in their order. */
export function whyText(command: Command, where: Whereabouts, ahead: readonly Command[] = []): string {
  const waits = command.state === "waiting" ? waitText(command, where, ahead) : "";
  if (command.reason) return [command.reason, waits].filter(Boolean).join(" ");
  if (waits !== "") return waits;
  const { answer } = command;
  if (answer) return [codeText(answer.code), codeMeaning(answer.code), answer.diagnostic].filter(Boolean).join(" · ");
  switch (command.state) {
    case "sent":
      return "On its way; the device has not answered yet.";
    case "expired":
      return "Its time ran out before the device took it.";
    case "cancelled":
      return "Taken back before the device had it.";
    case "superseded":
      return "A later write to the same resource took its place.";
    default:
      return "";
  }
}

/** What one that waits waits for. */
function waitText(command: Command, where: Whereabouts, ahead: readonly Command[]): string {
  const next = ahead.at(-1);
  if (where === "gone") return "The device is not registered; it leaves when the device registers again.";
  if (where === "asleep") return next ? `The device sleeps, and ${count(ahead.length, "command")} ${ahead.length === 1 ? "goes" : "go"} first.` : "The device sleeps.";
  if (command.next_attempt_at) return "It goes out again after its pause, or as soon as the device shows itself.";
  const paused = ahead.find((other) => other.state === "waiting" && other.next_attempt_at);
  if (paused) return `It keeps its turn behind ${paused.operation.replaceAll("-", " ")} ${targets(paused).join(" ")}, which pauses.`;
  if (ahead.some((other) => other.state === "sent")) return "Another is on its way; the device gets one at a time.";
  return next ? `${count(ahead.length, "command")} ${ahead.length === 1 ? "goes" : "go"} first; the device gets one at a time.` : "It leaves next.";
}

/** What a command is about: its path, or those of a composite operation. */
export function targets(command: Command): string[] {
  return command.paths !== undefined && command.paths.length > 0 ? command.paths : [command.path];
}
