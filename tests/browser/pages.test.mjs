// Every page, in both themes and three widths: nobody is shut out, nothing is wider than the window, and a picture is kept.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { accessible, fits, launch, noErrors, picture, reader, signIn } from "./browser.mjs";
import { Rekindle } from "./rekindle.mjs";
import { HOSTILE, seed } from "./seed.mjs";

const THEMES = ["light", "dark"];
const WIDTHS = [360, 1280, 2560];

/** A filter with groups. */
const FILTER = JSON.stringify({
  all: [
    { received: { source: "campaign/vip-launch", channel: "email" } },
    { any: [{ not: { clicked: { source: "campaign/vip-launch" } } }, { segment: "vip" }] },
  ],
});

/** The pages: a name, an address, and what is done on it before it is looked at. */
const PAGES = [
  ["list", "/console"],
  ["list-ticked", "/console?state=expired", (page) => tickAll(page)],
  ["list-nothing-matches", "/console?q=nothing+has+these+words"],
  ["review-restore", "/console?state=expired", (page) => review(page, "Restore interaction data")],
  ["review-pin", "/console?status=active", (page) => review(page, "Pin")],
  ["source-expired", "/console/campaigns/newsletter-march"],
  ["source-available", "/console/campaigns/spring-sale", (page) => breakDown(page)],
  ["source-held", "/console/campaigns/vip-launch"],
  ["source-pinned", "/console/campaigns/legal-notice"],
  ["source-draft", "/console/campaigns/spring-follow-up"],
  ["source-canvas", "/console/canvases/onboarding"],
  ["source-hostile", `/console/campaigns/hostile-${HOSTILE.length - 1}`],
  ["source-edit", "/console/campaigns/spring-sale/edit"],
  ["source-counts", "/console/campaigns/spring-sale/counts"],
  ["source-csv", "/console/campaigns/spring-sale/csv"],
  ["restores", "/console/restores"],
  ["restore", "/console/restores", (page) => page.locator("td.name a").first().click()],
  ["users", "/console/users"],
  ["user", "/console/users?user_id=user-0"],
  ["user-unknown", "/console/users?user_id=nobody"],
  ["audience", "/console/audiences"],
  ["audience-built", `/console/audiences?filter=${encodeURIComponent(FILTER)}`, (page) => page.getByText("users match").waitFor()],
  ["segments", "/console/segments"],
  ["segment", "/console/segments/vip"],
  ["expirations", "/console/expirations"],
  ["overview", "/console/overview"],
  ["keys", "/console/keys"],
  ["key-rotate", "/console/keys", (page) => page.getByRole("link", { name: "New secret for Berta" }).click()],
  ["key-revoke", "/console/keys", (page) => page.getByRole("link", { name: "Revoke Berta" }).click()],
  ["audit", "/console/audit"],
  ["outbox", "/console/local/outbox"],
  ["sample", "/console/local/sample"],
  ["nothing-here", "/console/nothing"],
];

async function tickAll(page) {
  await page.getByLabel("Tick all on this page").check();
  await page.getByText("A restore brings back").waitFor();
}

async function review(page, act) {
  await page.getByRole("checkbox").nth(1).check();
  await page.getByRole("button", { name: act, exact: true }).click();
  await page.getByRole("heading", { name: act }).waitFor();
}

async function breakDown(page) {
  await page.getByRole("link", { name: /^Count by/ }).click();
  await page.getByRole("heading", { name: "By channel", exact: true }).waitFor();
}

let browser, rekindle;
before(async () => {
  browser = await launch();
  rekindle = await Rekindle.start();
  await seed(rekindle);
  await rekindle.newKey("Berta", ["manage"]);
  await rekindle.post("/v1/restores", { sources: ["campaign/spring-sale"], notify: ["marketer@example.com"] });
});
after(async () => {
  await browser.close();
  await rekindle.kill();
});

