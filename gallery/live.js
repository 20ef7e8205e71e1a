// The stream of events, and what the page's mark says about it. It keeps no state of jobs: an event
// only says what to ask for again.

// `agent.delta` isn't among the events of all jobs: the page of a job asks for its own.
const TYPES = [
  "job.queued", "job.waiting", "job.started", "job.resumed", "job.deployed", "job.succeeded", "job.failed",
  "job.cancelled", "phase.started", "phase.interrupted", "phase.accepted", "phase.revised", "phase.rejected",
  "agent.started", "agent.thinking", "agent.message", "agent.tool", "agent.tool-result", "agent.finished", "budget.near",
  "plugin.loaded", "plugin.refused", "plugin.rolled-back", "plugin.quarantined",
];
const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 30_000;
const HIDDEN_LIMIT_MS = 60_000;

/**
 * Listens until `stop()`. `onEvent` gets each event's JSON; `onOpen` is called at each (re)connection,
 * when something may have been missed; `onState` gets `connecting`, `live` or `reconnecting`.
 */
export function listen({ onEvent, onOpen, onState }) {
  let source = null;
  let pause = FIRST_PAUSE_MS;
  let again = 0;
  let hiding = 0;

  const hear = (message) => {
    try {
      onEvent(JSON.parse(message.data));
    } catch (error) {
      console.warn("an event that isn't JSON", error);
    }
  };

  function open() {
    clearTimeout(again);
    source?.close();
    source = new EventSource("/api/events");
    source.addEventListener("open", () => {
      pause = FIRST_PAUSE_MS;
      onState("live");
      onOpen();
    });
    source.addEventListener("error", () => {
      onState("reconnecting");
      // The browser comes back by itself after a cut, with Last-Event-ID; after an answer other
      // than 200 it gives up, and this takes over.
      if (source?.readyState !== EventSource.CLOSED) return;
      again = setTimeout(open, pause);
      pause = Math.min(pause * 2, LONGEST_PAUSE_MS);
    });
    for (const type of TYPES) source.addEventListener(type, hear);
  }

  function close() {
    clearTimeout(again);
    source?.close();
    source = null;
  }

  // A browser has six HTTP/1.1 connections for a host over all tabs: hidden tabs give theirs back.
  function seen() {
    clearTimeout(hiding);
    if (document.hidden) hiding = setTimeout(close, HIDDEN_LIMIT_MS);
    else if (!source) open();
  }

  document.addEventListener("visibilitychange", seen);
  onState("connecting");
  open();
  return {
    stop() {
      clearTimeout(hiding);
      document.removeEventListener("visibilitychange", seen);
      close();
    },
  };
}
