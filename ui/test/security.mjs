// Credentials, sessions and handshakes: who may prove to be whom, and who could not.

import { check, eventually, expect, holdBack, settled } from "./lib.mjs";

const HEX = /^[0-9a-f]{32}$/;

export async function security({ base, open, shot }) {
  const page = await open(base, "/security");
  const kept = async (path) => (await fetch(`${base}/api/v1/${path}`)).json();
  const failures = page.getByRole("list", { name: "Failed handshakes" }).getByRole("listitem");
  await check("failed handshakes stand with their reasons, whoever they came from", async () => {
    await failures.filter({ hasText: "unknown PSK identity 'pump-3'" }).waitFor();
    const texts = await failures.allInnerTexts();
    expect(texts[0].includes("failed 4×") && texts.some((text) => text.includes("certificate expired on 2026-11-01")), texts.join("\n"));
    const escaped = failures.filter({ hasText: "\\x00\\xff\\x10" }).first();
    expect((await escaped.getByRole("link").count()) === 0, "nothing can be made of an identity that was no text");
    const expired = failures.filter({ hasText: "certificate expired on 2026-11-01" }).first();
    expect((await expired.getByRole("link").count()) === 0, "no credential heals a certificate that has expired");
    await shot(page, "security-light");
  });
  const card = page.getByRole("region", { name: "Credential for the LwM2M Server" });
  await check("with one press a claimed identity becomes a credential, with a random key that is shown once", async () => {
    await failures.first().getByRole("link", { name: "Add this identity as credential" }).click();
    await page.getByRole("heading", { name: "pump-3" }).waitFor();
    expect((await card.getByLabel("Identity", { exact: true }).inputValue()) === "pump-3", "the identity is filled in");
    await card.getByRole("button", { name: "Make a random key" }).click();
    const key = await card.getByRole("textbox", { name: "Key in hex" }).inputValue();
    expect(HEX.test(key), key);
    await card.getByText("once it is kept nobody sees it again", { exact: false }).waitFor();
    expect((await card.locator("code").allInnerTexts()).some((line) => line.includes(`--psk-key ${key}`)), "a line for the device");
    await shot(page, "security-key-light");
    await card.getByRole("button", { name: "Save credential" }).click();
    await card.getByText("It counts from now on", { exact: false }).waitFor();
    expect(!(await page.content()).includes(key), "the key is gone from the page");
    expect((await card.getByRole("textbox", { name: "Key in hex" }).inputValue()) === "", "and from its field");
    const shown = await kept("credentials/pump-3");
    expect(shown.key_set === true && shown.identity === "pump-3" && !JSON.stringify(shown).includes(key), JSON.stringify(shown));
  });
  await check("what is kept can be changed without its key, and what is wrong is said before it is sent", async () => {
    await card.getByLabel("Identity", { exact: true }).fill("pump-3-new");
    await card.getByRole("textbox", { name: "Key in hex" }).fill("abc");
    await card.getByText("The key is no hex", { exact: false }).waitFor();
    expect(await card.getByRole("button", { name: "Save credential" }).isDisabled(), "it cannot be kept so");
    await card.getByRole("textbox", { name: "Key in hex" }).fill("");
    await card.getByRole("button", { name: "Save credential" }).click();
    await eventually("the identity is kept", async () => (await kept("credentials/pump-3")).identity === "pump-3-new");
    await card.getByLabel("Identity", { exact: true }).fill("demo-firmware");
    await card.getByRole("button", { name: "Save credential" }).click();
    await card.getByRole("alert").getByText("Another device has this identity", { exact: false }).waitFor();
  });
  await check("what is typed while an answer is on its way is not taken away by it", async () => {
    const identity = card.getByLabel("Identity", { exact: true });
    const key = card.getByRole("textbox", { name: "Key in hex" });
    const keep = card.getByRole("button", { name: "Save credential" });
    const line = await holdBack(page, "**/api/v1/credentials/pump-3", "PUT");
    await identity.fill("pump-3-sent");
    await key.fill("00".repeat(16));
    await keep.click();
    await line.stored;
    await identity.fill("pump-3-typed");
    expect(await keep.isDisabled(), "not twice at once");
    line.answer();
    await card.getByText("what was changed since then is not kept yet", { exact: false }).waitFor();
    expect((await identity.inputValue()) === "pump-3-typed", "the identity is as it was typed");
    expect((await key.inputValue()) === "", "the key that was sent is forgotten");
    expect((await kept("credentials/pump-3")).identity === "pump-3-sent", "kept is what was sent");
    await line.end();
    await keep.click();
    await eventually("the identity is kept", async () => (await kept("credentials/pump-3")).identity === "pump-3-typed");
  });
  await check("raw public keys, certificates and no security are kept by what they show", async () => {
    await page.goto(`${base}/#/security/devices/kinds`);
    await card.getByRole("button", { name: "Add a credential" }).click();
    const keep = async () => {
      await card.getByRole("button", { name: "Save credential" }).click();
      await card.getByText("It counts from now on", { exact: false }).waitFor();
      return kept("credentials/kinds");
    };
    await card.getByLabel("Kind").selectOption("rpk");
    await card.getByLabel("Public key of the device", { exact: false }).fill("ab".repeat(32));
    expect((await keep()).public_key_sha256 === "ab".repeat(32), "the fingerprint is taken");
    await card.getByLabel("Kind").selectOption("x509");
    expect((await keep()).mode === "x509", "a certificate with the endpoint name");
    await card.getByLabel("Which certificate").selectOption("name");
    await card.getByLabel("Name in the certificate", { exact: false }).fill("kinds.example");
    expect((await keep()).name === "kinds.example", "another name");
    await card.getByLabel("Kind").selectOption("nosec");
    await card.getByText("Anybody who can reach the server", { exact: false }).waitFor();
    expect((await keep()).mode === "nosec", "no security");
    await card.getByRole("button", { name: "Delete credential" }).click();
    await card.getByRole("group").getByRole("button", { name: "Delete credential" }).click();
    await card.getByText("Deleted.").waitFor();
    expect((await fetch(`${base}/api/v1/credentials/kinds`)).status === 404, "it is gone");
  });
  await check("the Bootstrap-Server has a set of its own", async () => {
    await page.goto(`${base}/#/security/devices/pump-3`);
    const other = page.getByRole("region", { name: "Credential for the Bootstrap-Server" });
    await other.getByRole("button", { name: "Add a credential" }).click();
    await other.getByRole("button", { name: "Make a random key" }).click();
    await other.getByRole("button", { name: "Save credential" }).click();
    await other.getByText("It counts from now on", { exact: false }).waitFor();
    expect((await kept("bootstrap/pump-3/credential")).identity === "pump-3", "kept there");
    await page.goto(`${base}/#/security`);
    await page.getByRole("button", { name: "Bootstrap-Server" }).click();
    const rows = page.getByRole("region", { name: "Credentials" }).getByRole("listitem");
    await eventually("only those of the Bootstrap-Server", async () => (await rows.count()) === 1);
  });
  await check("a secured device shows its session and its handshakes", async () => {
    await page.goto(`${base}/#/devices/demo-firmware/security`);
    const now = page.getByRole("region", { name: "Session", exact: true });
    for (const text of ["TLS_PSK_WITH_AES_128_CCM_8", "0100f3a97c21", "with a full handshake", "3 records that are not authentic"]) await now.getByText(text, { exact: false }).first().waitFor();
    const history = page.getByRole("list", { name: "Handshakes of this device" });
    await history.getByText("the device said goodbye").waitFor();
    await history.getByText("the key is not that of the identity", { exact: false }).waitFor();
    await shot(page, "security-device-light");
    await page.goto(`${base}/#/devices/demo-sensor/security`);
    await now.getByText("Anybody on the way", { exact: false }).waitFor();
  });
  await check("every field has a label, and the page fits a phone in the dark", async () => {
    await page.emulateMedia({ colorScheme: "dark" });
    await page.setViewportSize({ width: 390, height: 844 });
    for (const [hash, name] of [["/security", "security"], ["/security/devices/pump-3", "security-credential"], ["/devices/demo-firmware/security", "security-device"]]) {
      await page.goto(`${base}/#${hash}`);
      await page.getByRole("heading", { name: /Security|pump-3|demo-firmware/, level: 1 }).waitFor();
      await eventually(`${name} fits`, () => page.evaluate(() => document.documentElement.scrollWidth <= 390));
      await settled(page);
      const nameless = await page.evaluate(() =>
        [...document.querySelectorAll("input, select, textarea, button, a[href]")]
          .filter((item) => !(item.labels?.length || item.getAttribute("aria-label") || item.textContent.trim()))
          .map((item) => item.outerHTML),
      );
      expect(nameless.length === 0, nameless.join("\n"));
      await shot(page, `${name}-phone-dark`);
    }
  });
  await page.context().close();
}
