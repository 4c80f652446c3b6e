// Content formats, and with which versions of LwM2M a server may use them (TS_Core 7.4, C.1).

export interface FormatChoice {
  name: string;
  /** Why it cannot be chosen for this device. */
  reason?: string;
}

interface Format {
  name: string;
  since: string;
  /** The last version that has it. */
  until?: string;
  /** Carries several resources, so a composite operation can use it. */
  composite?: boolean;
}

const FORMATS: Format[] = [
  { name: "text", since: "1.0" },
  { name: "opaque", since: "1.0" },
  { name: "cbor", since: "1.1" },
  { name: "tlv", since: "1.0" },
  { name: "json", since: "1.0", until: "1.0" },
  { name: "senml-json", since: "1.1", composite: true },
  { name: "senml-cbor", since: "1.1", composite: true },
  { name: "lwm2m-cbor", since: "1.2", composite: true },
];

export function formatChoices(version: string, kind: "single" | "composite" = "single"): FormatChoice[] {
  return FORMATS.filter((format) => kind === "single" || format.composite).map(({ name, since, until }) => {
    if (version < since) return { name, reason: `came with LwM2M ${since}` };
    if (until !== undefined && version > until) return { name, reason: `went with LwM2M ${until}` };
    return { name };
  });
}
