import { expect, test } from "vitest";
import { withoutSecrets } from "../../src/lib/api/secrets";

test("no key is left of a credential or an account", () => {
  expect(withoutSecrets({ mode: "psk", identity: "a", key_hex: "0011" })).toEqual({ mode: "psk", identity: "a", key_hex: "KEY_IN_HEX" });
  const servers = [{ short_server_id: 1, uri: "coaps://a", mode: "x509", secret_key_pem: "-----BEGIN", certificate_pem: "-----BEGIN C", security: { 5: { value: "c2VjcmV0" }, 11: { value: 3 } } }];
  const shown = withoutSecrets({ servers });
  expect(shown).toEqual({ servers: [{ ...servers[0], secret_key_pem: "PRIVATE_KEY_PEM", security: { 5: { value: "KEY" }, 11: { value: 3 } } }] });
});

test("no key is left of what is written into Objects 0 and 21, however it is said", () => {
  const secret = "c2VjcmV0";
  const write = [
    { path: "/0/1/5", type: "opaque", value: secret },
    { path: "/0/1", resources: { 3: { value: "id" }, 5: { type: "opaque", value: secret } } },
    { path: "/0", instances: { 1: { resources: { 5: { value: secret } } } } },
    { path: "/21/2", resources: { 0: { value: secret }, 3: { value: "AES" } } },
    { path: "/0/1/5", instances: { 0: secret } },
  ];
  const text = JSON.stringify(withoutSecrets({ write }));
  expect(text).not.toContain(secret);
  expect(text).toContain('"value":"id"');
  expect(text).toContain('"AES"');
});

test("everything else stays as it is", () => {
  const body = { paths: ["/3/0/9"], nodes: [{ path: "/3/0/15", type: "string", value: "Europe/Lisbon" }, { path: "/1/0", resources: { 1: { value: 60 } } }], note: null };
  expect(withoutSecrets(body)).toEqual(body);
});
