// What goes wrong around a page: the server goes away, a session ends, an address leads nowhere, a key may not.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { launch, noErrors, picture, reader, signIn } from "./browser.mjs";
import { Rekindle, until } from "./rekindle.mjs";
import { seedMany } from "./seed.mjs";

const AWAY = "Rekindle does not answer.";

let browser;
before(async () => (browser = await launch()));
after(() => browser.close());

test("the server goes away during a restore: the page says so, and goes on", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "rekindle-browser-"));
  let rekindle = await Rekindle.start({ folder });
  t.after(async () => {
    await rekindle.kill();
    rmSync(folder, { recursive: true });
  });
  const ids = await seedMany(rekindle, 400);
  const page = await reader(browser);
  await page.goto(rekindle.link);
  await page.goto(`${rekindle.url}/console?state=expired`);
  await page.getByLabel("Tick all on this page").check();
  await page.getByLabel("All that match, on every page").check();
  await page.getByRole("button", { name: "Restore interaction data" }).click();
  await page.getByRole("button", { name: "Restore interaction data" }).click();
  await page.waitForURL(/\/console\/restores\//);
  await page.evaluate(() => (window.isSamePage = true));
  await page.getByText(/^(Waiting|Under way)$/).first().waitFor();

  await rekindle.kill();
  await page.getByText(AWAY).waitFor();
  await picture(page, "away-restore", { fullPage: false });
  rekindle = await Rekindle.start({ folder, port: rekindle.port });
  await page.getByText(AWAY).waitFor({ state: "hidden" });
  await page.getByText(`${ids.length} of ${ids.length} campaigns and Canvases, ended on`).waitFor();
  assert.ok(await page.evaluate(() => window.isSamePage), "the page goes on without a reload");
  noErrors(page, "net::ERR_", "Failed to fetch");
});

test("a session that ends in the middle of a form: sign in, and the form is still filled", async (t) => {
  const rekindle = await Rekindle.start();
  t.after(() => rekindle.kill());
  await rekindle.put("/v1/campaigns/spring-sale", { name: "Spring sale" });
  for (const javaScriptEnabled of [true, false]) {
    const made = await rekindle.newKey("Berta", ["manage"]);
    const page = await reader(browser, { javaScriptEnabled });
    await signIn(page, rekindle, made.key);
    await page.goto(`${rekindle.url}/console/campaigns/spring-sale/edit`);
    const name = `Spring sale ${javaScriptEnabled}`;
    await page.getByLabel("Name").fill(name);
    await rekindle.send("DELETE", `/v1/keys/${made.id}`);
    // Other requests know a key for some seconds; the page that asks for it shows that it has ended.
    await until("the session has ended", async () => {
      const answer = await page.context().request.get(`${rekindle.url}/console/campaigns/spring-sale`);
      return answer.url().includes("/sign-in");
    });
    await page.getByRole("button", { name: "Save" }).click();
    await page.getByText("Your session has ended. Sign in again.").waitFor();
    await picture(page, "session-ended");
    await page.getByLabel("Your key").fill(rekindle.key);
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByRole("heading", { name: "You are signed in again" }).waitFor();
    await page.getByText(name).waitFor();
    await picture(page, "session-again");
    await page.getByRole("button", { name: "Send it" }).click();
    await page.getByRole("heading", { name }).waitFor();
    assert.equal((await rekindle.get("/v1/campaigns/spring-sale")).name, name);
    noErrors(page, "status of 401");
  }
});

test("a page that asks by itself says that its session has ended", async (t) => {
  const rekindle = await Rekindle.start();
  t.after(() => rekindle.kill());
  const made = await rekindle.newKey("Berta", ["read"]);
  const page = await reader(browser);
  await signIn(page, rekindle, made.key);
  await page.getByRole("link", { name: "Outbox" }).click();
  await page.getByText("No mail yet.").waitFor();
  await rekindle.send("DELETE", `/v1/keys/${made.id}`);
  await page.locator("#signed-out").getByRole("link").waitFor();
  await picture(page, "session-ended-live", { fullPage: false });
  noErrors(page, "status of 401");
});

test("sessions, addresses and scopes", async (t) => {
  const rekindle = await Rekindle.start();
  t.after(() => rekindle.kill());
  await rekindle.put("/v1/campaigns/spring-sale", { name: "Spring sale" });

  await t.test("the link signs in once, and leaves the address", async () => {
    const page = await reader(browser);
    await page.goto(rekindle.link);
    assert.equal(page.url(), `${rekindle.url}/console`);
    const other = await reader(browser);
    await other.goto(rekindle.link);
    await other.getByRole("heading", { name: "Sign in to Rekindle" }).waitFor();
    noErrors(page);
  });

  await t.test("signing out ends the session of this browser", async () => {
    const page = await reader(browser);
    await signIn(page, rekindle);
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByRole("heading", { name: "Sign in to Rekindle" }).waitFor();
    await page.goto(`${rekindle.url}/console/restores`);
    await page.getByRole("heading", { name: "Sign in to Rekindle" }).waitFor();
    await page.getByLabel("Your key").fill(rekindle.key);
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.waitForURL(`${rekindle.url}/console/restores`);
    noErrors(page);
  });

  await t.test("a wrong key is refused in words", async () => {
    const page = await reader(browser);
    await page.goto(`${rekindle.url}/console/sign-in`);
    await page.getByLabel("Your key").fill("open sesame");
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByRole("alert").getByText("This is not a key").waitFor();
    await picture(page, "sign-in-refused");
    noErrors(page, "status of 403");
  });

  await t.test("a key that may only read sees no button that changes something", async () => {
    const made = await rekindle.newKey("Reader", ["read"]);
    const page = await reader(browser);
    await signIn(page, rekindle, made.key);
    assert.equal(await page.getByRole("checkbox").count(), 0);
    await page.getByRole("link", { name: "Spring sale" }).click();
    await page.getByRole("heading", { name: "Spring sale" }).waitFor();
    assert.deepEqual(await page.locator("main").getByRole("button").allTextContents(), []);
    assert.equal(await page.getByRole("link", { name: "Keys" }).count(), 0);
    await page.goto(`${rekindle.url}/console/campaigns/spring-sale/edit`);
    await page.getByRole("alert").getByText("Yours may").waitFor();
    noErrors(page, "status of 403", "status of 409");
  });

  await t.test("an address that leads nowhere says so", async () => {
    const page = await reader(browser);
    await signIn(page, rekindle);
    for (const path of ["/console/campaigns/nothing", "/console/nothing", "/console/restores/nothing", "/console/x/y"]) {
      const answer = await page.goto(rekindle.url + path);
      assert.equal(answer.status(), 404, path);
      await page.getByRole("heading", { name: "There is nothing here" }).waitFor();
      await page.getByRole("link", { name: "To the list of campaigns and Canvases" }).waitFor();
    }
    await picture(page, "nothing-here");
    noErrors(page, "status of 404");
  });
});
