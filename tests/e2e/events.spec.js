// New events appear at once, unless the reader pauses the live tail.
import { becomes, call, expect, test } from "./muster.js";
import { online } from "./life.js";

test("the live tail shows new events, and holds them while it is paused", async ({ page }) => {
  const number = "861821721030";
  await page.goto(`/events?account=${number}`);
  const names = page.locator(".feed strong");
  await expect(names).toHaveText(["account imported"]);
  await expect(page.locator(".live-tail")).toBeVisible();
  const shown = await page.locator(".feed li").innerHTML();

  await online([number]);
  await expect(names).toHaveText(["came online", "online requested", "account imported"]);
  await page.getByRole("button", { name: "Pause" }).click();
  await call("batchRecycle", { whatsAppList: [number] });
  await becomes(number, 4);
  await expect(page.locator("[data-tail-state]")).toHaveText("Paused; 2 events wait.");
  await expect(names).toHaveCount(3);
  await page.getByRole("button", { name: "Resume" }).click();
  await expect(names).toHaveText(["went offline", "recycle requested", "came online", "online requested", "account imported"]);

  // The script renders an event as the service does.
  const live = await page.locator(".feed").innerHTML();
  await page.reload();
  expect(await page.locator(".feed").innerHTML()).toBe(live);
  expect(live).toContain(shown);
});
