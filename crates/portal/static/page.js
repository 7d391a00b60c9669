// Small improvements of every page: the switch of colours without a new page, relative times that stay true, menus
// that close, forms that are sent once.

const root = document.documentElement;

/** Tells a screen reader, and everybody else for a moment. */
function say(words) {
  document.dispatchEvent(new CustomEvent("say", { detail: words }));
}

let hide;
document.addEventListener("say", ({ detail }) => {
  const live = document.getElementById("live");
  if (!live) return;
  live.textContent = detail;
  live.classList.add("shown");
  clearTimeout(hide);
  hide = setTimeout(() => live.classList.remove("shown"), 2500);
});

for (const form of document.querySelectorAll("form.themes")) {
  form.addEventListener("submit", (event) => {
    const pressed = event.submitter;
    if (!pressed?.value) return;
    event.preventDefault();
    root.dataset.theme = pressed.value;
    document.cookie = `theme=${pressed.value}; Path=/; Max-Age=31536000; SameSite=Lax`;
    for (const button of form.elements) button.setAttribute("aria-pressed", String(button === pressed));
    say(`Colours: ${pressed.textContent.trim()}`);
  });
}

// The server's clock made the page; only what has passed since then is counted here.
const made = Number(document.body.dataset.now) || Date.now();
const opened = performance.now();
const units = [[86_400_000, "d"], [3_600_000, "h"], [60_000, "min"], [1_000, "s"]];

function ago(ms) {
  const unit = units.find(([size]) => Math.abs(ms) >= size);
  if (!unit) return "just now";
  const text = `${Math.floor(Math.abs(ms) / unit[0])}\u00a0${unit[1]}`;
  return ms < 0 ? `in ${text}` : `${text} ago`;
}

function refresh() {
  const now = made + performance.now() - opened;
  for (const time of document.querySelectorAll("time[data-ms]")) {
    const words = ago(now - Number(time.dataset.ms));
    if (time.textContent !== words) time.textContent = words;
  }
}
if (document.querySelector("time[data-ms]")) setInterval(refresh, 10_000);

document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  const menu = event.target.closest?.("details.menu[open]");
  if (!menu) return;
  menu.open = false;
  menu.querySelector("summary").focus();
});

// A second press while the first is on its way would only confuse.
document.addEventListener("submit", (event) => {
  if (event.defaultPrevented || event.target.method !== "post") return;
  const button = event.submitter;
  setTimeout(() => button?.setAttribute("aria-busy", "true"), 300);
});
addEventListener("pageshow", ({ persisted }) => {
  if (!persisted) return;
  for (const button of document.querySelectorAll("[aria-busy='true']")) button.removeAttribute("aria-busy");
});

document.querySelector(".notice[role='alert']:not(.gallery *)")?.focus();
