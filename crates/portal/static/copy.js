// Copy buttons: the exact value, and a word that it is done.

function say(words) {
  document.dispatchEvent(new CustomEvent("say", { detail: words }));
}

async function copy(text) {
  if (navigator.clipboard && isSecureContext) return navigator.clipboard.writeText(text);
  // Without a secure context the old way is the only one.
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "sr";
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  if (!done) throw new Error("refused");
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
    button.dispatchEvent(new CustomEvent("copied", { bubbles: true }));
  } catch {
    say("Not copied: the browser does not allow it here. Mark the text and copy it.");
  }
});
