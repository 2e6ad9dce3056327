// Requirements of every page: accessible, on every screen, without a script, and for read-only users.
import axe from "axe-core";
import { BANNED } from "./life.js";
import { URL, expect, signIn, stranger, test } from "./muster.js";
import { pages } from "./pages.js";

const SCREENSHOTS = `${process.env.E2E_OUTPUT}/screenshots`;
const TALLEST = 2400;
const LOOKS = {
  light: { viewport: { width: 1280, height: 800 }, colorScheme: "light" },
  dark: { viewport: { width: 1280, height: 800 }, colorScheme: "dark" },
  phone: { viewport: { width: 390, height: 844 }, colorScheme: "light", hasTouch: true },
};

const EVERYTHING = { type: "tag", values: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] };
const COLOURS = { type: "rule", values: ["color-contrast", "link-in-text-block"] };

/** Accessibility faults: for people with low or no vision, or without a mouse. */
async function barriers(page, runOnly) {
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate((runOnly) => window.axe.run({ runOnly }), runOnly);
  const grave = violations.filter(({ impact }) => ["serious", "critical"].includes(impact));
  return grave.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" ")}`);
}

/** A screenshot of the top of a page; long lists only continue. */
async function take(page, path) {
  const { width, height } = await page.locator("html").boundingBox();
  await page.screenshot({ path, fullPage: true, clip: { x: 0, y: 0, width, height: Math.min(height, TALLEST) } });
}

/** The picture that README shows: an overview whose charts are full. */
async function takePicture(page) {
  await page.goto("/");
  await expect(page.locator(".chart .line").first()).toHaveAttribute("d", /^M0 /, { timeout: 200_000 });
  await take(page, "../../snapshots/console/overview.png");
}

for (const [look, how] of Object.entries(LOOKS)) {
  test.describe(look, () => {
    test.use({ ...how, role: "admin" });

    test("every page has one heading and a title, fits, and is accessible", async ({ page }) => {
      test.setTimeout(300_000);
      for (const { name, path, shows } of await pages()) {
        await test.step(path, async () => {
          await page.goto(path);
          await expect.soft(page.locator("main"), path).toContainText(shows);
          await expect.soft(page.getByRole("alert"), path).toHaveCount(0);
          await expect.soft(page, path).toHaveTitle(/^.+ · Muster$/);
          await expect.soft(page.getByRole("heading", { level: 1 }), path).toHaveCount(1);
          const width = await page.evaluate(() => document.documentElement.scrollWidth);
          expect.soft(width, `${path} is as wide as the screen`).toBeLessThanOrEqual(how.viewport.width);
          expect.soft(await barriers(page, look === "dark" ? COLOURS : EVERYTHING), path).toEqual([]);
          if (name) await take(page, `${SCREENSHOTS}/${name}-${look}.png`);
        });
      }
      if (process.env.UPDATE_SNAPSHOTS === "1" && look === "light") await takePicture(page);
    });
  });
}

stranger.describe("without a script", () => {
  stranger.use({ javaScriptEnabled: false });

  stranger("every page shows what it has", async ({ page, context }) => {
    await page.goto("/");
    await expect(page.getByLabel("API key")).toBeVisible();
    await signIn(context, "admin");
    for (const { path, shows } of await pages()) {
      await page.goto(path);
      await expect(page.locator("main"), path).toContainText(shows);
    }
  });
});

test.describe("who may only read", () => {
  test.use({ role: "auditor" });

  test("finds only inactive buttons for changes, with the reason", async ({ page, context }) => {
    test.setTimeout(120_000);
    let found = 0;
    for (const { path } of await pages()) {
      await page.goto(path);
      const changing = page.locator("main form[method=post] button");
      await expect(changing.and(page.locator(":enabled")), path).toHaveCount(0);
      await expect(page.locator("main form[method=post] :is(input, select):enabled:not([type=checkbox], [type=hidden])"), path).toHaveCount(0);
      for (const button of await changing.all()) {
        await expect(button).toHaveAttribute("title", /role auditor lacks the permission; use one with the role/);
        found += 1;
      }
      if ((await changing.count()) > 0) await expect(page.locator(".why").first(), path).toBeVisible();
    }
    expect(found).toBeGreaterThan(10);

    // A forged button does not help either.
    for (const [path, form] of [
      ["/accounts", { account: BANNED, order: "recycle", reason: "mine" }],
      ["/webhooks/sync", { do: "pause", reason: "mine" }],
      ["/projections", { projection: "roster" }],
      ["/keys", { do: "create", name: "mine", role: "admin" }],
    ]) {
      const answer = await context.request.post(path, { form, headers: { origin: URL } });
      expect(answer.status(), path).toBe(403);
    }
  });
});

test("the keyboard reaches the content and the first action, with a visible focus", async ({ page }) => {
  const focused = page.locator(":focus");
  const isSeen = async () => {
    await expect(focused).toBeInViewport();
    await expect(focused).not.toHaveCSS("outline-style", "none");
  };
  await page.goto(`/accounts/${BANNED}`);
  await page.keyboard.press("Tab");
  await expect(focused).toHaveText("Skip to the content");
  await isSeen();
  await page.keyboard.press("Enter");
  await page.keyboard.press("Tab");
  await expect(focused).toHaveAttribute("name", "reason");
  await isSeen();
  await page.keyboard.type("by hand");
  await page.keyboard.press("Tab");
  await expect(focused).toHaveText("Bring online");
  await isSeen();
  await page.keyboard.press("Enter");
  await expect(page.getByRole("heading", { level: 1 })).toHaveText(/of 1 accounts will come online/);
});
