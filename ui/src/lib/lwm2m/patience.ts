// How long the server waits for a device, in words.
import type { Transmission } from "../api/types";
import { count } from "./ages";

const seconds = (ms: number): string => String(Number((ms / 1000).toFixed(2)));

/** `2 to 3 s, 4 repeats` */
export function patience(counts: Transmission): string {
  const first = seconds(counts.ack_timeout_ms);
  const last = seconds((counts.ack_timeout_ms * counts.ack_random_percent) / 100);
  return `${first === last ? first : `${first} to ${last}`} s, ${count(counts.max_retransmit, "repeat")}`;
}

/** The same as a sentence, with the rule that says so. */
export function patienceInFull(counts: Transmission): string {
  const rule = counts.rule ? ` It is the rule for ${counts.rule.join(", ")}.` : "";
  return `A request that is not acknowledged in this time is repeated, each time after twice as long, and given up after ${seconds(counts.lost_after_ms)} s.${rule}`;
}
