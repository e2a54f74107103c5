// Times in the reader's zone, the theme, ticks, keys, copying a new key, and a word when the server is away. Everything works
// without this.
"use strict";
const $ = (selector, within = document) => [...within.querySelectorAll(selector)];
const day = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });
const minute = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

function settle(within) {
  for (const time of $("time[datetime]", within)) {
    const at = new Date(time.dateTime);
    time.textContent = (Math.abs(Date.now() - at) < 2 * 864e5 ? minute : day).format(at);
  }
  for (const box of $("input[data-all]", within)) {
    box.hidden = false;
    box.onchange = () => $("input[name=source]", box.form).forEach((one) => (one.checked = box.checked));
  }
  for (const button of $("button[data-copy], #theme", within)) button.hidden = false;
  for (const form of $("form[data-send]", within)) form.requestSubmit();
}

const root = document.documentElement;
const named = (id) => document.getElementById(id);
if (localStorage.theme) root.dataset.theme = localStorage.theme;
function turn() {
  const now = root.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  root.dataset.theme = localStorage.theme = now === "dark" ? "light" : "dark";
}

// A part of the page that cannot be had stays as it is, and the page says why.
function away(why) {
  const word = named("away");
  word.textContent = why || word.dataset.says;
  word.hidden = false;
}
document.addEventListener("htmx:error", () => away());
document.addEventListener("htmx:before:swap", (event) => {
  const { response, text } = event.detail.ctx;
  if (!(response?.status >= 400) || response.headers.get("hx-retarget")) return (named("away").hidden = true);
  event.preventDefault();
  const page = new DOMParser().parseFromString(text, "text/html");
  away(response.status < 500 && page.querySelector("[role=alert]")?.textContent);
});
document.addEventListener("htmx:after:swap", () => settle(document));

// A form is sent once, however often its button is pressed.
document.addEventListener("submit", ({ target }) => {
  if (target.method === "post") setTimeout(() => $("button", target).forEach((one) => (one.disabled = true)));
});
addEventListener("pageshow", () => $("button:disabled").forEach((one) => (one.disabled = false)));

// Keys: / searches, the arrows go through the list, x ticks, Enter opens, ? lists the keys.
function step(by) {
  const rows = $("tbody tr:has(td.name)");
  const links = rows.map((row) => row.querySelector("td.name a")).filter(Boolean);
  const at = rows.findIndex((row) => row.contains(document.activeElement));
  const next = links[Math.min(Math.max(at + by, 0), links.length - 1)];
  if (next) next.focus();
}
document.addEventListener("click", async (event) => {
  if (event.target.id === "theme") turn();
  const button = event.target.closest("button[data-copy]");
  if (!button) return;
  await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
  button.textContent = "Copied";
});
document.addEventListener("keydown", (event) => {
  if (event.target.matches("input:not([type=checkbox]), textarea, select") || event.ctrlKey || event.metaKey || event.altKey) return;
  const act = {
    "/": () => $("input[type=search]")[0]?.focus(),
    "?": () => named("keys")?.showModal(),
    ArrowDown: () => step(1),
    ArrowUp: () => step(-1),
    x: () => document.activeElement.closest("tr")?.querySelector("input[name=source]")?.click(),
  }[event.key];
  if (!act || (event.key.startsWith("Arrow") && !$("tbody tr:has(td.name)").length)) return;
  event.preventDefault();
  act();
});
settle(document);
