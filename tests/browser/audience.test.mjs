// The audience builder: a filter by clicks alone, with its count as it changes; each filter of the reference there and back.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { launch, noErrors, picture, reader, signIn } from "./browser.mjs";
import { Rekindle, until } from "./rekindle.mjs";
import { seed } from "./seed.mjs";

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

const SALE = { source: "campaign/spring-sale" };
const CANVAS = { source: "canvas/onboarding" };
const TIMES = { after: "2026-01-01T00:00:00.000Z", before: "2030-01-01T00:00:00.000Z" };

/** The filters of the table in docs/api.md, with their fields. */
const FILTERS = [
  { received: { ...SALE, channel: "email", variant: "a" } },
  { received: { tag: "promo" } },
  { last_received: { any: true, more_than: "P30D" } },
  { opened: { ...CANVAS, variation: "v1", step: "hello", opens: "human", ...TIMES } },
  { clicked: { ...SALE, alias: "cta", clicks: "human", less_than: "P3M" } },
  { delivered: { ...SALE, channel: "sms" } },
  { dismissed: { tag: "promo", ...TIMES } },
  { replied: { any: true } },
  { bounced: { ...SALE, bounce: "hard" } },
  { converted: { ...SALE, conversion: 3, ever: true } },
  { converted: { any: true, ...TIMES } },
  { entered: { ...CANVAS, variation: "v1" } },
  { in_control: { ...SALE, is: false } },
  { last_engaged: { tag: "promo", opens: "human", clicks: "machine", ...TIMES } },
  { never_received: { channel: "push" } },
  { hard_bounced: { channel: "email" } },
  { marked_spam: {} },
  { unsubscribed: { channel: "sms" } },
  { last_in_control: TIMES },
  { segment: "vip" },
  { all: [{ received: SALE }, { not: { clicked: SALE } }] },
  { any: [{ all: [{ segment: "vip" }, { marked_spam: {} }] }, { not: { any: [{ received: SALE }, { opened: CANVAS }] } }] },
  { not: { received: SALE } },
];

