// The hair line of charts: it follows the pointer anyway (the style sheet does that); here it follows the arrow keys,
// and says what it points at.

for (const plot of document.querySelectorAll(".chart svg.plot")) {
  const points = [...plot.querySelectorAll(".point")];
  let at = -1;

  const show = (next) => {
    points[at]?.classList.remove("at");
    at = next;
    const point = points[at];
    if (!point) return;
    point.classList.add("at");
    const words = [...point.querySelectorAll(".tip text")].map((line) => line.textContent);
    plot.setAttribute("aria-label", words.join(", "));
  };

  plot.addEventListener("keydown", (event) => {
    const last = points.length - 1;
    const to = {
      ArrowLeft: at < 0 ? last : Math.max(at - 1, 0),
      ArrowRight: at < 0 ? last : Math.min(at + 1, last),
      Home: 0,
      End: last,
      Escape: -1,
    }[event.key];
    if (to === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    show(to);
  });
  const clear = () => {
    show(-1);
    plot.removeAttribute("aria-label");
  };
  plot.addEventListener("blur", clear);
  plot.addEventListener("pointerenter", clear);
}
