// Two pages of an offer, made quicker: the link is rebuilt while somebody types, and a test's trace grows as it happens.
// What is right and wrong is the server's to say; this only asks it again.

// Puts a newer state of a part in its place, and leaves alone what its reader did there: where the focus is, what is
// unfolded.
function renew(place, html) {
  if (place.innerHTML === html) return;
  const stops = () => [...place.querySelectorAll("a[href], button, summary, [tabindex]")];
  const folds = () => [...place.querySelectorAll("details")];
  const at = stops().indexOf(document.activeElement);
  const open = folds().map((fold) => fold.open);
  place.innerHTML = html;
  folds().forEach((fold, number) => (fold.open ||= open[number] ?? false));
  stops()[at]?.focus({ preventScroll: true });
}

const form = document.querySelector("form[data-customise]");
const made = document.getElementById("made");

if (form && made) {
  let timer;
  let running;
  const query = () => new URLSearchParams(new FormData(form)).toString();
  const rebuild = async () => {
    running?.abort();
    running = new AbortController();
    const asked = query();
    try {
      const answer = await fetch(`${form.dataset.customise}?${asked}`, { signal: running.signal });
      if (!answer.ok || answer.redirected) return;
      renew(made, await answer.text());
      history.replaceState(history.state, "", asked ? `?${asked}` : location.pathname);
    } catch {
      // Typed on, or offline: the button builds the link as well.
    }
  };
  // The address of a page without its empty fields is shorter and says the same.
  form.addEventListener("formdata", ({ formData }) => {
    for (const [name, value] of [...formData]) if (value === "") formData.delete(name);
  });
  form.addEventListener("input", (event) => {
    clearTimeout(timer);
    // Another tracker fills fields in: that is a new page.
    if (event.target.name === "preset") return form.requestSubmit();
    timer = setTimeout(rebuild, 150);
  });
}

const live = document.querySelector("[data-live]");
if (live) {
  const watch = document.getElementById("watch");
  const source = new EventSource(live.dataset.live);
  source.addEventListener("trace", (event) => {
    renew(live, event.data);
  });
  source.addEventListener("end", () => {
    source.close();
    if (watch) watch.textContent = "Nothing more is expected by itself.";
  });
  addEventListener("pagehide", () => source.close());
}
