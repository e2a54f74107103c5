// README's pictures: the list with some campaigns ticked, and the banner of one whose data has expired. Only when asked for, by
// REKINDLE_REWRITE=1, since the files belong to the repository.
import { test } from "node:test";
import { launch, reader, signIn } from "./browser.mjs";
import { Rekindle } from "./rekindle.mjs";

const DOCS = new URL("../../docs/", import.meta.url).pathname;

test("README's pictures", { skip: !process.env.REKINDLE_REWRITE }, async (t) => {
  const rekindle = await Rekindle.start({ options: ["--sample"] });
  t.after(() => rekindle.kill());
  const browser = await launch();
  t.after(() => browser.close());
  const page = await reader(browser, { viewport: { width: 1280, height: 860 } });
  await signIn(page, rekindle);
  const expired = page.getByRole("row").filter({ has: page.locator('[data-state="Expired"]') });
  for (let i = 0; i < 3; i++) await expired.nth(i).getByRole("checkbox").check();
  await page.getByText("A restore brings back 3: up to").waitFor();
  await page.mouse.move(0, 0);
  await page.evaluate(() => scrollTo(0, 0));
  await page.screenshot({ path: `${DOCS}console-list.png` });

  const { items } = await rekindle.get("/v1/campaigns?state=expired&tag=promo");
  const id = items.find((one) => one.variants?.length).source.split("/")[1];
  await page.goto(`${rekindle.url}/console/campaigns/${id}`);
  await page.screenshot({ path: `${DOCS}console-banner.png`, clip: { x: 0, y: 0, width: 1280, height: 620 } });
});
