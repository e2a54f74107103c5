// Acts on many: everything that matches over several pages, everything under a tag, and rows that show progress by themselves.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { launch, noErrors, picture, reader } from "./browser.mjs";
import { Rekindle, until } from "./rekindle.mjs";
import { seedMany } from "./seed.mjs";

const MANY = 240;

let browser, rekindle, page;
before(async () => {
  browser = await launch();
  rekindle = await Rekindle.start();
  const ids = await seedMany(rekindle, MANY, "bulk");
  await rekindle.put(`/v1/campaigns/${ids[7]}`, { name: "Seven", tags: ["bulk", "Lucky number"] });
  await rekindle.put(`/v1/campaigns/${ids[9]}`, { name: "Nine", tags: ["bulk", "Lucky number"] });
  page = await reader(browser);
  await page.goto(rekindle.link);
});
after(async () => {
  await browser.close();
  await rekindle.kill();
});

test("restore what carries a tag", async () => {
  await page.getByLabel("Search").fill("seven");
  await until("one row is left", async () => (await page.locator("td.name").count()) === 1);
  await page.getByRole("link", { name: "Lucky number" }).click();
  await page.waitForURL(/tag=Lucky/);
  assert.deepEqual((await page.locator("td.name a[id]").allTextContents()).sort(), ["Nine", "Seven"]);
  await page.getByLabel("Tick all on this page").check();
  await page.getByText("A restore brings back 2: up to").waitFor();
  await page.getByRole("button", { name: "Restore interaction data" }).click();
  await page.getByRole("button", { name: "Restore interaction data" }).click();
  await page.getByText("2 of 2 campaigns and Canvases, ended on").waitFor();
  assert.equal((await rekindle.expired()).length, MANY - 2);
});

test("the pages of the list have each campaign once", async () => {
  await page.goto(`${rekindle.url}/console?state=expired`);
  const seen = new Set();
  for (;;) {
    for (const name of await page.locator("td.name a[id]").allTextContents()) seen.add(name);
    const next = page.getByRole("link", { name: "Next page" });
    if (!(await next.count())) break;
    await next.click();
    await page.waitForURL(/cursor=/);
    await page.getByRole("link", { name: "First page" }).waitFor();
  }
  assert.equal(seen.size, MANY - 2);
});

test("restore all that match, and rows go on by themselves", async () => {
  await page.goto(`${rekindle.url}/console?state=expired&tag=bulk`);
  await page.locator("td.tick input").first().check();
  await page.getByLabel("All that match, on every page").check();
  await page.getByText(`A restore brings back ${MANY - 2}: up to`).waitFor();
  await picture(page, "many-1-all-that-match", { fullPage: false });
  await page.getByRole("button", { name: "Restore interaction data" }).click();
  await page.getByRole("heading", { name: `Restore interaction data: ${MANY - 2} campaigns and Canvases` }).waitFor();

  // A second window shows the list while the first one asks for the restore.
  const list = await page.context().newPage();
  await page.getByRole("button", { name: "Restore interaction data" }).click();
  await page.waitForURL(/\/console\/restores\//);
  await list.goto(`${rekindle.url}/console?state=restoring&tag=bulk`);
  // The first restore begins a moment after it was asked for.
  await until("some rows are being restored", async () => (await list.locator("td.name").count()) || !(await list.reload()));
  await list.evaluate(() => (window.isSamePage = true));
  const rows = await list.locator("td.name").count();
  await picture(list, "many-2-rows-under-way", { fullPage: false });
  await picture(page, "many-3-under-way", { fullPage: false });
  await list.locator("td .state", { hasText: "Available" }).nth(rows - 1).waitFor();
  assert.equal(await list.locator("td progress").count(), 0);
  assert.ok(await list.evaluate(() => window.isSamePage), "the rows need no reload");

  await page.getByText(`${MANY - 2} of ${MANY - 2} campaigns and Canvases, ended on`).waitFor();
  await picture(page, "many-4-done", { fullPage: false });
  assert.deepEqual(await rekindle.expired(), []);
  noErrors(page);
});
