// Copy buttons: the exact value, and a word that it is done.

function say(words) {
  document.dispatchEvent(new CustomEvent("say", { detail: words }));
}

async function copy(text) {
  if (navigator.clipboard && isSecureContext) return navigator.clipboard.writeText(text);
  // Without a secure context the old way is the only one; it takes the focus for a moment.
  const at = document.activeElement;
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "sr";
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  at?.focus();
  if (!done) throw new Error("refused");
}

// Some pages want to know that what stands there was copied: once is enough.
async function tell(place) {
  const address = place?.dataset.copied;
  if (!address) return;
  delete place.dataset.copied;
  try {
    await fetch(address, { method: "POST", redirect: "manual", keepalive: true });
  } catch {
    place.dataset.copied = address;
  }
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const label = button.dataset.label || "Text";
  try {
    await copy(button.dataset.copy);
    button.classList.add("done");
    setTimeout(() => button.classList.remove("done"), 1500);
    say(`Copied: ${label}`);
    tell(button.closest("[data-copied]"));
  } catch {
    say("Not copied: the browser does not allow it here. Mark the text and copy it.");
  }
});
