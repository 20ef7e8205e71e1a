// Plays a game of the built-in pipeline in a real browser and prints what a player saw, as one
// JSON object. It judges nothing: the test that started it does.

import { open } from "./open.mjs";

const url = process.argv[2];
const PRESSES = 3;

await open(30_000, async (page, errors) => {
  page.on("console", (message) => {
    if (message.type() === "error") errors.push(`console: ${message.text()}`);
  });
  page.on("requestfailed", (request) => errors.push(`request: ${request.url()}`));
  page.on("request", (request) => {
    // A game is one page: anything but the page itself and what it holds is a request too many.
    if (!request.url().startsWith("data:") && request.url() !== url) errors.push(`asked for: ${request.url()}`);
  });

  const answer = await page.goto(url, { waitUntil: "load" });
  if (answer.status() !== 200) errors.push(`status: ${answer.status()}`);
  const text = (selector) => page.locator(selector).first().innerText();
  const texts = (selector) => page.locator(selector).allInnerTexts();
  const score = () => text("#score");

  const before = await score();
  for (let press = 0; press < PRESSES; press += 1) await page.click("#action");
  await page.waitForFunction((was) => document.getElementById("score").textContent !== was, before);
  const seen = {
    title: await page.title(),
    action: await text("#action"),
    currencies: await texts(".unit, .purse li"),
    upgrades: await texts(".upgrade strong"),
    before,
    after: await score(),
  };
  await page.reload({ waitUntil: "load" });
  return { ...seen, reloaded: await score() };
});
