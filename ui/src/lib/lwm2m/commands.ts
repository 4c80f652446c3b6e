// What became of a command, in words.

import type { Command } from "../api/types";
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

/** Why it stands as it does. */
export function whyText(command: Command, asleep: boolean): string {
  if (command.reason) return command.reason;
  const { answer } = command;
  if (answer) return [codeText(answer.code), codeMeaning(answer.code), answer.diagnostic].filter(Boolean).join(" · ");
  switch (command.state) {
    case "waiting":
      if (command.attempts > 0) return "It was sent and not answered; it goes out again when the device shows itself.";
      return asleep ? "The device sleeps." : "Others go first; the device gets one at a time.";
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
