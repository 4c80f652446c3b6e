// Where a device departs from the standard and is served all the same: what the server counted, in plain words.

export interface Deviation {
  kind: string;
  count: number;
  sentence: string;
}

const SENTENCES: Record<string, string> = {
  "no-content-format": "It sends data without saying in which format; the server works it out.",
  "other-format": "It answers in another format than it was asked for.",
  "old-format-number": "It gives a format the number it had before formats had official numbers.",
  "other-code": "It answers with a code that the standard does not give to the operation.",
  "unknown-parameter": "It registers with a parameter that no version of LwM2M knows.",
  "sloppy-list": "The list of its objects is not written as the standard wants it.",
  "sloppy-links": "The links that it answers a Discover with are not written as the standard wants them.",
  "other-case": "It writes a path of the server in other letters, such as /RD.",
  "same-sequence": "It gives two notifications the same number, so that their order cannot be told by it.",
  "wrong-type": "It gives a value of another type than the object's definition says.",
  "wrong-multiplicity": "It gives one value where the definition has several, or several where it has one.",
  "outside-range": "It gives a value outside the range of the object's definition.",
  "missing-slash": "It names paths without their first slash.",
  undecodable: "It sent data that could not be understood, or that was not asked for.",
};

function describe(kind: string): string {
  return SENTENCES[kind] ?? "It departs from the standard here, and is served all the same.";
}

function text(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}

/** Reads `{kind: count}` and `[{"kind": …, "count": …}]`; shows what it does not know by its name. */
export function deviations(shape: unknown): Deviation[] {
  if (typeof shape !== "object" || shape === null) return [];
  const found: Deviation[] = [];
  const add = (kind: string | undefined, count: unknown, said: string | undefined): void => {
    const number = Number(count ?? 1);
    if (kind !== undefined && Number.isFinite(number) && number > 0) {
      found.push({ kind, count: number, sentence: said ?? describe(kind) });
    }
  };
  if (Array.isArray(shape)) {
    for (const item of shape as unknown[]) {
      if (typeof item === "string") add(item, 1, undefined);
      if (typeof item !== "object" || item === null) continue;
      const fields = item as Record<string, unknown>;
      const kind = text(fields["kind"]) ?? text(fields["what"]) ?? text(fields["type"]) ?? text(fields["name"]);
      add(kind, fields["count"], text(fields["detail"]) ?? text(fields["description"]));
    }
  } else {
    for (const [kind, count] of Object.entries(shape)) add(kind, count, undefined);
  }
  return found.sort((a, b) => b.count - a.count || (a.kind < b.kind ? -1 : 1));
}
