// One job: its phases and attempts, what was said about them, its files and logs, and what can be
// done with it. It shows only the buttons that its status allows; the host has the last word.

import { call, isGone, jobPath, webAddress } from "./api.js";
import { changes } from "./changes.js";
import { announce, h, show, soon } from "./dom.js";
import { count, duration, money, plural, size, took, when } from "./format.js";
import { logs } from "./logs.js";
import { failure, heading, loading, notice, pill, playLink, saying, track } from "./parts.js";
import { typing } from "./typing.js";

const SETTLE_MS = 250;
const FILES_SETTLE_MS = 1_500;
// Behind the events, should one be missed.
const FALLBACK_MS = 20_000;
const FILES_SHOWN = 200;
const LIVE = new Set(["queued", "waiting", "running"]);
const FILES_CHANGE = new Set(["agent.finished", "phase.accepted", "phase.revised", "phase.rejected", "job.deployed"]);

export function jobView(root, route) {
  const { signal } = route;
  const id = route.parts[0];
  let job = null;
  let problem = null;
  let files = null;
  let allFiles = false;
  let busy = "";

  const head = h("div", { class: "stack" });
  const phases = h("section", { class: "stack", "aria-labelledby": "phases-title" });
  const side = h("aside", { class: "stack", "aria-label": "About this job" });
  const revise = feedbackForm();
  const filesBox = h("section", { class: "card", "aria-labelledby": "files-title" });
  const log = logs(id, signal);
  const typed = typing(id, signal);
  const changed = changes(id, signal, () => render());
  const columns = h("div", { class: "columns", hidden: true },
    h("div", { class: "stack" }, typed.element, phases, log.element), h("div", { class: "stack" }, side, revise.element, filesBox));
  root.append(h("p", { class: "crumb" }, h("a", { href: "#/jobs" }, "← Jobs")), head, columns);
  show(head, heading("Job"), loading());

  async function load() {
    try {
      const fresh = await call("GET", jobPath(id), { signal });
      if (job && job.status !== fresh.status) announce(`${fresh.name}: ${fresh.status}`);
      const first = !job;
      job = fresh;
      problem = null;
      if (first) begin();
    } catch (error) {
      if (isGone(error)) return;
      problem = error;
    }
    render();
  }

  function begin() {
    document.title = `${job.name} · Gantry`;
    log.read();
    loadFiles();
  }

  async function loadFiles() {
    try {
      files = (await call("GET", jobPath(id, "files"), { signal })).items ?? [];
    } catch (error) {
      if (isGone(error)) return;
      files = error;
    }
    show(filesBox, ...fileList(id, files, allFiles));
  }

  function render() {
    if (!job) return show(head, heading("Job"), problem.status === 404 ? gone() : failure(problem));
    columns.hidden = false;
    show(head, ...headOf(job, problem, busy));
    show(phases, h("h2", { id: "phases-title" }, "Phases"), h("ol", { class: "phases" }, (job.phases ?? []).map((phase) => phaseCard(phase, job, changed))));
    show(side, facts(job));
    revise.element.hidden = LIVE.has(job.status);
    log.setLive(LIVE.has(job.status));
    typed.setLive(job.status === "running");
  }

  async function act(name, body) {
    if (busy) return false;
    busy = name;
    render();
    try {
      job = (await call("POST", jobPath(id, name), { body, signal })) ?? job;
      problem = null;
      announce({ cancel: "Asked to stop", retry: "Goes on from the failed phase", resume: "Goes on as soon as a host takes it", feedback: "A new revision is queued" }[name]);
    } catch (error) {
      if (isGone(error)) return false;
      problem = error;
    } finally {
      busy = "";
    }
    render();
    refresh();
    return !problem;
  }

  async function cancel() {
    if (await sure(`Cancel “${job.name}”?`, "The running agent is stopped. What it has made so far stays in the workspace.", "Cancel the job")) act("cancel");
  }

  const refresh = soon(load, SETTLE_MS);
  const refreshFiles = soon(loadFiles, FILES_SETTLE_MS);
  const fallback = setInterval(() => {
    if (!document.hidden && (!job || LIVE.has(job.status))) load();
  }, FALLBACK_MS);

  root.addEventListener("click", (event) => {
    const { act: name, ...about } = event.target.closest("[data-act]")?.dataset ?? {};
    if (name === "again") load();
    if (name === "cancel") cancel();
    if (name === "retry" || name === "resume") act(name);
    if (name === "changes") changed.load(about);
    if (name === "all-files") {
      allFiles = true;
      show(filesBox, ...fileList(id, files, allFiles));
    }
  }, { signal });
  revise.onSend(async (text) => (await act("feedback", { text })) || (problem?.message ?? "It wasn't sent."));
  signal.addEventListener("abort", () => {
    clearInterval(fallback);
    refresh.stop();
    refreshFiles.stop();
  });
  load();

  return {
    title: "Job",
    onEvent(event) {
      if (event.job !== id) return;
      refresh();
      if (!job) return;
      log.more();
      typed.onEvent(event);
      if (FILES_CHANGE.has(event.type)) refreshFiles();
    },
    onResync() {
      refresh();
      if (!job) return;
      refreshFiles();
      log.more();
    },
  };
}

