import { describe, expect, it } from "vitest";
import type { Account } from "../../src/lib/api/bootstrap";
import type { Certificate, Credential, Handshake } from "../../src/lib/api/security";
import { authorityText, holdsPrivateKey, keyText, publicKeyPem, signerText, usageText, validityText } from "../../src/lib/lwm2m/certificates";
import { bodyOf, claimant, claimed, credentialOf, credentialText, deviceLine, draftError, draftOf, draftWarning } from "../../src/lib/lwm2m/security";
import { parseRoute, securityHref } from "../../src/lib/state/route";

const DIGEST = "0123456789abcdef".repeat(4);
const KEPT: Credential = { mode: "psk", identity: "a", key_set: true };

describe("credentials", () => {
  it("are written back as they are shown, with the key that is kept", () => {
    for (const shown of [
      KEPT,
      { mode: "psk", identity_hex: "00ff", key_set: true },
      { mode: "rpk", public_key_sha256: DIGEST },
      { mode: "x509", certificate_sha256: DIGEST },
      { mode: "x509", name: "n" },
      { mode: "x509" },
      { mode: "nosec" },
    ] satisfies Credential[]) {
      const draft = draftOf("e", shown);
      expect(draftError(draft, shown)).toBeUndefined();
      expect(bodyOf(draft)).toEqual(shown);
    }
  });

  it("begin with the endpoint name as identity, and need a key", () => {
    const draft = draftOf("e", undefined);
    expect([draft.mode, draft.identity]).toEqual(["psk", "e"]);
    expect(draftError(draft, undefined)).toBe("The key is missing.");
    expect(bodyOf({ ...draft, key: "00ff" })).toEqual({ mode: "psk", identity: "e", key_hex: "00ff" });
  });

  it("are refused with the reason before anyone is asked", () => {
    const of = (change: object) => draftError({ ...draftOf("e", KEPT), ...change }, KEPT);
    expect(of({ identity: "" })).toContain("missing");
    expect(of({ identity: "ü".repeat(65) })).toContain("130 bytes");
    expect(of({ identity: "xyz", hex: true })).toContain("no hex");
    expect(of({ key: "abc" })).toContain("no hex");
    expect(of({ key: "00".repeat(65) })).toContain("65 bytes");
    expect(of({ mode: "rpk", publicKey: "x" })).toContain("PEM");
    expect(of({ mode: "rpk", publicKey: "-----BEGIN PUBLIC KEY-----" })).toBeUndefined();
    expect(of({ mode: "x509", proof: "name" })).toContain("missing");
    expect(of({ mode: "x509", proof: "certificate", certificate: "x" })).toContain("PEM");
    expect(draftError(draftOf("e", KEPT), undefined)).toBe("The key is missing.");
  });

  it("warn of what can be guessed", () => {
    const draft = draftOf("e", undefined);
    expect(draftWarning({ ...draft, key: "0011" })).toContain("2 bytes");
    expect(draftWarning({ ...draft, key: "00".repeat(16) })).toBeUndefined();
    expect(draftWarning({ ...draft, mode: "nosec" })).toContain("Anybody");
  });

  it("come as a line for a shell that no identity can break out of", () => {
    expect(deviceLine("lwm2m", "h", "e", "-x '; rm -rf ~ #", "00")).toBe(
      "lightship device --endpoint=e --server coaps://h '--psk-identity=-x '\\''; rm -rf ~ #' --psk-key 00",
    );
    expect(deviceLine("bootstrap", "h", "e", "i", "00")).toContain("--bootstrap coaps://h:5784");
  });

  it("say in one line what they are", () => {
    expect(credentialText({ mode: "rpk", public_key_sha256: DIGEST })).toBe("SHA-256 01234567…89abcdef");
    expect(credentialText({ mode: "x509" })).toBe("its endpoint name");
  });
});

describe("accounts of bootstrap documents", () => {
  const account = (more: object): Account => ({ short_server_id: 1, uri: "coaps://h", mode: "psk", ...more });

  it("bring the credential that lets the device in", () => {
    expect(credentialOf([account({ identity: "i", key_hex: "00" })])).toEqual({ mode: "psk", identity: "i", key_hex: "00" });
    expect(credentialOf([account({ mode: "rpk", public_key_pem: "p", secret_key_pem: "s" })])).toEqual({ mode: "rpk", public_key_pem: "p" });
  });

  it("bring none where the key is an old one, or whose it is cannot be told", () => {
    expect(credentialOf([account({ identity: "i", key_set: true })])).toBeUndefined();
    const one = account({ identity: "i", key_hex: "00" });
    expect(credentialOf([one, one])).toBeUndefined();
    expect(credentialOf([account({ mode: "nosec" })])).toBeUndefined();
  });
});

