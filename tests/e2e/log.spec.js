// A kept checkpoint is compared with the log: from a file that is chosen or dropped.
import { expect, test } from "./muster.js";

test("a kept checkpoint is read from a file, and compared", async ({ page }) => {
  await page.goto("/log");
  const note = await page.getByRole("region", { name: "The checkpoint" }).textContent();
  const field = page.getByLabel("Kept checkpoint");
  await page.getByLabel("or a file").setInputFiles({ name: "kept.checkpoint", mimeType: "text/plain", buffer: Buffer.from(note) });
  await expect(field).toHaveValue(note);
  await page.getByRole("button", { name: "Compare" }).click();
  await expect(page.getByRole("status").filter({ hasText: "the same log, grown by" })).toBeVisible();
  await expect(page.locator("main")).toContainText("Root of this log at that size");

  const dropped = await page.evaluateHandle((text) => {
    const data = new DataTransfer();
    data.items.add(new File([text], "kept.checkpoint", { type: "text/plain" }));
    return data;
  }, note.replace(/\n(\d+)\n/, "\n1$1\n"));
  await field.dispatchEvent("drop", { dataTransfer: dropped });
  await expect(field).toHaveValue(/\n1\d+\n/);
  await page.getByRole("button", { name: "Compare" }).click();
  await expect(page.getByRole("alert")).toHaveText("altered: this log's key did not sign this text");
});
