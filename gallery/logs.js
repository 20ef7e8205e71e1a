// A job's log: read from where it stopped, a page at a time, and followed while the job lives. It
// keeps the last lines only; the whole log is for `gantry logs`.

import { call, isGone, jobPath } from "./api.js";
import { h, show, soon } from "./dom.js";

const PAGE = 200;
const LINES_KEPT = 2_000;
const SETTLE_MS = 400;
// Lines come without an event of their own, too.
const POLL_MS = 3_000;

export function logs(id, signal) {
  let after = 0;
  let dropped = false;
  let live = false;
  let reading = false;
  let stale = false;

  const follow = h("input", { type: "checkbox", id: "follow", checked: true });
  const lines = h("div", { class: "lines", role: "log", "aria-live": "off", "aria-label": "Log lines", tabindex: "0" });
  const note = h("p", { class: "dim log-note" }, "Reading…");
  const element = h("section", { class: "card log", "aria-labelledby": "log-title" },
    h("div", { class: "log-head" }, h("h2", { id: "log-title" }, "Log"), h("label", { class: "check", for: "follow" }, follow, " Follow")),
    note, lines);

  async function read() {
    if (reading) {
      stale = true;
      return;
    }
    reading = true;
    try {
      do {
        stale = false;
        await readOn();
      } while (stale);
      say();
    } catch (error) {
      if (!isGone(error)) note.textContent = error.message;
    } finally {
      reading = false;
    }
  }

  async function readOn() {
    for (;;) {
      const { items = [] } = await call("GET", jobPath(id, "logs"), { query: { after, limit: PAGE }, signal });
      const fresh = items.filter((item) => item.seq > after);
      if (!fresh.length) return;
      after = fresh.at(-1).seq;
      add(fresh);
      if (items.length < PAGE) return;
    }
  }

  function add(items) {
    lines.hidden = false;
    lines.append(...items.map(line));
    while (lines.childElementCount > LINES_KEPT) {
      lines.firstElementChild.remove();
      dropped = true;
    }
    if (follow.checked) lines.scrollTop = lines.scrollHeight;
  }

  function say() {
    const none = lines.childElementCount === 0;
    lines.hidden = none;
    note.hidden = !none && !dropped;
    if (none) show(note, document.createTextNode(live ? "Nothing said yet." : "Nothing was logged."));
    else if (dropped) show(note, document.createTextNode(`The last ${LINES_KEPT} lines. All of them: `), h("code", {}, `gantry logs ${id}`));
  }

  const more = soon(read, SETTLE_MS);
  const poll = setInterval(() => {
    if (live && !document.hidden) more();
  }, POLL_MS);
  signal.addEventListener("abort", () => {
    clearInterval(poll);
    more.stop();
  });

  // Who scrolls up wants to read; who comes back down wants to follow.
  lines.addEventListener("scroll", () => {
    follow.checked = lines.scrollHeight - lines.scrollTop - lines.clientHeight < 24;
  }, { passive: true });
  follow.addEventListener("change", () => {
    if (follow.checked) lines.scrollTop = lines.scrollHeight;
  });

  lines.hidden = true;
  return {
    element,
    more,
    read,
    setLive(now) {
      // The last lines of a job that has just ended are still to be read.
      if (live && !now) more();
      live = now;
    },
  };
}

function line({ at, phase, attempt, level, text }) {
  const full = new Date(at);
  const clock = Number.isNaN(full.getTime()) ? "" : full.toLocaleTimeString(undefined, { hour12: false });
  return h("div", { class: "line", "data-level": level },
    h("time", { title: Number.isNaN(full.getTime()) ? null : full.toLocaleString() }, clock),
    h("span", { class: "line-phase" }, phase ? `${phase}${attempt > 1 ? ` ×${attempt}` : ""}` : ""),
    h("span", { class: "line-text" }, (level === "error" || level === "warn") && h("span", { class: "vh" }, `${level}: `), text));
}