function gone() {
  return h("p", { class: "notice", "data-tone": "warn" }, "There is no such job: it was deleted, or the address is mistyped. ", h("a", { href: "#/jobs" }, "All jobs"));
}

function headOf(job, problem, busy) {
  const said = saying(job);
  const stopping = job.cancel_requested || busy === "cancel";
  return [
    heading(job.name, pill(job.status)),
    problem && failure(problem),
    h("div", { class: "card hero", "data-key": "hero" },
      track(job),
      said && job.status !== "failed" && h("p", { class: "saying" }, said),
      job.status === "failed" && job.error && notice("bad", h("p", {}, h("strong", {}, job.error.kind), " ", h("span", { class: "said" }, job.error.message))),
      h("div", { class: "row" },
        job.site && playLink(webAddress(job.site.url), job.name, "primary"),
        (job.status === "failed" || job.status === "cancelled") && h("button", { class: "button", type: "button", "data-act": "retry", disabled: Boolean(busy), title: "Goes on from the phase that stopped" }, busy === "retry" ? "Retrying…" : "Retry"),
        job.status === "waiting" && h("button", { class: "button", type: "button", "data-act": "resume", disabled: Boolean(busy), title: "Tries again now, whatever it waits for" }, busy === "resume" ? "Going on…" : "Go on now"),
        LIVE.has(job.status) && h("button", { class: "button danger", type: "button", "data-act": "cancel", disabled: stopping }, stopping ? "Stopping…" : "Cancel"))),
  ];
}

function facts(job) {
  const params = job.params && Object.keys(job.params).length ? JSON.stringify(job.params, null, 2) : null;
  const rows = [
    ["Pipeline", job.pipeline],
    ["Revision", job.revision],
    ["Group", job.group],
    ["Priority", job.priority || null],
    ["Not before", job.run_at && LIVE.has(job.status) ? when(job.run_at) : null],
    ["Submitted", when(job.created_at)],
    ["Started", job.started_at && when(job.started_at)],
    ["Finished", job.finished_at && when(job.finished_at)],
    [job.finished_at ? "Took" : "Runs for", job.started_at && took(job.started_at, job.finished_at)],
    ["Cost", spending(job.budget, money(job.cost_usd) ?? "nothing")],
    ["Tokens", job.budget?.requests ? tokens(job.budget) : null],
    ["Id", h("code", { class: "id" }, job.id)],
  ].filter(([, value]) => value !== null && value !== undefined && value !== false && value !== "");
  return h("section", { class: "card" },
    h("h2", {}, "Facts"),
    h("dl", { class: "facts" }, rows.map(([name, value]) => [h("dt", { "data-key": `${name}-t` }, name), h("dd", { "data-key": name }, value)])),
    params && h("details", { "data-key": "params" }, h("summary", {}, "Parameters"), h("pre", { tabindex: "0" }, params)));
}

/** What was spent, of what may be where that has an end. */
function spending(budget, otherwise) {
  if (!budget?.requests && !budget?.limit_usd) return otherwise;
  const spent = money(budget.spent_usd) ?? "$0";
  if (!budget.limit_usd) return spent;
  const limit = Number.parseFloat(budget.limit_usd);
  return h("span", { class: "budget" },
    h("span", {}, `${spent} of ${money(budget.limit_usd) ?? "$0"}`),
    h("meter", { min: 0, max: limit, high: limit * 0.9, value: Number.parseFloat(budget.spent_usd), "aria-label": "Of its budget" }),
    budget.near && h("strong", { class: "near" }, "nearly used up"));
}

function tokens(budget) {
  const read = budget.input_tokens + budget.cache_read_tokens + budget.cache_write_tokens;
  return `${count(read)} in (${count(budget.cache_read_tokens)} from the cache), ${count(budget.output_tokens)} out, ${plural(budget.requests, "request")}`;
}

function phaseCard(phase, job, changed) {
  const attempts = phase.attempts ?? [];
  const live = phase.status === "running" && job.status === "running";
  return h("li", { class: "card phase", "data-key": phase.id, "data-status": live || phase.status !== "running" ? phase.status : "held" },
    h("div", { class: "phase-head" },
      h("h3", {}, phase.id), pill(phase.status),
      live && job.phase === phase.id && job.stage && h("span", { class: "dim" }, job.stage),
      phase.budget?.requests > 0 && h("span", { class: "dim spent", title: tokens(phase.budget) }, spending(phase.budget))),
    attempts.length === 0 && phase.status === "running" && h("p", { class: "dim" }, "Starting"),
    attempts.map((attempt, at) => attemptCard(attempt, at === attempts.length - 1, changed.box(phase.id, attempt))));
}

