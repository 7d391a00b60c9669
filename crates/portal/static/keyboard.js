// Keys: / search, ? the list of keys, j k Enter through rows, g and a letter to a section. None with a modifier, none
// while somebody types.

const typing = (at) => at.closest?.("input, textarea, select, [contenteditable], dialog");
const rows = () => [...document.querySelectorAll("main .table tbody tr")].filter((row) => row.querySelector("a[href]"));
let waits = 0;

function help() {
  document.getElementById("keys")?.showModal();
}

function step(by) {
  const all = rows();
  if (!all.length) return;
  const was = all.findIndex((row) => row.classList.contains("current"));
  const next = was < 0 ? (by > 0 ? 0 : all.length - 1) : Math.min(Math.max(was + by, 0), all.length - 1);
  all[was]?.classList.remove("current");
  all[next].classList.add("current");
  (all[next].querySelector(".rowlink") || all[next].querySelector("a[href]")).focus();
  all[next].scrollIntoView({ block: "nearest" });
}

function section(letter) {
  const entry = document.querySelector(`.rail a[data-key="${CSS.escape(letter)}"]`);
  if (entry) location.assign(entry.href);
}

const keys = {
  "/": () => {
    const field = document.getElementById("q");
    field?.focus();
    field?.select();
  },
  "?": help,
  j: () => step(1),
  k: () => step(-1),
  g: () => {
    waits = performance.now();
  },
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || typing(event.target)) return;
  if (waits && performance.now() - waits < 1500) {
    waits = 0;
    return section(event.key);
  }
  waits = 0;
  const act = keys[event.key];
  if (!act) return;
  event.preventDefault();
  act();
});

document.addEventListener("click", (event) => {
  if (!event.target.closest("[data-open='keys']")) return;
  event.preventDefault();
  help();
});