describe("claims of failed handshakes", () => {
  const of = (more: Partial<Handshake>): Handshake => ({ time: "", result: "failed", server: "lwm2m", address: "", ...more });

  it("become drafts where something can be made of them", () => {
    expect(claimed(of({ mode: "psk", identity: "x" }))).toEqual({ mode: "psk", identity: "x" });
    expect(claimed(of({ mode: "rpk", identity: `sha256:${DIGEST}` }))).toEqual({ mode: "rpk", publicKey: DIGEST });
    expect(claimed(of({ mode: "x509", identity: "n" }))).toEqual({ mode: "x509", proof: "name", name: "n" });
    expect(claimed(of({ mode: "x509", identity: "n", reason: "issuer 'CN=x' is not trusted" }))).toBeDefined();
    for (const reason of ["certificate 'n' expired on 2026-11-01", "certificate 'n' is not valid before 2027-01-01", "the signature of a certificate is wrong"]) {
      expect(claimed(of({ mode: "x509", identity: "n", reason }))).toBeUndefined();
    }
    expect(claimed(of({ mode: "psk", identity: "\\x00" }))).toBeUndefined();
    expect(claimed(of({ mode: "rpk", identity: "?" }))).toBeUndefined();
    expect(claimed(of({ mode: "psk", identity: "x", result: "opened" }))).toBeUndefined();
    expect(claimed(of({}))).toBeUndefined();
    expect(claimant(of({ endpoint: "e", identity: "x" }))).toBe("e");
  });

  it("travel in the address of the page", () => {
    const claim = { server: "bootstrap", mode: "psk", identity: "a/b ü" } as const;
    expect(parseRoute(securityHref("a/b ü", claim))).toEqual({ page: "security", endpoint: "a/b ü", claim });
    expect(parseRoute(securityHref("e"))).toEqual({ page: "security", endpoint: "e" });
    expect(parseRoute(securityHref())).toEqual({ page: "security" });
    expect(parseRoute("#/security/devices/e/nobody/psk/x")).toEqual({ page: "unknown" });
    expect(parseRoute("#/security/devices/e/lwm2m/psk")).toEqual({ page: "unknown" });
  });
});

describe("certificates in words", () => {
  const one: Certificate = {
    version: 3, subject: "CN=a", issuer: "CN=b", serial: "01", valid_from: "2026-01-01T00:00:00.000Z", valid_until: "2026-02-01T00:00:00.000Z", days_left: 12,
    public_key: { kind: "EC", curve: "P-384", bits: 384, supported: false, spki_hex: "", spki_base64: "A".repeat(70), sha256: "" },
    signature_algorithm: "", authority: true, self_signed: false, sha256: "", pem: "", warnings: [],
  };
  const at = (day: string): number => Date.parse(day);
  it("validity is told by the day that is looked at", () => {
    expect(validityText(one, at("2025-12-31"))).toEqual({ tone: "bad", text: "not valid yet" });
    expect(validityText(one, at("2026-01-20"))).toEqual({ tone: "warn", text: "12 days left" });
    expect(validityText({ ...one, days_left: 0 }, at("2026-01-31")).text).toBe("less than a day left");
    expect(validityText(one, at("2026-02-02"))).toEqual({ tone: "bad", text: "expired" });
  });
  it("who has signed it, what its key is, and what it is for", () => {
    expect(signerText({ ...one, signed_by: 1 }, 0, 3)).toBe("by the next one");
    expect(signerText({ ...one, signed_by: 2 }, 0, 3)).toBe("by number 3");
    expect(signerText(one, 0, 1)).toBe("by its issuer, which is not here");
    expect(keyText(one.public_key)).toBe("EC, P-384: not for devices here");
    expect(usageText(undefined)).toBe("anything");
    expect(authorityText({ ...one, path_length: 0 })).toBe("yes, with 0 below it at most");
    expect(publicKeyPem(one.public_key)).toBe(`-----BEGIN PUBLIC KEY-----\n${"A".repeat(64)}\nAAAAAA\n-----END PUBLIC KEY-----\n`);
  });
  it("a private key is told from a certificate", () => {
    for (const label of ["PRIVATE KEY", "EC PRIVATE KEY", "ENCRYPTED PRIVATE KEY"]) expect(holdsPrivateKey(`x\n-----BEGIN ${label}-----\n`)).toBe(true);
    expect(holdsPrivateKey("-----BEGIN PUBLIC KEY-----")).toBe(false);
  });
});
