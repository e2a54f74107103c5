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
  for (const button of $("button[data-copy]", within)) button.hidden = false;
  for (const form of $("form[data-send]", within)) form.requestSubmit();
}

const root = document.documentElement;
const theme = document.getElementById("theme");
if (localStorage.theme) root.dataset.theme = localStorage.theme;
if (theme) {
  theme.hidden = false;
  theme.onclick = () => {
    const now = root.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
    root.dataset.theme = localStorage.theme = now === "dark" ? "light" : "dark";
  };
}

const away = document.getElementById("away");
document.addEventListener("htmx:error", () => (away.hidden = false));
document.addEventListener("htmx:before:swap", (event) => {
  const isAway = event.detail.ctx.response?.status >= 500;
  if (isAway) event.preventDefault();
  away.hidden = !isAway;
});
document.addEventListener("htmx:after:swap", () => settle(document));

// Keys: / searches, the arrows go through the list, x ticks, Enter opens, ? lists the keys.
const keys = document.getElementById("keys");
function step(by) {
  const rows = $("tbody tr:has(td.name)");
  const links = rows.map((row) => row.querySelector("td.name a")).filter(Boolean);
  const at = rows.findIndex((row) => row.contains(document.activeElement));
  const next = links[Math.min(Math.max(at + by, 0), links.length - 1)];
  if (next) next.focus();
}
document.addEventListener("click", async (event) => {
  const button = event.target.closest("button[data-copy]");
  if (!button) return;
  await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
  button.textContent = "Copied";
});
document.addEventListener("keydown", (event) => {
  if (event.target.matches("input:not([type=checkbox]), textarea, select") || event.ctrlKey || event.metaKey || event.altKey) return;
  const act = {
    "/": () => $("input[type=search]")[0]?.focus(),
    "?": () => keys?.showModal(),
    ArrowDown: () => step(1),
    ArrowUp: () => step(-1),
    x: () => document.activeElement.closest("tr")?.querySelector("input[name=source]")?.click(),
  }[event.key];
  if (!act || (event.key.startsWith("Arrow") && !$("tbody tr:has(td.name)").length)) return;
  event.preventDefault();
  act();
});
settle(document);
