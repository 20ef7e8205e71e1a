// Opens a job's page in a real browser while its agent writes, and prints what a person saw as one JSON
// object: the text as it grew, and then the whole message. It tells the agent when it has seen enough,
// and judges nothing.

import { writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const { PLAYWRIGHT, CHROMIUM, PROFILE, ENOUGH, SEEN } = process.env;
const { chromium } = createRequire(join(PLAYWRIGHT, "from-here.cjs"))("playwright-core");
const url = process.argv[2];
const LIMIT_MS = 60_000;

const browser = await chromium.launchPersistentContext(PROFILE, {
  executablePath: CHROMIUM,
  headless: true,
  args: [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
  ],
});
try {
  const page = await browser.newPage();
  page.setDefaultTimeout(LIMIT_MS);
  const errors = [];
  page.on("pageerror", (error) => errors.push(`exception: ${error.message}`));
  await page.goto(url, { waitUntil: "load" });
  const text = () => page.locator(".typing .typed").innerText();
  const longerThan = (length) => page.waitForFunction(
    (least) => (document.querySelector(".typing:not([hidden]) .typed")?.textContent.length ?? 0) > least, length);
  await longerThan(0);
  const first = await text();
  await longerThan(first.length);
  const second = await text();
  const state = await page.locator(".typing .log-head").innerText();
  writeFileSync(ENOUGH, "");
  await page.waitForFunction(() => document.querySelector(".typing .log-head")?.textContent.includes("said"));
  const whole = await text();
  writeFileSync(SEEN, "");
  await page.waitForFunction(() => document.querySelector(".typing")?.hidden);
  console.log(JSON.stringify({ first, second, state, whole, errors }));
} finally {
  await browser.close();
}
