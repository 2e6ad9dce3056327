// Configuration of the console's browser tests: one browser, one test at a time, against the service that `run` started.
import { defineConfig } from "@playwright/test";

export default defineConfig({
  testDir: ".",
  outputDir: `${process.env.E2E_OUTPUT}/traces`,
  globalSetup: "./life.js",
  // All tests share one service, and each page shows the effects of all tests.
  workers: 1,
  forbidOnly: true,
  timeout: 60_000,
  expect: { timeout: 20_000 },
  reporter: [["list"]],
  use: {
    baseURL: process.env.E2E_URL,
    browserName: "chromium",
    viewport: { width: 1280, height: 800 },
    colorScheme: "light",
    trace: "retain-on-failure",
    launchOptions: {
      executablePath: "/usr/bin/chromium",
      args: process.getuid() === 0 ? ["--no-sandbox"] : [],
    },
  },
});
