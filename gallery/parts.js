// Small pieces that several views show: pills, notices, empty states, a job's track of phases.
// They are made from data each time and keep nothing.

import { h, s } from "./dom.js";
import { when } from "./format.js";

/** A drawing from the sprite in index.html. */
export function drawing(id, cls) {
  return s("svg", { class: cls, "aria-hidden": "true", focusable: "false" }, s("use", { href: `#${id}` }));
}

/** A status as a coloured word. */
export function pill(status, title) {
  return h("span", { class: "pill", "data-status": status, title }, String(status ?? "unknown"));
}

/** Something to know: `tone` is `info`, `warn` or `bad`. */
export function notice(tone, ...children) {
  return h("div", { class: "notice", "data-tone": tone }, children);
}

/** An error where the content would have been, with a way to try again. */
export function failure(error) {
  return h("div", { class: "notice", "data-tone": "bad", role: "alert", "data-key": "failure" },
    h("p", {}, h("strong", {}, error.title ? `${error.title}. ` : ""), error.message,
      error.requestId && h("span", { class: "dim" }, ` Request ${error.requestId}.`)),
    h("button", { class: "button", type: "button", "data-act": "again" }, "Try again"));
}

/** Nothing here yet, and what to do about it. */
export function empty(title, ...children) {
  return h("section", { class: "empty", "data-key": "empty" }, drawing("yard", "yard"), h("h2", {}, title), children);
}

/** Stands in while the first answer is on its way. */
export function loading() {
  return h("p", { class: "dim loading", "data-key": "loading" }, "Loading…");
}

/** The title of a view: takes the focus when the view opens. */
export function heading(text, ...beside) {
  return h("div", { class: "heading", "data-key": "heading" }, h("h1", { tabindex: "-1" }, text), beside);
}

/** A phase's status as shown: a phase that runs in a job that doesn't is held or stopped. */
function shown(phase, job) {
  if (phase.status !== "running" || job.status === "running") return phase.status;
  return job.status === "queued" || job.status === "waiting" ? "held" : "stopped";
}

/** The phases on a rail, and the deployment once it is under way. */
export function track(job) {
  const stops = (job.phases ?? []).map((phase) => ({
    name: phase.id,
    status: shown(phase, job),
    runs: phase.attempts?.length ?? 0,
  }));
  const site = siteStatus(job);
  if (site) stops.push({ name: "site", status: site, runs: 0 });
  if (!stops.length) return null;
  return h("ol", { class: "track", "data-dense": stops.length > 6, "aria-label": "Phases" }, stops.map(stop));
}

function siteStatus(job) {
  if (job.status === "succeeded") return job.site ? "accepted" : null;
  if (job.stage === "deploy") return job.status === "failed" ? "failed" : shown({ status: "running" }, job);
  // The site that is up is an earlier revision's.
  return job.site ? "pending" : null;
}

function stop({ name, status, runs }) {
  return h("li", { class: "stop", "data-status": status, title: `${name}: ${status}` },
    h("span", { class: "dot", "aria-hidden": "true" }),
    h("span", { class: "stop-name" }, name, runs > 1 && h("span", { class: "runs", title: `${runs} attempts` }, `×${runs}`)),
    h("span", { class: "vh" }, ` ${status}`));
}

/** One line on what a job does or why it doesn't; null when the status says it all. */
export function saying(job) {
  if (job.cancel_requested && job.status === "running") return "Stopping, as asked";
  if (job.status === "waiting" || (job.status === "queued" && job.wait)) return waiting(job.wait);
  if (job.status === "running" && job.phase) {
    const attempt = job.attempt > 1 ? `, attempt ${job.attempt}` : "";
    return job.stage === "deploy" ? "deploy" : `${job.phase}: ${job.stage ?? "starting"}${attempt}`;
  }
  if (job.status === "failed" && job.error) return `${job.error.kind}: ${job.error.message}`;
  return null;
}

function waiting(wait) {
  if (!wait) return "Waiting";
  return [`Waiting: ${wait.message || wait.reason}`, wait.until && [", goes on ", when(wait.until)]];
}

/** The button that opens a site in a tab of its own. */
export function playLink(address, name, extra = "") {
  return address && h("a", { class: `button ${extra}`, href: address, target: "_blank", rel: "noopener noreferrer" },
    "Play", h("span", { class: "vh" }, ` ${name}, in a new tab`), h("span", { "aria-hidden": "true" }, " ↗"));
}
