// Keys go in and never come out: what stands in a line for a shell, or anywhere on the page, is free of them.

/** Members of documents and credentials that hold a key, and what stands in their place for people to replace. */
const MEMBERS: Record<string, string> = { key_hex: "KEY_IN_HEX", secret_key_pem: "PRIVATE_KEY_PEM" };
/** Resources that hold a key: Secret Key and the SMS keys of Security (0), Master Secret of OSCORE (21). */
const RESOURCE = /^\/(0\/\d+\/(5|7|8)|21\/\d+\/0)(\/\d+)?$/;
const HIDDEN = "KEY";

/** The same JSON without any key in it. */
export function withoutSecrets(body: unknown, path = ""): unknown {
  if (Array.isArray(body)) return body.map((item) => withoutSecrets(item, path));
  if (typeof body !== "object" || body === null) return RESOURCE.test(path) ? HIDDEN : body;
  const own = "path" in body && typeof body.path === "string" ? body.path : path;
  return Object.fromEntries(Object.entries(body).map(([name, value]) => [name, member(name, value, own)]));
}

function member(name: string, value: unknown, path: string): unknown {
  const stands = MEMBERS[name];
  if (stands !== undefined) return value === "" ? value : stands;
  // Below `instances` and `resources` the names are the rest of the path; `security` of an account is an instance of Object 0.
  if (name === "security" && typeof value === "object") return below(value, "/0/0");
  if (name === "resources" || name === "instances") return below(value, path);
  return name === "value" && RESOURCE.test(path) ? HIDDEN : name === "path" || name === "type" ? value : withoutSecrets(value, "");
}

function below(value: unknown, path: string): unknown {
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([id, item]) => [id, withoutSecrets(item, `${path}/${id}`)]));
}
