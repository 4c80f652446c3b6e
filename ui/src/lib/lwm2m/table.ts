// Values as a table for other programs (CSV, RFC 4180).

export interface TableRow {
  time: number;
  label: string;
  value: number | null;
}

const quoted = (text: string): string => {
  // What a program would take for a formula gets an apostrophe in front, as in the server's own tables.
  const safe = /^[=+\-@'\t\r\n]/.test(text) ? `'${text}` : text;
  return `"${safe.replaceAll('"', '""')}"`;
};

export function toCsv(rows: readonly TableRow[]): string {
  const lines = rows.filter((row) => row.value !== null).map((row) => `${new Date(row.time).toISOString()},${quoted(row.label)},${row.value}`);
  return `${["time,resource,value", ...lines].join("\r\n")}\r\n`;
}
