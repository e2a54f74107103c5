// The people who read the console: browsers with a session, which notice every error that a page makes.
import assert from "node:assert/strict";
import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { PATIENCE } from "./rekindle.mjs";

const installed = createRequire(new URL("../../target/browser/", import.meta.url));
const { chromium } = installed("playwright-core");
const AXE = readFileSync(installed.resolve("axe-core/axe.min.js"), "utf8");
const SCREENSHOTS = new URL("../../target/browser/screenshots/", import.meta.url).pathname;

/** Starts Debian's Chromium without a window. */
export function launch() {
  return chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox", "--font-render-hinting=none"] });
}

/**
 * A reader with cookies of their own, on an empty page. `errors` takes what goes wrong in their pages: errors of scripts, and
 * all that Chromium writes as errors, among them breaches of the content security policy.
 */
export async function reader(browser, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, locale: "en-GB", ...options });
  context.setDefaultTimeout(PATIENCE);
  const errors = [];
  context.on("console", (message) => {
    if (message.type() === "error") errors.push(`${message.page()?.url()}: ${message.text()}`);
  });
  context.on("weberror", (error) => errors.push(String(error.error().stack)));
  const page = await context.newPage();
  return Object.assign(page, { errors });
}

/** Signs a reader in with a key, as a person does. */
export async function signIn(page, rekindle, key = rekindle.key) {
  await page.goto(`${rekindle.url}/console/sign-in`);
  await page.getByLabel("Your key").fill(key);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.waitForURL(`${rekindle.url}/console`);
}

/** Fails if a page of the reader made an error, other than those that the test caused. */
export function noErrors(page, ...caused) {
  const errors = page.errors.filter((error) => !caused.some((text) => error.includes(text)));
  assert.deepEqual(errors, []);
}

/** Keeps a picture of the page, for people to look at. */
export async function picture(page, name, options = {}) {
  mkdirSync(SCREENSHOTS, { recursive: true });
  await page.screenshot({ path: `${SCREENSHOTS}${name}.png`, animations: "disabled", fullPage: true, ...options });
}

/** Fails if axe finds something on the page that shuts somebody out. */
export async function accessible(page, where) {
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => globalThis.axe.run({ resultTypes: ["violations"] }));
  const said = violations.map(({ id, help, nodes }) => ({ id, help, nodes: nodes.map((node) => node.html).slice(0, 5) }));
  assert.deepEqual(said, [], where);
}

/** Fails if a page is wider than its window. */
export async function fits(page, where) {
  const wide = await page.evaluate(() => {
    const { scrollWidth, clientWidth } = document.documentElement;
    if (scrollWidth <= clientWidth) return [];
    const inner = [...document.querySelectorAll("body *")].filter((one) => one.getBoundingClientRect().right > clientWidth);
    return [`${scrollWidth} px`, ...inner.map((one) => one.outerHTML.slice(0, 120))];
  });
  assert.deepEqual(wide, [], where);
}
