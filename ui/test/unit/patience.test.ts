import { describe, expect, it } from "vitest";
import { patience, patienceInFull } from "../../src/lib/lwm2m/patience";

const usual = { ack_timeout_ms: 2000, ack_random_percent: 150, max_retransmit: 4, lost_after_ms: 93_000 };

describe("patience with a device", () => {
  it("is said in seconds and repeats", () => {
    expect(patience(usual)).toBe("2 to 3 s, 4 repeats");
    expect(patience({ ...usual, ack_timeout_ms: 1250, ack_random_percent: 100, max_retransmit: 1 })).toBe("1.25 s, 1 repeat");
  });

  it("names its end and its rule", () => {
    expect(patienceInFull(usual)).toMatch(/given up after 93 s\.$/);
    expect(patienceInFull({ ...usual, rule: ["nb-*", "x"] })).toMatch(/the rule for nb-\*, x\.$/);
  });
});