/** The keys of the table of filters in docs/api.md. */
function keysOfReference() {
  const text = readFileSync(new URL("../../docs/api.md", import.meta.url), "utf8");
  const rows = text.split("\n## Filters\n")[1].split("\n## ")[0].split("\n").filter((line) => line.startsWith('| `{"'));
  return new Set(rows.flatMap((row) => [...row.split(" | ")[0].matchAll(/`\{"(\w+)"/g)].map((found) => found[1])));
}

/** The keys that filters have, at every depth. */
function keysOf(filter) {
  const [[key, value]] = Object.entries(filter);
  const below = key === "all" || key === "any" ? value : key === "not" ? [value] : [];
  return [key, ...below.flatMap(keysOf)];
}

for (const javaScriptEnabled of [true, false]) {
  test(`each filter of the reference, there and back, ${javaScriptEnabled ? "with" : "without"} scripts`, async () => {
    assert.deepEqual(new Set(FILTERS.flatMap(keysOf)), keysOfReference());
    const page = await reader(browser, { javaScriptEnabled });
    await signIn(page, rekindle);
    for (const filter of FILTERS) {
      const text = JSON.stringify(filter);
      const { filter: written } = await rekindle.put("/v1/segments/there-and-back", { filter });
      await page.goto(`${rekindle.url}/console/audiences?filter=${encodeURIComponent(text)}`);
      await page.getByLabel("What users did", { exact: false }).first().waitFor();
      assert.equal(await page.getByLabel("Part of the filter as JSON").count(), 0, `${text} is shown in fields`);
      await page.getByRole("button", { name: "Edit as JSON" }).click();
      const json = page.getByLabel("The filter as JSON", { exact: true });
      await json.waitFor();
      assert.deepEqual(JSON.parse(await json.inputValue()), written);
      await page.getByRole("button", { name: "Build by choosing" }).click();
      await page.getByRole("button", { name: "Edit as JSON" }).click();
      await json.waitFor();
      assert.deepEqual(JSON.parse(await json.inputValue()), written);
    }
    noErrors(page);
  });
}

test("a filter that no field shows stays as JSON", async () => {
  const filter = { all: [{ received: SALE }, { not: { not: { marked_spam: {} } } }] };
  const page = await reader(browser);
  await signIn(page, rekindle);
  await page.goto(`${rekindle.url}/console/audiences?filter=${encodeURIComponent(JSON.stringify(filter))}`);
  await page.getByLabel("Part of the filter as JSON").waitFor();
  await picture(page, "audience-part-as-json");
  await page.getByRole("button", { name: "Edit as JSON" }).click();
  assert.deepEqual(JSON.parse(await page.getByLabel("The filter as JSON", { exact: true }).inputValue()), filter);
  noErrors(page);
});

/** The number of users in the answer beside the builder. */
async function answer(page, text) {
  await page.locator("#answer").getByText(text).first().waitFor();
}

test("built by clicks: the count follows, the archive tells, the members are listed, and it is saved", async () => {
  const page = await reader(browser);
  await signIn(page, rekindle);
  await page.getByRole("link", { name: "Audiences" }).click();
  await page.getByRole("searchbox", { name: "Campaign or Canvas" }).fill("vip launch");
  await page.getByRole("button", { name: /VIP launch/ }).click();
  await answer(page, "60 users match");

  await page.getByRole("button", { name: "Add condition" }).click();
  await page.getByLabel("Whether it holds, condition 2").selectOption({ label: "Everyone but users who" });
  await page.getByLabel("What users did, condition 2").selectOption("clicked");
  await page.getByRole("searchbox", { name: "Campaign or Canvas" }).fill("vip launch");
  await page.getByRole("button", { name: /VIP launch/ }).click();
  await answer(page, "48 users match");
  await picture(page, "audience-built");

  await page.getByRole("button", { name: "Show the users" }).click();
  await page.getByRole("heading", { name: "Members" }).waitFor();
  await picture(page, "audience-members");
  await page.getByRole("button", { name: "Back to the builder" }).click();
  await answer(page, "48 users match");

  await page.getByLabel("Name").fill("Did not click");
  await page.getByLabel("Id", { exact: true }).fill("did-not-click");
  await page.getByRole("button", { name: "Save as a segment" }).click();
  await page.getByRole("heading", { name: "Did not click" }).waitFor();
  await page.getByText("No audience and no other segment names this segment.").waitFor();
  await picture(page, "segment");
  const { filter } = await rekindle.get("/v1/segments/did-not-click");
  const launch = { source: "campaign/vip-launch" };
  assert.deepEqual(filter, { all: [{ received: launch }, { not: { clicked: launch } }] });
  noErrors(page);
});

test("expired data makes users unknown, and the archive tells of them", async () => {
  const page = await reader(browser);
  await signIn(page, rekindle);
  await page.goto(`${rekindle.url}/console/campaigns/newsletter-march`);
  await page.getByRole("link", { name: "Build an audience" }).click();
  await answer(page, "60");
  await page.locator("#answer").getByText("more users may match").waitFor();
  await picture(page, "audience-unknown");
  await page.getByLabel(/Read expired data from the archive/).check();
  await answer(page, "60 users match");
  await page.locator("#answer").getByText("more users may match").waitFor({ state: "hidden" });
  noErrors(page);
});

test("one user's match, with why", async () => {
  const page = await reader(browser);
  await signIn(page, rekindle);
  await page.goto(`${rekindle.url}/console/audiences?segment=vip`);
  await page.getByLabel("User id").fill("user-5");
  await page.getByRole("button", { name: "Check" }).click();
  await page.locator("#match").getByText("is in this audience.").waitFor();
  await picture(page, "audience-match");
  noErrors(page);
});
