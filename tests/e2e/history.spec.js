// One account's past: the slider, differences, views, permalinks, and its proof.
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { expect, stranger, signIn, test } from "./muster.js";
import { PAST } from "./life.js";

const fact = (page, name) => page.locator("#then-state dl > div").filter({ has: page.getByText(name, { exact: true }) }).locator("dd");

test("the slider shows past states without loading a page", async ({ page }) => {
  await page.goto(`/accounts/${PAST}`);
  await page.evaluate(() => { window.isTheSame = true; });
  await expect(fact(page, "Online status")).toHaveText("offline");
  const slider = page.getByRole("slider", { name: "Version" });
  await slider.focus();
  for (const [key, version, state] of [["Home", 1, "offline"], ["ArrowRight", 2, "online-coming"], ["ArrowRight", 3, "online"]]) {
    await page.keyboard.press(key);
    await expect(page.locator("#shown-version")).toHaveText(String(version));
    await expect(fact(page, "Online status")).toHaveText(state);
  }
  await expect(fact(page, "Instance")).toHaveText("SIM-1");
  expect(await page.evaluate(() => window.isTheSame)).toBe(true);

  // At a time before the account existed.
  await page.getByLabel("or the state at").fill("2020-01-01T00:00:00Z");
  await page.getByLabel("or the state at").press("Enter");
  await expect(page.locator("#then-state").getByRole("alert")).toBeVisible();
});

test("the comparison of versions, the views of the history, and the link to each event", async ({ page }) => {
  await page.goto(`/accounts/${PAST}`);
  const diff = page.getByRole("region", { name: "Compare two versions" });
  await diff.getByLabel("from").fill("3");
  await diff.getByLabel("to").fill("5");
  await diff.getByRole("button", { name: "Compare" }).click();
  await expect(diff.getByRole("row", { name: "onlineStatus" })).toContainText("online");
  await expect(diff.locator("ins")).toHaveText("offline");
  await expect(diff.locator("tbody tr")).toHaveCount(1);

  const history = page.getByRole("region", { name: "History", exact: true });
  await expect(history.locator(".feed li strong")).toHaveText(
    ["went offline", "recycle requested", "came online", "online requested", "account imported"]);
  await history.getByRole("link", { name: "compact" }).click();
  await expect(history.locator(".feed li")).toHaveCount(2);
  await expect(history.locator(".feed li").first()).toContainText("online requested → came online → recycle requested → went offline");
  await history.getByRole("link", { name: "json" }).click();
  const lines = (await history.getByRole("region", { name: "Events as JSON" }).innerText()).trim().split("\n");
  expect(lines.map((line) => JSON.parse(line).version)).toEqual([5, 4, 3, 2, 1]);

  await history.getByRole("link", { name: "feed" }).click();
  await history.locator("#v3").getByRole("link", { name: "v3" }).click();
  await expect(page).toHaveURL(`/accounts/${PAST}/events/3`);
  await expect(page.getByRole("heading", { level: 1 })).toHaveText(`came online · version 3 of ${PAST}`);
  await page.getByRole("link", { name: "Previous" }).click();
  await expect(page).toHaveURL(`/accounts/${PAST}/events/2`);
  await page.getByRole("link", { name: "State of the account then" }).click();
  await expect(page.locator("#shown-version")).toHaveText("2");
});

test("the proof is verified on the page, and from the downloaded bundle", async ({ page }, testInfo) => {
  await page.goto(`/accounts/${PAST}`);
  await page.getByRole("link", { name: "Verify" }).click();
  await expect(page.locator("#steps .verdict.good")).toHaveText(/^Verified: 5 events, complete and unchanged/);
  await expect(page.locator("#steps li")).toHaveCount(8);
  await expect(page.locator("#steps li").nth(4)).toContainText("Version 3, came online");

  const coming = page.waitForEvent("download");
  await page.getByRole("link", { name: "Download the bundle" }).click();
  const download = await coming;
  expect(download.suggestedFilename()).toBe(`muster-${PAST}.bundle.json`);
  const file = testInfo.outputPath("bundle.json");
  await download.saveAs(file);
  const { stdout } = await promisify(execFile)(process.env.E2E_BINARY, ["verify", "--bundle", file]);
  expect(stdout).toMatch(new RegExp(`account +${PAST}\nevents +5\n`));
});

stranger.describe("without a script", () => {
  stranger.use({ javaScriptEnabled: false });

  stranger("the slider and the proof work as forms and pages", async ({ page, context }) => {
    await signIn(context, "auditor");
    await page.goto(`/accounts/${PAST}?version=2`);
    await page.getByRole("slider", { name: "Version" }).focus();
    await page.keyboard.press("ArrowRight");
    await page.getByRole("button", { name: "Show" }).first().click();
    await expect(page).toHaveURL(`/accounts/${PAST}?version=3`);
    await expect(fact(page, "Online status")).toHaveText("online");
    await page.getByRole("link", { name: "Verify" }).click();
    await expect(page.locator(".verdict.good")).toContainText("Verified: 5 events");
  });
});
