import type { Registration } from "../../lib/api/types";

export type SortKey = "endpoint" | "state" | "version" | "lifetime" | "seen" | "address";

const names = new Intl.Collator("en", { numeric: true, sensitivity: "base" });

/** Names with numbers in them sort as people count: `meter-9` before `meter-10`. */
export function compareDevices(
  a: Registration,
  b: Registration,
  key: SortKey,
  heard: (device: Registration) => number,
): number {
  const byName = names.compare(a.endpoint, b.endpoint);
  switch (key) {
    case "endpoint":
      return byName;
    case "state":
      return names.compare(a.state, b.state) || byName;
    case "version":
      return names.compare(a.lwm2m_version, b.lwm2m_version) || byName;
    case "lifetime":
      return a.lifetime_s - b.lifetime_s || byName;
    case "seen":
      return heard(a) - heard(b) || byName;
    case "address":
      return names.compare(a.address, b.address) || byName;
  }
}
