// The console without a mouse.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { launch, noErrors, picture, reader, signIn } from "./browser.mjs";
import { Rekindle, until } from "./rekindle.mjs";
import { seed } from "./seed.mjs";

let browser, rekindle;
before(async () => {
  browser = await launch();
  rekindle = await Rekindle.start();
  await seed(rekindle, 40);
});
after(async () => {
  await browser.close();
  await rekindle.kill();
});

const focused = (page) => page.evaluate(() => document.activeElement.textContent || document.activeElement.id);

/** Goes on with Tab until the focus is on an element with this text. */
async function tabTo(page, text) {
  for (let i = 0; i < 200; i++) {
    await page.keyboard.press("Tab");
    if ((await focused(page)) === text) return;
  }
  assert.fail(`Tab does not reach ${text}`);
}

test("restore by keys alone", async () => {
  const page = await reader(browser);
  await signIn(page, rekindle);
  await page.keyboard.press("?");
  await page.getByRole("dialog").getByText("Tick or untick").waitFor();
  await picture(page, "keys", { fullPage: false });
  await page.keyboard.press("Escape");
  await page.getByRole("dialog").waitFor({ state: "hidden" });

  await page.keyboard.press("/");
  assert.equal(await focused(page), "q");
  await page.keyboard.type("sale");
  await until("the list is narrowed to one", async () => (await page.locator("td.name").count()) === 1);
  await tabTo(page, "Show");
  await page.keyboard.press("ArrowDown");
  assert.equal(await focused(page), "Spring sale");
  await page.keyboard.press("x");
  await page.getByText("A restore brings back 1: up to").waitFor();
  await page.keyboard.press("x");
  await page.getByText("A restore brings back").waitFor({ state: "hidden" });
  await page.keyboard.press("x");
  await tabTo(page, "Restore interaction data");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Restore interaction data: 1 campaign or Canvas" }).waitFor();
  await tabTo(page, "Restore interaction data");
  await page.keyboard.press("Enter");
  await page.getByText("1 of 1 campaign or Canvas, ended on").waitFor();
  noErrors(page);
});

test("arrows go through the list and Enter opens; the first Tab skips to the content", async () => {
  const page = await reader(browser);
  await signIn(page, rekindle);
  const names = await page.locator("td.name a[id]").allTextContents();
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("ArrowUp");
  assert.equal(await focused(page), names[1]);
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { level: 1, name: names[1], exact: true }).waitFor();

  await page.keyboard.press("Tab");
  assert.equal(await focused(page), "Skip to content");
  await page.keyboard.press("Enter");
  await page.keyboard.press("Tab");
  assert.equal(await focused(page), "Campaigns and Canvases");
  noErrors(page);
});
