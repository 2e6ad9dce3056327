// What pages do beyond links and forms: parts that stay fresh, and selections. Everything that reads works without it.
"use strict";

(() => {
  const REFRESH_MS = 2000;
  const offline = document.querySelector(".offline");

  // Parts that show how things are now ask for themselves again, while somebody looks.
  setInterval(() => {
    if (document.hidden) return;
    for (const part of document.querySelectorAll("[data-live]")) {
      // What somebody reads with the keyboard or has selected is not taken from under their hands.
      if (part.contains(document.activeElement) || selects(part)) continue;
      htmx.trigger(part, "refresh");
    }
  }, REFRESH_MS);

  function selects(part) {
    const selection = document.getSelection();
    return selection !== null && !selection.isCollapsed && part.contains(selection.anchorNode);
  }

  document.addEventListener("htmx:sendError", () => { if (offline) offline.hidden = false; });
  document.addEventListener("htmx:afterRequest", (event) => {
    if (offline && event.detail.xhr.status > 0) offline.hidden = true;
  });

  // The version that the slider stands at is shown while it moves.
  document.addEventListener("input", (event) => {
    const output = event.target.id === "version" && document.getElementById("shown-version");
    if (output) output.value = event.target.value;
  });

  // One box selects all of its list.
  for (const all of document.querySelectorAll("[data-all]")) {
    all.hidden = false;
    const boxes = () => all.closest("table").querySelectorAll("tbody input[type=checkbox]");
    all.addEventListener("change", () => boxes().forEach((box) => { box.checked = all.checked; }));
  }
})();
