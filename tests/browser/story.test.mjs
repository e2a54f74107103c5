// The story of a marketer who has never seen Rekindle, by clicks alone: load sample data, find what has expired under the tag
// promo, restore all of it, watch, read the mail, open one and see its counts. Once with scripts, and once without.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { launch, noErrors, picture, reader } from "./browser.mjs";
import { Rekindle, until } from "./rekindle.mjs";

let browser;
before(async () => (browser = await launch()));
after(() => browser.close());

/** The names in the list, in order. */
async function names(page) {
  return (await page.locator("td.name a[id]").allTextContents()).sort();
}

/** Opens the printed link, and loads sample data. */
async function begin(page, rekindle, shot) {
  await page.goto(rekindle.link);
  assert.equal(page.url(), `${rekindle.url}/console`, "the token leaves the address");
  await shot("1-empty");
  await page.getByRole("button", { name: "Load sample data" }).click();
  await page.getByRole("progressbar").waitFor();
  await shot("2-loading");
  await page.waitForURL(`${rekindle.url}/console`, { timeout: 120_000 });
  await page.locator("td.name").first().waitFor();
  await shot("3-list");
}

/** Narrows the list to what has expired under the tag promo, and returns the names. */
async function find(page, rekindle, shot) {
  const { items } = await rekindle.get("/v1/campaigns?state=expired&tag=promo");
  const expected = items.map((one) => one.name).sort();
  assert.ok(expected.length > 5, "the sample has expired campaigns tagged promo");
  await page.getByLabel("Interaction data").selectOption({ label: "Expired" });
  await page.getByLabel("Tag", { exact: true }).fill("promo");
  await page.getByRole("button", { name: "Show" }).click();
  await page.waitForURL(/state=expired.*tag=promo/);
  await until("the list is narrowed", async () => (await names(page)).length === expected.length);
  assert.deepEqual(await names(page), expected);
  await shot("4-found");
  return expected;
}

/** Restores what is ticked, with a mail at the end, as far as the page that shows the progress. */
async function restore(page, number, shot) {
  await page.getByRole("button", { name: "Restore interaction data" }).click();
  await page.getByRole("heading", { name: `Restore interaction data: ${number} campaigns and Canvases` }).waitFor();
  await page.getByText(`This brings back the interaction data of ${number} campaigns and Canvases: up to`).waitFor();
  await page.getByLabel("Mail these addresses when it is done").fill("marketer@example.com");
  await shot("6-review");
  await page.getByRole("button", { name: "Restore interaction data" }).click();
  await page.waitForURL(/\/console\/restores\//);
}

/** Reads the mail in the outbox, and opens a campaign and its counts. */
async function end(page, rekindle, found, shot) {
  const restored = page.url();
  await page.getByRole("link", { name: "Outbox" }).click();
  const mail = page.getByRole("article").filter({ hasText: "marketer@example.com" });
  await until("the mail is there", async () => (await mail.count()) || !(await page.reload()));
  for (const name of found) assert.ok((await mail.first().textContent()).includes(name), `the mail names ${name}`);
  await shot("8-outbox");

  await page.goto(restored);
  await page.getByRole("link", { name: found[0], exact: true }).click();
  await page.getByRole("heading", { name: found[0], level: 1 }).waitFor();
  assert.equal(await page.locator(".banner").count(), 0);
  const { items } = await rekindle.get("/v1/campaigns?tag=promo");
  const { interaction_data: data } = items.find((one) => one.name === found[0]);
  const clicked = page.getByRole("progressbar", { name: "Clicked", exact: true });
  assert.equal(await clicked.getAttribute("value"), String(data.counts.clicked));
  await shot("9-source");
  await page.getByRole("link", { name: /^Count by channel/ }).click();
  await page.getByRole("heading", { name: "By channel", exact: true }).waitFor();
  await shot("10-counts");
  assert.deepEqual((await rekindle.get("/v1/campaigns?state=expired&tag=promo")).items, []);
}

test("with scripts", async (t) => {
  const rekindle = await Rekindle.start();
  t.after(() => rekindle.kill());
  const page = await reader(browser);
  const shot = (name) => picture(page, `story-${name}`, { fullPage: false });
  await begin(page, rekindle, shot);
  const found = await find(page, rekindle, shot);

  await page.evaluate(() => (window.isSamePage = true));
  await page.getByLabel("Tick all on this page").check();
  await page.getByText(new RegExp(`${found.length} ticked. A restore brings back ${found.length}: up to`)).waitFor();
  assert.ok(await page.evaluate(() => window.isSamePage), "ticking loads no page");
  await shot("5-ticked");

  await restore(page, found.length, shot);
  await page.evaluate(() => (window.isSamePage = true));
  await page.getByText(`${found.length} of ${found.length} campaigns and Canvases, ended on`).waitFor();
  assert.ok(await page.evaluate(() => window.isSamePage), "the progress needs no reload");
  assert.deepEqual((await page.locator("td.name a").allTextContents()).sort(), found);
  await shot("7-restored");
  await end(page, rekindle, found, shot);
  noErrors(page);
});

test("without scripts", async (t) => {
  const rekindle = await Rekindle.start();
  t.after(() => rekindle.kill());
  const page = await reader(browser, { javaScriptEnabled: false });
  const shot = (name) => picture(page, `plain-${name}`, { fullPage: false });
  await begin(page, rekindle, shot);
  const found = await find(page, rekindle, shot);
  for (const name of found) await page.getByRole("checkbox", { name, exact: true }).check();
  await shot("5-ticked");
  await restore(page, found.length, shot);
  await until("the restore is done", async () => {
    const again = page.getByRole("link", { name: "Look again" });
    if (await again.count()) await again.click();
    return await page.getByText(`${found.length} of ${found.length} campaigns and Canvases, ended on`).count();
  });
  await shot("7-restored");
  await end(page, rekindle, found, shot);
  noErrors(page);
});
