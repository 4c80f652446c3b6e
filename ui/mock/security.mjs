// The security part of the stand-in server: credentials without their keys, handshakes, and what the server is secured by.

import { createHash } from "node:crypto";

const minutes = (n) => new Date(Date.now() - n * 60_000).toISOString();
const digest = (text) => createHash("sha256").update(text).digest("hex");
const PEM = `-----BEGIN PUBLIC KEY-----\n${Buffer.from("a public key of the mock").toString("base64")}\n-----END PUBLIC KEY-----\n`;
const SUITE = "TLS_PSK_WITH_AES_128_CCM_8";

const sets = {
  lwm2m: new Map([
    ["demo-firmware", { mode: "psk", identity: "demo-firmware", key_set: true, changed_at: minutes(300) }],
    ["gate-1", { mode: "rpk", public_key_sha256: digest("gate-1"), changed_at: minutes(4000) }],
    ["meter-7", { mode: "x509", name: "meter-7.example", changed_at: minutes(9000) }],
    ["old-sensor", { mode: "nosec", changed_at: minutes(20_000), warnings: ["it may come without security: anybody can speak in its name"] }],
  ]),
  bootstrap: new Map(),
};

const failed = (age, more) => ({ time: minutes(age), result: "failed", server: "lwm2m", address: "192.0.2.7:40112", ...more });
const history = [
  failed(1, { mode: "psk", identity: "pump-3", reason: "unknown PSK identity 'pump-3'", count: 4, last_at: minutes(0.2) }),
  failed(9, { mode: "psk", identity: "demo-firmware", endpoint: "demo-firmware", address: "198.51.100.20:5684", reason: "the key is not that of the identity 'demo-firmware'" }),
  failed(15, { mode: "rpk", identity: digest("stray"), address: "[2001:db8::5]:49152", reason: "unknown raw public key" }),
  failed(31, { mode: "x509", identity: "meter-8.example", server_name: "lwm2m.example", reason: "certificate expired on 2026-11-01" }),
  failed(45, { reason: "no cipher suite in common", address: "203.0.113.9:1029" }),
  failed(50, { mode: "psk", identity: "\\x00\\xff\\x10", reason: "unknown PSK identity '\\x00\\xff\\x10'", address: "203.0.113.9:1030" }),
  { time: minutes(42), result: "opened", server: "lwm2m", address: "[::1]:41236", endpoint: "demo-firmware", mode: "psk", identity: "demo-firmware", cipher_suite: SUITE, cid: "0100f3a97c21", resumed: false },
  { time: minutes(43), result: "closed", server: "lwm2m", address: "[::1]:41230", endpoint: "demo-firmware", mode: "psk", identity: "demo-firmware", reason: "the device said goodbye" },
  { time: minutes(200), result: "opened", server: "bootstrap", address: "[::1]:41230", endpoint: "demo-firmware", mode: "psk", identity: "demo-firmware-bs", cipher_suite: SUITE, resumed: true },
].sort((a, b) => b.time.localeCompare(a.time));

const overview = {
  allow_nosec: true,
  cipher_suites: [SUITE, "TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"],
  cid: true,
  rrc: true,
  key_log: false,
  endpoint_rules: ["{cn}", "{identity}"],
  identities: [
    { server: "lwm2m", names: [], public_key_pem: PEM, public_key_sha256: digest(PEM), ephemeral: true },
    { server: "bootstrap", names: ["bs.example"], public_key_pem: PEM, public_key_sha256: digest(PEM), certificate: { names: ["bs.example"], sha256: digest("c"), pem: PEM } },
  ],
  trust: [{ names: ["Example Device CA"], sha256: digest("ca"), pem: PEM }],
  sessions: 1,
  handshakes: 0,
};

/** Keeps what is written, and gives what is shown of it. */
function put(set, endpoint, body, problem) {
  const before = set.get(endpoint);
  if (body.mode === "psk") {
    const other = [...set].find(([name, one]) => name !== endpoint && one.identity === body.identity);
    if (other) return problem(409, "identity-taken", "Another device has this identity.", `It is that of ${other[0]}.`);
    if (!body.key_hex && !before?.key_set) return problem(400, "invalid-credential", "The credential is not usable.", "There is no key.");
  }
  const { key_hex, public_key_pem, certificate_pem, ...shown } = body;
  if (body.mode === "psk") shown.key_set = true;
  if (public_key_pem) shown.public_key_sha256 = digest(public_key_pem);
  if (certificate_pem) shown.certificate_sha256 = digest(certificate_pem);
  set.set(endpoint, { ...shown, changed_at: new Date().toISOString() });
  return { status: before ? 200 : 201, body: { endpoint, ...set.get(endpoint) } };
}

function one(method, set, endpoint, body, problem) {
  if (method === "PUT") return put(set, endpoint, body, problem);
  if (!set.has(endpoint)) return problem(404, "no-credential", "The device has no credential.");
  if (method === "GET") return { status: 200, body: { endpoint, ...set.get(endpoint) } };
  set.delete(endpoint);
  return { status: 204, body: undefined };
}

export function securityRoute(method, url, body, { problem }) {
  const [, , , kind, name, verb] = url.pathname.split("/").map(decodeURIComponent);
  const list = (set) => {
    const filter = url.searchParams.get("filter") ?? "";
    const items = [...set].filter(([endpoint]) => endpoint.includes(filter)).map(([endpoint, credential]) => ({ endpoint, ...credential }));
    return { status: 200, body: { items: items.sort((a, b) => a.endpoint.localeCompare(b.endpoint)) } };
  };
  if (kind === "credentials") return name ? one(method, sets.lwm2m, name, body, problem) : list(sets.lwm2m);
  if (kind === "bootstrap-credentials") return list(sets.bootstrap);
  if (kind === "bootstrap" && verb === "credential") return one(method, sets.bootstrap, name, body, problem);
  if (kind === "security") {
    return { status: 200, body: name === "failures" ? { items: history.filter((item) => item.result === "failed") } : overview };
  }
  if (kind === "endpoints" && verb === "handshakes") return { status: 200, body: { items: history.filter((item) => item.endpoint === name) } };
  return undefined;
}
