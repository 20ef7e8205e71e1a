// Opens a job's page in a real browser while its agent writes, and prints what a person saw as one JSON
// object: the text as it grew, and then the whole message. It tells the agent when it has seen enough,
// and judges nothing.

import { writeFileSync } from "node:fs";
import { open } from "./open.mjs";

const { ENOUGH, SEEN } = process.env;

await open(60_000, async (page) => {
  await page.goto(process.argv[2], { waitUntil: "load" });
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
  return { first, second, state, whole };
});
