// The story of a marketer, by clicks alone: find what has expired under a tag, tick all, restore, watch, read the mail, open one
// and see its counts. Once with scripts, and once without.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { launch, noErrors, picture, reader, signIn } from "./browser.mjs";
import { Rekindle, until } from "./rekindle.mjs";
import { seed } from "./seed.mjs";

let browser;
before(async () => (browser = await launch()));
after(() => browser.close());

const PROMO = ["Cart reminder", "Loyalty week", "Spring sale", "Summer clearance"];

async function names(page) {
  return (await page.locator("td.name a[id]").allTextContents()).sort();
}

/** The mail that a restore sends at its end. */
async function mailTo(rekindle, address) {
  const sent = async () => (await rekindle.outbox()).find((mail) => mail.to.includes(address));
  return await until(`a mail to ${address}`, sent);
}

test("with scripts", async (t) => {
  const rekindle = await Rekindle.start();
  t.after(() => rekindle.kill());
  await seed(rekindle);
  const page = await reader(browser);

  await page.goto(rekindle.link);
  await page.waitForURL(`${rekindle.url}/console`);
  await page.getByRole("heading", { name: "Campaigns and Canvases" }).waitFor();
  await picture(page, "story-1-list");

  await page.getByLabel("Interaction data").selectOption({ label: "Expired" });
  await page.getByLabel("Tag").fill("promo");
  await page.getByLabel("Tag").press("Enter");
  await page.waitForURL(/tag=promo/);
  await until("the list is narrowed", async () => (await names(page)).length === PROMO.length);
  assert.deepEqual(await names(page), PROMO);
  assert.match(page.url(), /state=expired/);

  await page.evaluate(() => (window.isSamePage = true));
  await page.getByLabel("Tick all on this page").check();
  const bar = page.getByText("A restore brings back 4: up to");
  await bar.waitFor();
  assert.match(await bar.textContent(), /4 sources ticked\..*2.400 users, \d+ KB, in /);
  await picture(page, "story-2-ticked");
  assert.ok(await page.evaluate(() => window.isSamePage), "ticking loads no page");

  await page.getByRole("button", { name: "Restore interaction data" }).click();
  await page.getByRole("heading", { name: "Restore interaction data: 4 sources" }).waitFor();
  await page.getByLabel("Mail these addresses when it is done").fill("marketer@example.com");
  await picture(page, "story-3-review");
  await page.getByRole("button", { name: "Restore interaction data" }).click();

  await page.waitForURL(/\/console\/restores\//);
  await page.evaluate(() => (window.isSamePage = true));
  await page.getByRole("status").getByText("Done").waitFor();
  await page.getByText("4 of 4 sources").waitFor();
  assert.ok(await page.evaluate(() => window.isSamePage), "the progress needs no reload");
  assert.deepEqual((await page.locator("td.name a").allTextContents()).sort(), PROMO);
  await picture(page, "story-4-restored");

  const mail = await mailTo(rekindle, "marketer@example.com");
  for (const name of PROMO) assert.ok(mail.text.includes(name), `the mail names ${name}`);

  await page.getByRole("link", { name: "Spring sale" }).click();
  await page.getByRole("heading", { name: "Spring sale", level: 1 }).waitFor();
  await page.getByText("600 users").waitFor();
  assert.equal(await page.locator(".banner").count(), 0);
  const clicked = page.getByRole("progressbar", { name: "Clicked" });
  assert.equal(await clicked.getAttribute("value"), "120");
  await page.getByRole("link", { name: "Count by channel and variant" }).click();
  await page.getByRole("heading", { name: "Long subject" }).waitFor();
  await picture(page, "story-5-counts");
  assert.deepEqual((await rekindle.expired()).sort(), ["campaign/newsletter-march", "campaign/welcome-back"]);
  noErrors(page);
});

test("without scripts", async (t) => {
  const rekindle = await Rekindle.start();
  t.after(() => rekindle.kill());
  await seed(rekindle);
  const page = await reader(browser, { javaScriptEnabled: false });
  await signIn(page, rekindle);

  await page.getByLabel("Interaction data").selectOption({ label: "Expired" });
  await page.getByLabel("Tag").fill("promo");
  await page.getByRole("button", { name: "Show" }).click();
  await page.waitForURL(/tag=promo/);
  assert.deepEqual(await names(page), PROMO);
  await picture(page, "plain-1-list");

  for (const name of PROMO) await page.getByRole("checkbox", { name }).check();
  await picture(page, "plain-2-ticked");
  await page.getByRole("button", { name: "Restore interaction data" }).click();
  await page.getByText("This brings back the interaction data of 4 sources: up to 2").waitFor();
  await page.getByLabel("Mail these addresses when it is done").fill("marketer@example.com");
  await page.getByRole("button", { name: "Restore interaction data" }).click();

  await page.waitForURL(/\/console\/restores\//);
  await until("the restore is done", async () => {
    const again = page.getByRole("link", { name: "Look again" });
    if (await again.count()) await again.click();
    return await page.getByText("4 of 4 sources, ended on").count();
  });
  await picture(page, "plain-3-restored");
  await mailTo(rekindle, "marketer@example.com");

  await page.getByRole("link", { name: "Spring sale" }).click();
  await page.getByText("600 users").waitFor();
  await page.getByRole("link", { name: "Count by channel and variant" }).click();
  await page.getByRole("heading", { name: "Long subject" }).waitFor();
  await picture(page, "plain-4-counts");
  noErrors(page);
});
