// What the numbers of the core objects mean. The registry says it only in prose, so the few that an operator looks at
// every day are listed here, by object and resource.

const LABELS: Record<string, Record<number, string>> = {
  "3/6": {
    0: "DC power",
    1: "Internal battery",
    2: "External battery",
    3: "Fuel cell",
    4: "Power over Ethernet",
    5: "USB",
    6: "Mains",
    7: "Solar",
  },
  "3/11": {
    0: "No error",
    1: "Low battery power",
    2: "External power off",
    3: "GPS failure",
    4: "Low signal strength",
    5: "Out of memory",
    6: "SMS failure",
    7: "No IP connectivity",
    8: "Peripheral malfunction",
  },
  "3/20": {
    0: "Normal",
    1: "Charging",
    2: "Charge complete",
    3: "Damaged",
    4: "Low battery",
    5: "Not installed",
    6: "Unknown",
  },
  "4/0": {
    0: "GSM",
    1: "TD-SCDMA",
    2: "WCDMA",
    3: "CDMA2000",
    4: "WiMAX",
    5: "LTE-TDD",
    6: "LTE-FDD",
    7: "NB-IoT",
    21: "WLAN",
    22: "Bluetooth",
    23: "IEEE 802.15.4",
    41: "Ethernet",
    42: "DSL",
    43: "PLC",
  },
  "5/3": { 0: "Idle", 1: "Downloading", 2: "Downloaded", 3: "Updating" },
  "5/5": {
    0: "Initial",
    1: "Updated successfully",
    2: "Not enough flash",
    3: "Out of memory",
    4: "Connection lost",
    5: "Integrity check failed",
    6: "Unsupported package type",
    7: "Invalid URI",
    8: "Update failed",
    9: "Unsupported protocol",
    10: "Update cancelled",
    11: "Update deferred",
  },
  "5/8": { 0: "CoAP", 1: "CoAPS", 2: "HTTP 1.1", 3: "HTTPS", 4: "CoAP over TCP", 5: "CoAP over TLS" },
  "5/9": { 0: "Pull only", 1: "Push only", 2: "Pull and push" },
};
LABELS["4/1"] = LABELS["4/0"] ?? {};

export function valueLabels(object: number, resource: number): Record<number, string> | undefined {
  return LABELS[`${object}/${resource}`];
}

/** What the server may do with a resource, from the letters of its definition. */
export function operationsText(letters: string): string {
  const words: Record<string, string> = { R: "read", W: "write", RW: "read, write", E: "execute" };
  return words[letters] ?? "internal";
}
