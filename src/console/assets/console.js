// What pages do beyond links and forms: refreshing parts, the live tail, selections. Every page that reads works without it.
"use strict";

(() => {
  const REFRESH_MS = 2000;
  const offline = document.querySelector(".offline");
  // The path of the console, which a reverse proxy may serve below another.
  const base = document.querySelector(".brand").getAttribute("href");

  // Live parts refresh themselves while the page is visible.
  setInterval(() => {
    if (document.hidden) return;
    for (const part of document.querySelectorAll("[data-live]")) {
      // A part with the keyboard focus or a selection is left alone.
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
    const { status } = event.detail.xhr;
    if (offline && status > 0) offline.hidden = status < 500;
  });

  // The version under the slider is shown while it moves.
  document.addEventListener("input", (event) => {
    const output = event.target.id === "version" && document.getElementById("shown-version");
    if (output) output.value = event.target.value;
  });

  // New events are put on top of the list, unless the reader pauses it.
  const tail = document.querySelector("[data-tail]");
  const list = document.querySelector("[data-tail-list]");
  if (tail && list) followTail(tail, list);

  function followTail(tail, list) {
    const LINES = 200;
    const button = tail.querySelector("[data-pause]");
    const state = tail.querySelector("[data-tail-state]");
    const WORDS = "New events appear here at once.";
    let held = [];
    let paused = false;
    let last = null;
    let source = null;
    tail.hidden = false;
    follow();
    // A browser has few connections to one host, so hidden pages close theirs.
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) source.close();
      else follow();
    });

    function follow() {
      if (source) source.close();
      const url = new URL(tail.dataset.tail, location.href);
      if (last !== null) url.searchParams.set("after", last);
      source = new EventSource(url);
      source.onmessage = take;
      source.onopen = () => { if (!paused) state.textContent = WORDS; };
      source.onerror = () => {
        state.textContent = source.readyState === EventSource.CLOSED
          ? "The live tail has ended; reload the page."
          : "The connection was lost; reconnecting.";
      };
    }

    function take(message) {
      const event = JSON.parse(message.data);
      last = event.id;
      if (paused) {
        held = [...held.slice(1 - LINES), event];
        state.textContent = `Paused; ${held.length === LINES ? `the last ${LINES}` : held.length} events wait.`;
      } else {
        show(event);
      }
    }

    button.addEventListener("click", () => {
      paused = !paused;
      button.setAttribute("aria-pressed", String(paused));
      button.textContent = paused ? "Resume" : "Pause";
      state.textContent = paused ? "Paused." : WORDS;
      if (!paused) held.splice(0).forEach(show);
    });

    function show(event) {
      list.prepend(line(event));
      while (list.children.length > LINES) list.lastElementChild.remove();
    }
  }

  // A list item, as the service renders it too (`event_line`). All content is set as text.
  function line(event) {
    const item = document.createElement("li");
    const isAccount = /^[0-9]+$/.test(event.subject);
    const name = event.type.split(".").filter((part) => !/^v[0-9]+$/.test(part)).pop();
    const path = base + (isAccount ? `accounts/${event.subject}/events/${event.version}` : "acts");
    item.append(
      element("span", event.id, { class: "number" }), " ",
      element("time", event.time.replace("T", " ").slice(0, 23), { datetime: event.time, title: event.time }), " ",
      element("a", event.subject, isAccount ? { class: "number", href: path } : { href: path }), " ",
      element("strong", name.replaceAll("_", " ")), " ",
    );
    for (const [field, value] of Object.entries(event.data)) {
      if (value === null || value === "") continue;
      const detail = element("span", `${field}=`, { class: "detail" });
      detail.append(element("code", cut(typeof value === "string" ? value : JSON.stringify(value))));
      item.append(detail, " ");
    }
    const key = event.keyname === undefined ? "" : ` (${event.keyname})`;
    item.append(element("span", `by ${event.origin}${key}`, { class: "note" }));
    return item;
  }

  // Cuts as the service does (`truncate`).
  function cut(text) {
    const letters = Array.from(text);
    return letters.length > 200 ? `${letters.slice(0, 200).join("")}…` : text;
  }

  function element(tag, text, attributes = {}) {
    const made = document.createElement(tag);
    made.textContent = text;
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    return made;
  }

  // A file that is chosen or dropped fills the text field.
  const field = document.querySelector("[data-drop]");
  const choice = document.querySelector("[data-file]");
  if (field && choice) {
    const fill = async (file) => { if (file) field.value = await file.text(); };
    choice.hidden = false;
    choice.addEventListener("change", (event) => fill(event.target.files[0]));
    field.addEventListener("dragover", (event) => event.preventDefault());
    field.addEventListener("drop", (event) => {
      if (event.dataTransfer.files.length === 0) return;
      event.preventDefault();
      fill(event.dataTransfer.files[0]);
    });
  }

  // This box selects all rows of its table.
  for (const all of document.querySelectorAll("[data-all]")) {
    all.hidden = false;
    const boxes = () => all.closest("table").querySelectorAll("tbody input[type=checkbox]");
    all.addEventListener("change", () => boxes().forEach((box) => { box.checked = all.checked; }));
  }
})();
