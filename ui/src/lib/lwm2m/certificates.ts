// Certificates and public keys in words.

import type { Certificate, PublicKey } from "../api/security";
import type { StateText } from "./commands";
import { count } from "./ages";

/** How long it is still valid, and whether that is worth a look. */
export function validityText(one: Certificate, now: number): StateText {
  if (now > Date.parse(one.valid_until)) return { tone: "bad", text: "expired" };
  if (now < Date.parse(one.valid_from)) return { tone: "bad", text: "not valid yet" };
  return { tone: one.days_left < 30 ? "warn" : "good", text: `${one.days_left === 0 ? "less than a day" : count(one.days_left, "day")} left` };
}

export function keyText(key: PublicKey): string {
  const parts = [key.curve ? `${key.kind}, ${key.curve}` : key.kind];
  if (key.bits !== undefined && !key.curve) parts.push(count(key.bits, "bit"));
  return `${parts.join(", ")}${key.supported ? "" : ": not for devices here"}`;
}

/** Whose certificate it is, among those that came with it. */
export function signerText(one: Certificate, at: number, all: number): string {
  if (one.self_signed) return "by itself";
  if (one.signed_by === undefined) return all > 1 ? "by none of these" : "by its issuer, which is not here";
  return one.signed_by === at + 1 ? "by the next one" : `by number ${one.signed_by + 1}`;
}

/** What may be done with it; nothing said means anything. */
export const usageText = (said: string[] | undefined): string => (said === undefined ? "anything" : said.length === 0 ? "nothing" : said.join(", "));

export function authorityText(one: Certificate): string {
  if (!one.authority) return "no: it vouches for nobody";
  return one.path_length === undefined ? "yes" : `yes, with ${one.path_length} below it at most`;
}

/** SubjectPublicKeyInfo as PEM, as a credential wants it. */
export function publicKeyPem(key: PublicKey): string {
  const lines = key.spki_base64.match(/.{1,64}/g) ?? [];
  return `-----BEGIN PUBLIC KEY-----\n${lines.join("\n")}\n-----END PUBLIC KEY-----\n`;
}

/** A secret has no business leaving this machine, not even for a question. */
export const holdsPrivateKey = (text: string): boolean => /-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(text);

export const CERTIFICATE_FILES = ".pem,.crt,.cer,.der,.pub,.key,application/x-pem-file,application/pkix-cert";
/** What the server explains at once. */
export const CERTIFICATE_BYTES_MAX = 262_144;
