import { describe, expect, it } from "vitest";
import type { Account } from "../../src/lib/api/bootstrap";
import type { Credential, Handshake } from "../../src/lib/api/security";
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
