// The words of a filter, as far as the page helps with them; what they mean the server says.

export interface Key {
  key: string;
  about: string;
  /** Put behind the key at first. */
  sign: string;
  values?: readonly string[];
}

export const KEYS: readonly Key[] = [
  { key: "state", sign: ":", about: "whether it can be reached", values: ["awake", "asleep", "late", "lost"] },
  { key: "lost", sign: "<", about: "not registered any more, for less than so long", values: ["1h", "1d", "7d"] },
  { key: "firmware", sign: ":", about: "firmware version, last known", values: [] },
  { key: "model", sign: ":", about: "model, last known" },
  { key: "manufacturer", sign: ":", about: "manufacturer, last known" },
  { key: "serial", sign: ":", about: "serial number, last known" },
  { key: "battery", sign: "<", about: "battery level in %, last known", values: ["20", "50"] },
  { key: "lwm2m", sign: ":", about: "version of LwM2M", values: ["1.0", "1.1", "1.2"] },
  { key: "object", sign: ":", about: "has this Object, or Object Instance", values: ["3303", "3303/0", "5"] },
  { key: "updated", sign: "<", about: "heard less than so long ago", values: ["10m", "1h", "1d"] },
  { key: "registered", sign: "<", about: "registered less than so long ago", values: ["1h", "1d", "7d"] },
  { key: "lifetime", sign: ">", about: "lifetime in seconds", values: ["3600", "86400"] },
  { key: "security", sign: ":", about: "how it proved who it is", values: ["nosec", "psk", "rpk", "x509"] },
  { key: "queue", sign: ":", about: "Queue Mode", values: ["true", "false"] },
  { key: "binding", sign: ":", about: "transports", values: ["U"] },
  { key: "address", sign: ":", about: "address or network", values: ["10.0.0.0/8"] },
  { key: "hardware", sign: ":", about: "hardware version, last known" },
  { key: "software", sign: ":", about: "software version, last known" },
  { key: "name", sign: ":", about: "part of the name" },
];

export interface Offer {
  /** What the word becomes. */
  text: string;
  about: string;
}

/** The word that the cursor is in: from a blank to the cursor. Within quotation marks nothing is offered. */
export function wordAt(text: string, cursor: number): { from: number; word: string } {
  const before = text.slice(0, cursor);
  const from = before.search(/\S*$/);
  return { from, word: before.slice(from) };
}

export function offers(text: string, cursor: number): Offer[] {
  const { word } = wordAt(text, cursor);
  if ((text.slice(0, cursor).match(/"/g)?.length ?? 0) % 2 === 1) return [];
  const turned = word.startsWith("-") ? "-" : "";
  const bare = word.slice(turned.length);
  const signed = /^([a-z0-9]+)(:|=|<=?|>=?|!=)(.*)$/.exec(bare);
  if (signed) {
    const [, name = "", sign = "", value = ""] = signed;
    const known = KEYS.find((key) => key.key === name);
    const values = known?.values ?? [];
    return values
      .filter((one) => one.startsWith(value) && one !== value)
      .map((one) => ({ text: `${turned}${name}${sign}${one}`, about: known?.about ?? "" }));
  }
  return KEYS.filter((key) => key.key.startsWith(bare) && (bare !== "" || text.trim() === "")).map((key) => ({
    text: `${turned}${key.key}${key.sign}`,
    about: key.about,
  }));
}

/** The text with the word at the cursor replaced, and where the cursor is then. */
export function accept(text: string, cursor: number, offer: string): { text: string; cursor: number } {
  const { from } = wordAt(text, cursor);
  const isWhole = !/[:<>=]$/.test(offer);
  const rest = text.slice(cursor).replace(/^\S*/, "");
  const head = text.slice(0, from) + offer + (isWhole && !rest.startsWith(" ") ? " " : "");
  return { text: head + rest, cursor: head.length };
}

/** A value as a filter has it: quoted where it needs to be. */
export function quoted(value: string): string {
  return /^[^\s"\\*]+$/.test(value) ? value : `"${value.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`;
}

/** The letters that a problem's pointer is about, as `filter:5-9`. */
export function mistakeOf(pointer: string | undefined): { from: number; to: number } | undefined {
  const found = /^filter:(\d+)-(\d+)$/.exec(pointer ?? "");
  return found ? { from: Number(found[1]), to: Number(found[2]) } : undefined;
}
