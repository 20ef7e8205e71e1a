// Reads a page in a real browser: the texts at each of the selectors in READ, a JSON object of names and
// selectors, once the last of them is there. It judges nothing.

import { open } from "./open.mjs";

const wanted = Object.entries(JSON.parse(process.env.READ));

await open(60_000, async (page) => {
  await page.goto(process.argv[2], { waitUntil: "load" });
  const seen = {};
  for (const [name, selector] of wanted) {
    await page.locator(selector).first().waitFor();
    seen[name] = await page.locator(selector).allInnerTexts();
  }
  return seen;
});
