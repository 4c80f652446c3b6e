// Bytes as base64, hex and text.

/** Base64 (standard alphabet) to bytes; undefined when it is none. */
export function base64ToBytes(text: string): Uint8Array | undefined {
  try {
    return Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
  } catch {
    return undefined;
  }
}

export function bytesToBase64(bytes: Uint8Array): string {
  let binary = "";
  for (const byte of bytes) binary += String.fromCharCode(byte);
  return btoa(binary);
}

export function bytesToHex(bytes: Uint8Array, separator = " "): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(separator);
}

/** Hex digits, with blanks, colons or a leading 0x allowed; undefined when it is none. */
export function hexToBytes(text: string): Uint8Array | undefined {
  const digits = text.replace(/^\s*0x/i, "").replace(/[\s:]/g, "");
  if (digits.length % 2 !== 0 || !/^[0-9a-f]*$/i.test(digits)) return undefined;
  return Uint8Array.from({ length: digits.length / 2 }, (_, i) => parseInt(digits.slice(2 * i, 2 * i + 2), 16));
}

/** The text, when the bytes are UTF-8 that prints. */
export function bytesToText(bytes: Uint8Array): string | undefined {
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    return /^[^\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]*$/.test(text) ? text : undefined;
  } catch {
    return undefined;
  }
}

export interface HexRow {
  /** Where the row begins, in hex. */
  at: string;
  hex: string;
  /** What prints of it; a point for the rest. */
  text: string;
}

/** Bytes as rows of eight. */
export function hexRows(bytes: Uint8Array): HexRow[] {
  const rows: HexRow[] = [];
  for (let at = 0; at < bytes.length; at += 8) {
    const part = bytes.subarray(at, at + 8);
    const text = Array.from(part, (byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : ".")).join("");
    rows.push({ at: at.toString(16).padStart(4, "0"), hex: bytesToHex(part), text });
  }
  return rows;
}
