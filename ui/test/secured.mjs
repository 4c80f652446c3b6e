// Real devices over DTLS: one that nobody knows yet, its credential, its session, and the end of both.

import { spawn } from "node:child_process";
import { check, eventually, expect } from "./lib.mjs";

const NAME = "pump-3";
const KEY = "00112233445566778899aabbccddeeff";

/** It lives until its standard input ends. */
function startDevice(program, port) {
  const secret = ["--psk-identity", NAME, "--psk-key", KEY];
  return spawn(program, ["device", "--endpoint", NAME, "--server", `coaps://127.0.0.1:${port}`, ...secret], { stdio: ["pipe", "ignore", "inherit"] });
}

export async function secured({ page, base, shot, program, ports }) {
  let device = startDevice(program, ports.coaps);
  const end = async () => {
    const gone = new Promise((resolve) => device.once("exit", resolve));
    device.stdin.end();
    await gone;
  };
  const now = page.getByRole("region", { name: "Session", exact: true });
  const history = page.getByRole("list", { name: "Handshakes of this device" });
  const card = page.getByRole("region", { name: "Credential for the LwM2M Server" });
  try {
    await check("a device that nobody knows shows up with the reason, and becomes known with one press and its key", async () => {
      await page.goto(`${base}/#/security`);
      const failure = page.getByRole("list", { name: "Failed handshakes" }).getByRole("listitem").filter({ hasText: `unknown PSK identity '${NAME}'` });
      await failure.first().waitFor();
      await failure.first().getByRole("link", { name: "Add this identity as credential" }).click();
      await card.getByRole("textbox", { name: "Key in hex" }).fill(KEY);
      await card.getByRole("button", { name: "Save credential" }).click();
      await card.getByText("It counts from now on", { exact: false }).waitFor();
      expect(!(await page.content()).includes(KEY), "the key is gone from the page");
    });
    await check("its handshake and its session are shown by themselves", async () => {
      device.kill("SIGKILL");
      device = startDevice(program, ports.coaps);
      await history.getByText("full handshake").first().waitFor();
      await page.goto(`${base}/#/devices/${NAME}/security`);
      await now.getByText("with a full handshake", { exact: false }).waitFor();
      await now.getByText(/^TLS_ECDHE_PSK_WITH_AES_128_/).waitFor();
      await now.getByText(/^[0-9a-f]{12}$/).waitFor();
      await shot("secured-device-light");
    });
    await check("the secured device of the demo is read as any other", async () => {
      await page.goto(`${base}/#/devices/demo-updatable/security`);
      await now.getByText("Pre-shared key").waitFor();
      const answer = await (await fetch(`${base}/api/v1/endpoints/demo-updatable/resources/3/0/0`)).json();
      expect(answer.code === "2.05", JSON.stringify(answer));
    });
    await check("a credential that is deleted ends the session at once", async () => {
      await page.goto(`${base}/#/security/devices/${NAME}`);
      await card.getByRole("button", { name: "Delete credential" }).click();
      await card.getByRole("group").getByRole("button", { name: "Delete credential" }).click();
      await card.getByText("Deleted.").waitFor();
      await history.getByText("ended", { exact: true }).first().waitFor();
      await eventually("the registration is gone", async () => (await fetch(`${base}/api/v1/endpoints/${NAME}`)).status === 404);
      await shot("secured-deleted-light");
    });
  } finally {
    await end();
  }
}
