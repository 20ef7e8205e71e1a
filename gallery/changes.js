// What an attempt changed in its job's files. It is asked for when a person wants to see it, and
// never by itself. An agent wrote what is in it: all of it is shown as text.

import { call, isGone, jobPath } from "./api.js";
import { h } from "./dom.js";
import { plural, size } from "./format.js";

const OPEN_FILES = 5;
const LINES_SHOWN = 400;
const WHY_NO_LINES = {
  binary: "Not a text.",
  large: "Too large to be compared.",
  omitted: "Not shown: the answer is full.",
};

/** The changes of a job's attempts; `render` is called when there is something new to show. */
export function changes(id, signal, render) {
  const known = new Map();

  async function load({ phase, attempt, revision }) {
    const key = keyOf(phase, attempt, revision);
    if (known.get(key)?.busy) return;
    known.set(key, { ...known.get(key), busy: true });
    render();
    try {
      const path = jobPath(id, "attempts", phase, attempt, "diff");
      known.set(key, { answer: await call("GET", path, { query: { revision }, signal }) });
    } catch (error) {
      if (isGone(error)) return;
      known.set(key, { error });
    }
    render();
  }

  function box(phase, { number, revision }) {
    const { answer, error, busy } = known.get(keyOf(phase, number, revision)) ?? {};
    const words = busy ? "Comparing…" : answer ? "Compare again" : "Show changes";
    return h("div", { class: "changes", "data-key": "changes" },
      h("button", { class: "button small", type: "button", disabled: Boolean(busy), "data-act": "changes", "data-phase": phase, "data-attempt": number, "data-revision": revision }, words),
      error && h("p", { class: "dim" }, error.message),
      answer && list(answer, id));
  }

  return { load, box };
}

const keyOf = (phase, attempt, revision) => `${revision}.${phase}.${attempt}`;

function list({ items = [], more, left_out: leftOut }, id) {
  return [
    items.length === 0 && h("p", { class: "dim" }, "No file changed."),
    items.map((file) => fileBox(file, items.length <= OPEN_FILES, id)),
    more > 0 && h("p", { class: "dim" }, `And ${plural(more, "more file")}.`),
    leftOut && h("p", { class: "dim" }, "Not looked at: ", leftOut),
  ];
}

function fileBox({ path, change, before, after, content, diff }, open, id) {
  const sizes = [before, after].filter(Boolean).map((state) => `${size(state.size)}${state.executable ? ", executable" : ""}`);
  return h("details", { open, "data-key": path },
    h("summary", {},
      h("span", { class: "change", "data-change": change }, change), " ",
      h("code", {}, path), " ",
      h("span", { class: "dim" }, sizes.join(" → "))),
    content === "text" ? hunks(diff ?? "", id) : h("p", { class: "dim" }, WHY_NO_LINES[content] ?? content));
}

function hunks(diff, id) {
  if (!diff) return h("p", { class: "dim" }, "Its lines are the same.");
  const lines = diff.replace(/\n$/, "").split("\n");
  const hidden = lines.length - LINES_SHOWN;
  return [
    h("pre", { class: "diff", tabindex: "0" }, lines.slice(0, LINES_SHOWN).map((line) => h("span", { "data-mark": line[0] }, `${line}\n`))),
    hidden > 0 && h("p", { class: "dim" }, `${plural(hidden, "more line")}: `, h("code", {}, `gantry diff ${id}`)),
  ];
}
