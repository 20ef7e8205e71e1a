// A page in a real browser, with the errors that its scripts threw.

import { createRequire } from "node:module";
import { join } from "node:path";

const { PLAYWRIGHT, CHROMIUM, PROFILE } = process.env;
const { chromium } = createRequire(join(PLAYWRIGHT, "from-here.cjs"))("playwright-core");

/** Prints, as one JSON object, what `see` gives of a new page; what takes longer than `limitMs` fails. */
export async function open(limitMs, see) {
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
    page.setDefaultTimeout(limitMs);
    const errors = [];
    page.on("pageerror", (error) => errors.push(`exception: ${error.message}`));
    const seen = await see(page, errors);
    console.log(JSON.stringify({ ...seen, errors }));
  } finally {
    await browser.close();
  }
}
