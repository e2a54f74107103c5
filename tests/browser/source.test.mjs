// One campaign's page: a start that is refused, and what must come back first; the acts; two people at once; hostile names.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { launch, noErrors, picture, reader, signIn } from "./browser.mjs";
import { Rekindle } from "./rekindle.mjs";
import { HOSTILE, seed } from "./seed.mjs";

let browser, rekindle;
before(async () => {
  browser = await launch();
  rekindle = await Rekindle.start();
  await seed(rekindle, 60);
});
after(async () => {
  await browser.close();
  await rekindle.kill();
});

async function opened(path, options) {
  const page = await reader(browser, options);
  await signIn(page, rekindle);
  await page.goto(rekindle.url + path);
  return page;
}

test("a refused start names what must come back first, and starts after that", async () => {
  const page = await opened("/console/campaigns/spring-follow-up");
  await page.getByRole("button", { name: "Start" }).click();
  await page.getByRole("heading", { name: "spring-follow-up cannot start yet" }).waitFor();
  await page.getByRole("listitem").getByRole("link", { name: "spring-sale" }).waitFor();
  await picture(page, "refused-1-start");
  await page.getByRole("button", { name: "Restore, then start spring-follow-up" }).click();
  await page.getByRole("heading", { name: "Spring follow-up" }).waitFor();
  await page.getByText("spring-follow-up · Active").waitFor();
  await picture(page, "refused-2-started");
  const { status } = await rekindle.get("/v1/campaigns/spring-follow-up");
  assert.equal(status, "active");
  noErrors(page, "status of 409");
});

test("without scripts the start after the restore takes a press", async () => {
  await rekindle.put("/v1/campaigns/loyal-follow-up", { audience: { received: { source: "campaign/loyalty-week" } } });
  const page = await opened("/console/campaigns/loyal-follow-up", { javaScriptEnabled: false });
  await page.getByRole("button", { name: "Start" }).click();
  await page.getByRole("button", { name: "Restore, then start loyal-follow-up" }).click();
  const again = page.getByRole("link", { name: "Look again" });
  const start = page.getByRole("button", { name: "Start loyal-follow-up" });
  for (;;) {
    await again.or(start).waitFor();
    if (await start.count()) break;
    await again.click();
  }
  await start.click();
  await page.getByText("loyal-follow-up · Active").waitFor();
  noErrors(page, "status of 409");
});

test("stop, pin, unpin, delete and bring back", async () => {
  const page = await opened("/console/campaigns/black-friday");
  await page.getByRole("button", { name: "Stop" }).click();
  await page.getByText("is kept for the retention period").waitFor();
  await page.getByRole("button", { name: "Stop" }).click();
  await page.getByText("Stop: done for 1 campaign or Canvas.").waitFor();
  await page.getByRole("link", { name: "Black Friday teaser" }).click();
  await page.getByText(/Expires on/).waitFor();

  await page.getByRole("button", { name: "Pin" }).click();
  await page.getByLabel("Why the data is to be kept").fill("The yearly report");
  await page.getByLabel("Until").fill("2099-12-31");
  await page.getByRole("button", { name: "Pin" }).click();
  await page.getByText("Pin: done for 1 campaign or Canvas.").waitFor();
  await page.getByRole("link", { name: "Black Friday teaser" }).click();
  await page.getByText(/pinned until .*: The yearly report/).waitFor();
  await page.getByRole("button", { name: "Unpin" }).click();
  await page.getByText(/Expires on/).waitFor();

  await page.getByRole("button", { name: "Delete" }).click();
  await page.getByText("For a week it can be brought back").waitFor();
  await page.getByRole("button", { name: "Delete" }).click();
  await page.getByText("Delete: done for 1 campaign or Canvas.").waitFor();
  await page.getByLabel("Status").selectOption({ label: "Deleted" });
  await page.getByText("it can be brought back until").waitFor();
  await page.getByRole("checkbox", { name: "Black Friday teaser" }).check();
  await page.getByRole("button", { name: "Bring back" }).click();
  await page.getByRole("button", { name: "Bring back" }).click();
  await page.getByText("Bring back: done for 1 campaign or Canvas.").waitFor();
  noErrors(page);
});

