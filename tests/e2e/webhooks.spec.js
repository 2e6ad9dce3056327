// Operators and webhooks: see failures and their causes, redeliver, drop, pause.
import { BANNED } from "./life.js";
import { api, expect, test } from "./muster.js";

const CHANNEL = "/webhooks/sync";

test.afterEach(async () => { await api("DELETE", "webhooks/sync/url"); });

const heal = () => api("PUT", "webhooks/sync/url", { url: process.env.E2E_HEALTHY_RECEIVER });
const deliveries = (page) => page.getByRole("region", { name: "Deliveries" }).locator("tbody tr");
const letters = (page) => page.getByRole("region", { name: "Dead letters" }).locator("tbody tr");

test("a failed delivery is shown with its attempts, redelivered and accepted", async ({ page }) => {
  await page.goto("/webhooks");
  await page.getByRole("link", { name: "CHANNEL_SYNC_STATUS" }).click();
  await page.locator("form.filter").getByLabel("State").selectOption("dead");
  await page.locator("form.filter").getByRole("button", { name: "Show" }).click();
  await expect(deliveries(page).first()).toContainText("dead");
  await deliveries(page).first().getByRole("link").first().click();

  const attempts = page.getByRole("region", { name: "Attempts" }).locator("tbody tr");
  await expect(attempts).toHaveCount(2);
  await expect(attempts.first()).toContainText("HTTP 500");
  await expect(attempts.first()).toContainText("a fault, as requested");
  await expect(page.locator("#live .badge")).toHaveText("dead");

  await heal();
  await page.getByRole("button", { name: "Redeliver" }).click();
  await expect(page.locator("#live .badge")).toHaveText("delivered");
  await expect(attempts).toHaveCount(3);
  await expect(attempts.last()).toContainText("ok, HTTP 200");
});

test("redelivery counts first; dead letters are replayed, or dropped with a reason", async ({ page }) => {
  await heal();
  await page.goto(CHANNEL);
  const again = page.getByRole("group", { name: "Redeliver, with the same webhook ids" });
  await again.getByLabel("Account").fill(BANNED);
  await again.getByRole("button", { name: "Count" }).click();
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("Would be redelivered");
  await expect(page.locator(".facts")).toContainText("3");
  await page.getByRole("link", { name: "Back" }).click();

  const resync = page.getByRole("group", { name: "Resync: send the present state again" });
  await resync.getByLabel("Accounts").fill(BANNED);
  await resync.getByRole("button", { name: "Count" }).click();
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("Would be resynced");
  await page.getByRole("link", { name: "Back" }).click();

  const position = async () => await letters(page).first().getByRole("link").first().innerText();
  const [replayed, dropped] = [await position(), await letters(page).last().getByRole("link").first().innerText()];
  expect(dropped).not.toBe(replayed);
  await page.getByLabel(`Select ${replayed}`, { exact: true }).check();
  await page.getByRole("button", { name: "Replay" }).click();
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("Replay started");
  await page.goto(`${CHANNEL}/deliveries/${replayed}`);
  await expect(page.locator("#live .badge")).toHaveText("delivered");

  await page.goto(CHANNEL);
  await page.getByLabel(`Select ${dropped}`, { exact: true }).check();
  await page.getByRole("group", { name: "Selected dead letters" }).getByLabel("Reason").fill("nobody needs it");
  await page.getByRole("button", { name: "Drop" }).click();
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("Dropped");
  await page.goto(`${CHANNEL}/deliveries/${dropped}`);
  await expect(page.locator("#live .badge")).toHaveText("dropped");
  await expect(page.locator("#live")).toContainText("nobody needs it");
});

test("a webhook is paused with a reason, and resumed", async ({ page }) => {
  await page.goto("/webhooks/register");
  await page.getByRole("group", { name: "Sending" }).getByLabel("Reason").fill("the receiver moves");
  await page.getByRole("button", { name: "Pause" }).click();
  await expect(page).toHaveURL("/webhooks/register");
  await expect(page.locator("#live")).toContainText(/paused since .*: the receiver moves/);
  await page.getByRole("button", { name: "Resume" }).click();
  await expect(page.locator("#live")).not.toContainText("paused");
  await expect(page.getByRole("button", { name: "Pause" })).toBeVisible();
});
