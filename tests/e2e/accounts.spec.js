// Accounts are filtered, brought online and recycled, with a reason in the history.
import { api, becomes, expect, test } from "./muster.js";
import { BANNED, online } from "./life.js";

/** The form of orders to one account. */
const actions = (page) => page.getByRole("group", { name: "Actions for this account" });

test("an account is found, brought online, and its page shows it come online", async ({ page }) => {
  const [number, reason] = ["861821721001", "the customer waits <b>now</b>"];
  await page.goto("/accounts");
  await page.getByLabel("Number begins with").fill("+86182172100");
  await page.getByRole("button", { name: "Show" }).click();
  const rows = page.getByRole("region", { name: "Accounts" }).locator("tbody tr");
  await expect(rows).toHaveCount(10);
  await expect(page).toHaveURL(/prefix=%2B86182172100/);
  await page.getByRole("link", { name: number }).click();
  await expect(page.locator("#now")).toContainText("offline");

  // A second user looks at the account meanwhile, without reloading the page.
  const watcher = await page.context().newPage();
  await watcher.goto(`/accounts/${number}`);
  await watcher.evaluate(() => { window.isTheSame = true; });

  await actions(page).getByLabel("Reason").fill(reason);
  await page.getByRole("button", { name: "Bring online" }).click();
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("1 of 1 accounts will come online");
  await expect(page.getByRole("row", { name: number })).toContainText("accepted");

  await expect(watcher.locator("#now .badge.good")).toHaveText("online");
  await expect(watcher.locator("#now")).toContainText("version 3");
  expect(await watcher.evaluate(() => window.isTheSame)).toBe(true);

  await page.getByRole("link", { name: "Audit log" }).click();
  const act = page.locator(".feed li").filter({ hasText: "accounts ordered" }).first();
  await expect(act).toContainText(reason);
  await expect(act).toContainText("by operator:2");

  await page.goto(`/events?account=${number}`);
  await expect(page.locator(".feed strong")).toHaveText(["came online", "online requested", "account imported"]);
});

test("several selected accounts are recycled at once", async ({ page }) => {
  const numbers = ["861821721010", "861821721011", "861821721012"];
  await online(numbers);
  for (const number of numbers) await becomes(number, 2);

  await page.goto("/accounts?prefix=86182172101&onlineStatus=2");
  await expect(page.locator("tbody input:checked")).toHaveCount(0);
  await page.getByLabel("Select all accounts on this page").check();
  await expect(page.locator("tbody input:checked")).toHaveCount(3);
  await page.getByLabel(`Select ${numbers[2]}`).uncheck();

  // Without a reason the browser sends nothing.
  await page.getByRole("button", { name: "Recycle" }).click();
  await expect(page.getByLabel("Reason")).toBeFocused();
  await page.getByLabel("Reason").fill("the shift is over");
  await page.getByRole("button", { name: "Recycle" }).click();
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("2 of 2 accounts will be recycled");
  await expect(page.locator("tbody tr")).toHaveCount(2);

  for (const number of numbers.slice(0, 2)) await becomes(number, 4);
  expect((await api("GET", `accounts/${numbers[2]}`)).onlineStatus).toBe(2);

  // A rejected order says why.
  await page.goto(`/accounts/${BANNED}`);
  await actions(page).getByLabel("Reason").fill("try it");
  await page.getByRole("button", { name: "Bring online" }).click();
  await expect(page.getByRole("row", { name: BANNED })).toContainText("refused: ");
});

test("labels are replaced, and the list is filtered by them", async ({ page }) => {
  const number = "861821721040";
  await page.goto(`/accounts/${number}`);
  const labels = page.getByRole("group", { name: "Labels" });
  await labels.getByLabel("One a line").fill("team:care\nnote:a=<b>");
  await labels.getByLabel("Reason").fill("a new team");
  await labels.getByRole("button", { name: "Replace labels" }).click();
  await expect(page).toHaveURL(`/accounts/${number}`);
  await expect(page.locator("#now")).toContainText("team:care");
  await expect(labels.getByLabel("One a line")).toHaveValue("note:a=<b>\nteam:care");

  await page.goto("/accounts");
  await page.getByRole("textbox", { name: "Label" }).fill("team:care");
  await page.getByRole("button", { name: "Show" }).click();
  const rows = page.getByRole("region", { name: "Accounts" }).locator("tbody tr");
  await expect(rows).toHaveCount(1);
  await expect(rows).toContainText(number);
});