test("a stop says whose data nothing keeps after it", async () => {
  const page = await opened("/console/campaigns/vip-launch");
  await page.getByText("Kept for vip-early-access through segment vip").waitFor();
  await page.getByRole("link", { name: "Campaign VIP early access" }).click();
  await page.getByRole("heading", { name: "VIP early access" }).waitFor();
  await page.getByRole("button", { name: "Stop" }).click();
  await page.getByText("Nothing else keeps the data of these any more:").waitFor();
  await page.getByText(/vip-launch expires on/).waitFor();
  await picture(page, "review-stop");
  noErrors(page);
});

test("two people edit one campaign: the later one is told, and nothing is lost", async () => {
  const path = "/console/campaigns/autumn-guide/edit";
  const anna = await opened(path);
  const made = await rekindle.newKey("Berta", ["manage"]);
  const berta = await reader(browser);
  await signIn(berta, rekindle, made.key);
  await berta.goto(rekindle.url + path);

  await anna.getByLabel("Name").fill("Autumn guide by Anna");
  await anna.getByRole("button", { name: "Save" }).click();
  await anna.getByRole("heading", { name: "Autumn guide by Anna" }).waitFor();

  await berta.getByLabel("Tags, one on each line").fill("autumn\nberta");
  await berta.getByRole("button", { name: "Save" }).click();
  const told = berta.getByRole("alert");
  await told.getByText("Somebody changed this while you were typing.").waitFor();
  await told.getByText("Autumn guide by Anna").waitFor();
  assert.equal(await berta.getByLabel("Tags, one on each line").inputValue(), "autumn\nberta");
  assert.equal((await rekindle.get("/v1/campaigns/autumn-guide")).name, "Autumn guide by Anna");
  await picture(berta, "conflict-edit");

  await berta.getByLabel("Name").fill("Autumn guide by Anna and Berta");
  await berta.getByRole("button", { name: "Save" }).click();
  await berta.getByRole("heading", { name: "Autumn guide by Anna and Berta" }).waitFor();
  const now = await rekindle.get("/v1/campaigns/autumn-guide");
  assert.deepEqual([now.name, now.tags], ["Autumn guide by Anna and Berta", ["autumn", "berta"]]);
  noErrors(anna);
  noErrors(berta, "status of 409");
});

test("a name that is not allowed comes back with the reason", async () => {
  const page = await opened("/console/campaigns/newsletter-march/edit");
  const tags = Array.from({ length: 21 }, (_, i) => `tag ${i}`).join("\n");
  await page.getByLabel("Tags, one on each line").fill(tags);
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByRole("alert").waitFor();
  assert.equal(await page.getByLabel("Tags, one on each line").inputValue(), tags);
  noErrors(page, "status of 422");
});

test("hostile names are text on every page", async () => {
  const page = await opened("/console?q=");
  for (const name of HOSTILE) await page.getByRole("link", { name, exact: true }).first().waitFor();
  for (const [i, name] of HOSTILE.entries()) {
    for (const of of ["", "/edit", "/counts", "/csv"]) {
      await page.goto(`${rekindle.url}/console/campaigns/hostile-${i}${of}`);
      assert.match(await page.title(), /Rekindle$/);
      if (!of) assert.equal(await page.getByRole("heading", { level: 1 }).textContent(), name);
    }
  }
  await picture(page, "hostile-csv");
  assert.equal(await page.locator("main script, main img").count(), 0);
  noErrors(page);
});

test("the counts are those of the API, and the CSV is downloaded", async () => {
  const page = await opened("/console/campaigns/vip-launch");
  await page.getByText("60 users").waitFor();
  await page.getByRole("link", { name: "Download as CSV" }).click();
  const coming = page.waitForEvent("download");
  await page.getByRole("link", { name: "Download" }).click();
  const download = await coming;
  assert.equal(download.suggestedFilename(), "vip-launch-1.csv");
  noErrors(page);
});