for (const colorScheme of THEMES) {
  test(`every page, ${colorScheme}`, async (t) => {
    const page = await reader(browser, { colorScheme });
    await page.goto(`${rekindle.url}/console/sign-in`);
    await accessible(page, "sign-in");
    await picture(page, `page-sign-in-${colorScheme}-1280`);
    await signIn(page, rekindle);
    for (const [name, address, act] of PAGES) {
      await t.test(name, async () => {
        await page.setViewportSize({ width: 1280, height: 900 });
        await page.goto(rekindle.url + address);
        await act?.(page);
        for (const width of WIDTHS) {
          await page.setViewportSize({ width, height: 900 });
          await fits(page, `${name} at ${width} px`);
          if (width < 2560) await accessible(page, `${name} at ${width} px`);
          await picture(page, `page-${name}-${colorScheme}-${width}`);
        }
      });
    }
    noErrors(page, "status of 404");
  });
}

test("the switch changes the theme, and the browser remembers it", async () => {
  const page = await reader(browser);
  await signIn(page, rekindle);
  const ground = () => page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
  const light = await ground();
  await page.getByRole("button", { name: "Light or dark" }).click();
  const dark = await ground();
  assert.notEqual(dark, light);
  await page.reload();
  assert.equal(await ground(), dark);
  await page.getByRole("button", { name: "Light or dark" }).click();
  assert.equal(await ground(), light);
  noErrors(page);
});

test("times are the reader's, with UTC in the title", async () => {
  await rekindle.post("/v1/campaigns/autumn-guide/pin", { reason: "A test", until: "2099-12-31T20:00:00Z" });
  const days = { "Pacific/Kiritimati": "1 Jan 2100", "America/Los_Angeles": "31 Dec 2099" };
  for (const [timezoneId, day] of Object.entries(days)) {
    const page = await reader(browser, { timezoneId });
    await signIn(page, rekindle);
    await page.goto(`${rekindle.url}/console/campaigns/autumn-guide`);
    const time = page.locator("time[datetime^='2099-12-31T20']").first();
    assert.equal(await time.textContent(), day, timezoneId);
    assert.equal(await time.getAttribute("title"), "2099-12-31 20:00:00.000 UTC");
    noErrors(page);
  }
});

test("the first load is light, and nothing moves", async () => {
  await Promise.all(Array.from({ length: 50 }, (_, i) => rekindle.put(`/v1/campaigns/draft-${i}`, { tags: ["draft"] })));
  const page = await reader(browser);
  await signIn(page, rekindle);
  // A browser that has nothing yet, on a slow line.
  const cdp = await page.context().newCDPSession(page);
  await cdp.send("Network.enable");
  await cdp.send("Network.clearBrowserCache");
  await cdp.send("Network.emulateNetworkConditions", {
    offline: false,
    latency: 150,
    downloadThroughput: 200_000,
    uploadThroughput: 100_000,
  });
  for (const path of ["/console", "/console/campaigns/newsletter-march"]) {
    const sizes = new Map();
    const names = new Map();
    const sent = ({ requestId, request }) => names.set(requestId, request.url);
    const loaded = ({ requestId, encodedDataLength }) => sizes.set(names.get(requestId), encodedDataLength);
    cdp.on("Network.requestWillBeSent", sent).on("Network.loadingFinished", loaded);
    await cdp.send("Network.clearBrowserCache");
    await page.goto(rekindle.url + path, { waitUntil: "load" });
    cdp.off("Network.requestWillBeSent", sent).off("Network.loadingFinished", loaded);
    const bytes = [...sizes.values()].reduce((sum, size) => sum + size, 0);
    assert.ok(sizes.size >= 4, `${path} loads its page, style and scripts: ${[...sizes.keys()]}`);
    assert.ok(bytes <= 60_000, `${path} takes ${bytes} bytes: ${JSON.stringify([...sizes])}`);
    const shift = await page.evaluate(
      () =>
        new Promise((resolve) => {
          let sum = 0;
          const observer = new PerformanceObserver((list) => list.getEntries().forEach((entry) => (sum += entry.value)));
          observer.observe({ type: "layout-shift", buffered: true });
          requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(() => resolve(sum))));
        }),
    );
    assert.equal(shift, 0, `${path} shifts`);
  }
  noErrors(page);
});
