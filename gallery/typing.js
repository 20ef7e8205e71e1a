// What the agent is writing by now, and what it has cost so far. Pieces come as they can and some may be
// missing; the whole message takes their place. It keeps one text only: the log has the others.

import { jobPath } from "./api.js";
import { h } from "./dom.js";
import { money } from "./format.js";

const CHARS_KEPT = 20_000;
const AGAIN_MS = 15_000;
const OVER = new Set(["agent.started", "agent.finished", "phase.interrupted"]);

export function typing(id, signal) {
  const state = h("span", { class: "dim" });
  const cost = h("span", { class: "dim typing-cost" });
  const text = h("pre", { class: "typed", tabindex: "0" });
  const element = h("section", { class: "card typing", hidden: true, "aria-labelledby": "typing-title" },
    h("div", { class: "log-head" }, h("h2", { id: "typing-title" }, "The agent"), state, cost), text);
  let source = null;
  let again = 0;
  let live = false;
  // Which text is shown, and the number of its next piece.
  let at = null;
  let next = 0;

  const keyOf = (event) => `${event.phase} ${event.attempt} ${event.data?.task}`;

  function hear(message) {
    let event;
    try {
      event = JSON.parse(message.data);
    } catch (error) {
      console.warn("an event that isn't JSON", error);
      return;
    }
    const { part, piece, text: words, thinking, cost_usd: spent } = event.data ?? {};
    if (spent !== undefined) cost.textContent = Number(spent) > 0 ? `${money(spent)} in this run` : "";
    if (thinking) return say("thinks", "");
    if (words === undefined) return;
    const key = keyOf(event);
    if (!at || at.key !== key || at.part !== part || piece === 0) {
      at = { key, part };
      text.textContent = piece === 0 ? "" : "… ";
    } else if (piece !== next) {
      text.textContent += " … ";
    }
    next = piece + 1;
    say("writes", (text.textContent + words).slice(-CHARS_KEPT));
  }

  function say(word, words) {
    const follows = text.scrollHeight - text.scrollTop - text.clientHeight < 24;
    state.textContent = word;
    text.textContent = words;
    text.hidden = !words;
    element.hidden = false;
    if (follows) text.scrollTop = text.scrollHeight;
  }

  function clear() {
    at = null;
    element.hidden = true;
    text.textContent = "";
    cost.textContent = "";
  }

  function open() {
    clearTimeout(again);
    if (source || !live || document.hidden || signal.aborted) return;
    source = new EventSource(`${jobPath(id, "events")}?live=only`);
    source.addEventListener("agent.delta", hear);
    source.addEventListener("error", () => {
      // After a cut the browser comes back by itself; after a refusal it doesn't.
      if (source?.readyState !== EventSource.CLOSED) return;
      close();
      again = setTimeout(open, AGAIN_MS);
    });
  }

  // A browser has six connections for a host: a hidden page needs none for this.
  function close() {
    clearTimeout(again);
    source?.close();
    source = null;
  }

  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()), { signal });
  signal.addEventListener("abort", close);

  return {
    element,
    /** An event that is kept: a whole message, or the end of all of it. */
    onEvent(event) {
      if (OVER.has(event.type)) return clear();
      if (event.type !== "agent.message" || event.data?.part === undefined) return;
      // The next text may have begun before this one was read.
      if (at && at.key === keyOf(event) && at.part > event.data.part) return;
      at = null;
      say("said", event.data.text ?? "");
    },
    setLive(now) {
      live = now;
      if (live) return open();
      close();
      clear();
    },
  };
}
