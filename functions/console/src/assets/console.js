// Times in the reader's zone, the theme, "tick all on the page", and copying a new key. Everything works without this.
"use strict";
const day = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });
function settle(root) {
  for (const time of root.querySelectorAll("time[datetime]")) {
    time.textContent = day.format(new Date(time.dateTime));
  }
  for (const box of root.querySelectorAll("input[data-all]")) {
    box.hidden = false;
    box.addEventListener("change", () => {
      for (const one of box.closest("form").querySelectorAll("input[name=source]")) one.checked = box.checked;
      tell(box.closest("form"));
    });
  }
  for (const button of root.querySelectorAll("button[data-copy]")) button.hidden = false;
  for (const form of root.querySelectorAll("form[data-ticks]")) {
    form.addEventListener("change", () => tell(form));
    tell(form);
  }
}
function tell(form) {
  const ticked = form.querySelectorAll("input[name=source]:checked").length;
  const out = form.querySelector("output");
  if (out) out.textContent = ticked ? `${ticked} ticked` : "";
}
const theme = document.getElementById("theme");
const root = document.documentElement;
if (localStorage.theme) root.dataset.theme = localStorage.theme;
if (theme) {
  theme.hidden = false;
  theme.addEventListener("click", () => {
    const isDark = (root.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
    root.dataset.theme = localStorage.theme = isDark ? "light" : "dark";
  });
}
document.addEventListener("click", async (event) => {
  const button = event.target.closest("button[data-copy]");
  if (!button) return;
  await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
  button.textContent = "Copied";
});
document.addEventListener("keydown", (event) => {
  if (event.target.matches("input, textarea, select") || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "/") {
    const search = document.querySelector("input[type=search]");
    if (search) { search.focus(); event.preventDefault(); }
  }
});
document.addEventListener("htmx:after:swap", (event) => settle(event.target));
settle(document);
