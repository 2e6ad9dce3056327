// The overview: what needs attention, counts of accounts, and throughput, kept up to date.
import { BANNED } from "./life.js";
import { expect, signIn, stranger, test } from "./muster.js";

test("the overview links to what it counts, and stays current", async ({ page }) => {
  await page.goto("/");
  await page.evaluate(() => { window.isTheSame = true; });
  const events = page.locator("dl > div").filter({ has: page.getByText("Events", { exact: true }) }).getByRole("link");
  const before = await events.innerText();
  await expect(events).not.toHaveText(before);
  for (const name of ["Events", "Webhooks"]) {
    await expect(page.getByRole("img", { name: new RegExp(`^${name}: \\d+ now, at most [1-9]`) })).toBeVisible();
  }
  expect(await page.evaluate(() => window.isTheSame)).toBe(true);

  await expect(page.locator(".matters .bad")).toHaveText(/^CHANNEL_SYNC_STATUS: \d+ dead letters; replay or drop them$/);
  await page.getByRole("link", { name: "2 accounts are banned" }).click();
  await expect(page).toHaveURL("/accounts?status=2");
  await expect(page.locator("tbody tr")).toHaveCount(2);
  await expect(page.locator("tbody tr").first()).toContainText(BANNED);
});

stranger("the page shows that the service is unreachable", async ({ page, context }) => {
  await signIn(context, "auditor");
  await page.goto("/");
  await expect(page.locator(".offline")).toBeHidden();
  await context.setOffline(true);
  await expect(page.locator(".offline")).toBeVisible();
  await context.setOffline(false);
  await expect(page.locator(".offline")).toBeHidden();
});
