// Signing in with an API key, and out. Pages of other origins cannot use the browser's cookie.
import { URL, api, expect, keys, signIn, stranger as test } from "./muster.js";

const enter = async (page, key) => {
  await page.getByLabel("API key").fill(key);
  await page.getByRole("button", { name: "Sign in" }).click();
};

test("sign-in with a key leads to the requested page; sign-out works", async ({ page, context }) => {
  await page.goto("/accounts?status=2");
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("Sign in");
  await expect(page.getByLabel("API key")).toBeFocused();

  await enter(page, keys.auditor.replace(/.$/, (last) => (last === "0" ? "1" : "0")));
  await expect(page.getByRole("alert")).toHaveText(/API key is unknown here/);
  await enter(page, keys.caller);
  await expect(page.getByRole("alert")).toHaveText(/role caller lacks the permission; use one with the role operator or auditor or admin/);
  expect(await context.cookies()).toEqual([]);

  await enter(page, keys.auditor);
  await expect(page).toHaveURL("/accounts?status=2");
  await expect(page.locator(".who")).toContainText("auditor-desk · auditor");
  const [cookie, ...others] = await context.cookies();
  expect(others).toEqual([]);
  expect(cookie).toMatchObject({ httpOnly: true, sameSite: "Strict", path: "/", expires: -1 });
  expect(await page.evaluate(() => document.cookie)).toBe("");
  expect(cookie.value).not.toContain(keys.auditor);

  await page.getByRole("button", { name: "Sign out" }).click();
  await expect(page).toHaveURL("/sign-in");
  expect(await context.cookies()).toEqual([]);
  // A kept copy of the cookie does not continue the session.
  await context.addCookies([cookie]);
  await page.goto("/accounts");
  await expect(page).toHaveURL("/sign-in?next=%2Faccounts");
});

test("requests from other sites' pages are rejected", async ({ context }) => {
  await signIn(context, "operator");
  const form = { account: "861821721050", order: "online", reason: "a page of elsewhere" };
  const ask = (headers) => context.request.post("/accounts", { form, headers });
  for (const headers of [{}, { origin: "https://example.com" }, { origin: "null" }, { origin: URL, "sec-fetch-site": "cross-site" }]) {
    const answer = await ask(headers);
    expect(answer.status(), JSON.stringify(headers)).toBe(403);
    expect(await answer.text()).toContain("web page, or is for another host");
  }
  expect((await api("GET", "accounts/861821721050")).version).toBe(1);
  expect((await ask({ origin: URL })).status()).toBe(200);
});