function attemptCard(attempt, last, changed) {
  const { plugin } = attempt;
  const tasks = attempt.tasks ?? [];
  return h("details", { class: "attempt", open: last, "data-key": `${attempt.revision}.${attempt.number}` },
    h("summary", {},
      h("span", { class: "attempt-name" }, `Attempt ${attempt.number}`, attempt.revision > 1 && ` of revision ${attempt.revision}`),
      attempt.verdict && h("span", { class: "verdict", "data-verdict": attempt.verdict }, attempt.verdict),
      h("span", { class: "dim" }, took(attempt.started_at, attempt.finished_at))),
    h("p", { class: "dim meta" },
      plugin && h("span", { title: plugin.digest ? `digest ${plugin.digest}` : null }, "plugin ", h("code", {}, `${plugin.name}@${plugin.version}`)),
      attempt.started_at && h("span", {}, "started ", when(attempt.started_at))),
    attempt.message && h("blockquote", { class: "said", "data-verdict": attempt.verdict }, attempt.message),
    tasks.length > 0 && taskTable(tasks),
    tasks.length > 0 && changed);
}

function taskTable(tasks) {
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Tasks" }, h("table", {},
    h("thead", {}, h("tr", {}, ["Task", "Status", "Time", "Tokens in", "out", "Cost"].map((name, at) => h("th", { scope: "col", class: at > 1 && "n" }, name)))),
    h("tbody", {}, tasks.map((task) => h("tr", { "data-key": task.name },
      h("th", { scope: "row" }, task.name),
      h("td", {}, pill(task.status), ending(task)),
      h("td", { class: "n" }, duration(task.duration_ms ?? NaN)),
      h("td", { class: "n" }, count(task.input_tokens ?? NaN)),
      h("td", { class: "n" }, count(task.output_tokens ?? NaN)),
      h("td", { class: "n" }, money(task.cost_usd) ?? "–"))))));
}

function ending({ failure: why, exit_code: code }) {
  const text = [why && (typeof why === "string" ? why : [why.kind, why.message].filter(Boolean).join(": ")), code ? `exit status ${code}` : null].filter(Boolean).join(", ");
  return text && h("span", { class: "ending" }, text);
}

function fileList(id, files, all) {
  const title = h("h2", { id: "files-title" }, "Files");
  if (files instanceof Error) {
    return [title, h("p", { class: "dim" }, files.status === 404 ? "The workspace isn't there yet, or it was cleared." : files.message)];
  }
  if (!files.length) return [title, h("p", { class: "dim" }, "Nothing in the workspace yet.")];
  const shown = all ? files : files.slice(0, FILES_SHOWN);
  return [
    title,
    h("details", { open: files.length <= 20, "data-key": "files" },
      h("summary", {}, plural(files.length, "file"), ", ", size(files.reduce((sum, file) => sum + (file.size ?? 0), 0))),
      h("ul", { class: "files" }, shown.map((file) => h("li", { "data-key": file.path },
        h("a", { href: jobPath(id, "files", ...file.path.split("/")), download: file.path.split("/").at(-1) }, file.path),
        h("span", { class: "dim n" }, size(file.size))))),
      h("p", {}, h("a", { href: jobPath(id, "archive"), download: "" }, "All of them as one archive")),
      shown.length < files.length && h("button", { class: "button small", type: "button", "data-act": "all-files" }, `Show all ${files.length}`)),
  ];
}

function feedbackForm() {
  const text = h("textarea", { id: "feedback", rows: 4, maxlength: 20_000, required: true, placeholder: "What should be different?" });
  const send = h("button", { class: "button", type: "submit" }, "Send and run again");
  const said = h("p", { class: "field-error", role: "alert" });
  const element = h("form", { class: "card form", hidden: true },
    h("label", { for: "feedback" }, "Feedback"), text, h("p", { class: "dim hint" }, "It starts a new revision of this job; the site keeps its address."), said, send);
  return {
    element,
    onSend(run) {
      element.addEventListener("submit", async (event) => {
        event.preventDefault();
        if (!text.value.trim()) return;
        send.disabled = true;
        said.textContent = "";
        const answer = await run(text.value.trim());
        send.disabled = false;
        if (answer === true) text.value = "";
        else said.textContent = answer;
      });
    },
  };
}

function sure(title, text, yes) {
  const ask = document.getElementById("ask");
  document.getElementById("ask-title").textContent = title;
  document.getElementById("ask-text").textContent = text;
  document.getElementById("ask-yes").textContent = yes;
  ask.returnValue = "no";
  ask.showModal();
  return new Promise((done) => ask.addEventListener("close", () => done(ask.returnValue === "yes"), { once: true }));
}
