// The list of jobs: filtered, paged by cursor, kept right by events. It never works out a job's
// state from an event: it asks for the job again.

import { call, isGone, jobPath, webAddress } from "./api.js";
import { announce, h, show, soon } from "./dom.js";
import { money, took, when } from "./format.js";
import { empty, failure, heading, loading, pill, playLink, saying, track } from "./parts.js";

const STATUSES = ["running", "queued", "waiting", "succeeded", "failed", "cancelled"];
const ENDS = new Set(["job.succeeded", "job.failed", "job.cancelled"]);
const PAGE = 50;
const LONGEST_PAGE = 200;
const SETTLE_MS = 300;
// Beyond this many changed jobs one page is cheaper than asking for each.
const SINGLY = 6;

export function jobsView(root, route, page) {
  const { signal } = route;
  let { status, q } = read(route);
  let items = [];
  let cursor = null;
  let state = "loading";
  let problem = null;
  let asked = 0;
  let headStale = false;
  const changed = new Set();

  const chips = h("nav", { class: "chips", "aria-label": "Jobs by status" });
  const search = h("input", { type: "search", id: "q", placeholder: "Search names", value: q, autocomplete: "off", maxlength: 200 });
  const body = h("div", { class: "stack" });
  root.append(
    heading("Jobs"),
    h("div", { class: "filters" }, chips, h("label", { class: "search" }, h("span", { class: "vh" }, "Search jobs"), search)),
    body,
  );

  function read({ query }) {
    return { status: STATUSES.includes(query.get("status")) ? query.get("status") : "", q: query.get("q") ?? "" };
  }

  const address = (wanted, text) => {
    const query = new URLSearchParams([["status", wanted], ["q", text]].filter(([, value]) => value));
    return query.size ? `#/jobs?${query}` : "#/jobs";
  };

  function render() {
    show(chips, chip("", "All"), ...STATUSES.map((name) => chip(name, name)));
    show(body, ...content());
  }

  function chip(name, text) {
    const number = name && page.stats?.counts?.[name];
    return h("a", { class: "chip", href: address(name, q), "aria-current": status === name && "true", "data-status": name || null, "data-key": name || "all" },
      text, number ? h("span", { class: "number" }, number) : null);
  }

  function content() {
    const list = items.length > 0 && h("ul", { class: "jobs", "data-key": "jobs" }, items.map(row));
    const more = cursor && h("p", { class: "more", "data-key": "more" },
      h("button", { class: "button", type: "button", "data-act": "more", disabled: state === "more" }, state === "more" ? "Loading…" : "Show older jobs"));
    if (problem) return [failure(problem), list];
    if (state === "loading" && !items.length) return [loading()];
    return items.length ? [list, more] : [none()];
  }

  function none() {
    if (status || q) {
      return empty("No job fits", h("p", {}, "Nothing here with this filter. ", h("a", { href: "#/jobs" }, "Show all jobs")));
    }
    return empty("The yard is empty",
      h("p", {}, "Describe something to make, and watch it pass through its phases until it is a site."),
      h("p", {}, h("a", { class: "button primary", href: "#/new" }, "Submit the first job")),
      h("p", { class: "dim" }, "Or in a terminal: ", h("code", {}, "cargo xtask demo"), " runs one from start to end, and ",
        h("code", {}, "gantry submit \"Lighthouse keepers\" --watch"), " sends one to this host."));
  }

  async function load(how) {
    const mine = ++asked;
    const limit = how === "head" ? Math.min(LONGEST_PAGE, Math.max(PAGE, items.length)) : PAGE;
    state = how === "more" ? "more" : "loading";
    if (how !== "head") render();
    try {
      const answer = await call("GET", "/api/jobs", { query: { status, q, limit, cursor: how === "more" ? cursor : "" }, signal });
      if (mine !== asked) return;
      take(how, answer);
      problem = null;
    } catch (error) {
      if (isGone(error) || mine !== asked) return;
      problem = error;
    }
    state = "shown";
    render();
    // A change that came in while a page was on its way may not be in it.
    if (headStale || changed.size) refresh();
  }

  function take(how, answer) {
    const fresh = answer.items ?? [];
    const known = new Set(fresh.map((job) => job.id));
    const rest = items.filter((job) => !known.has(job.id));
    if (how === "more") {
      items = [...rest, ...fresh];
      cursor = answer.next_cursor ?? null;
      return;
    }
    // What was paged in beyond the head stays; ids are UUIDv7, so they sort as the list does.
    const last = fresh.at(-1)?.id;
    const older = how === "head" && answer.next_cursor ? rest.filter((job) => job.id < last) : [];
    items = [...fresh, ...older];
    if (!older.length) cursor = answer.next_cursor ?? null;
  }

  const refresh = soon(async () => {
    if (state !== "shown") return;
    const ids = [...changed];
    const whole = headStale || ids.length > SINGLY || problem;
    changed.clear();
    headStale = false;
    if (whole) return load("head");
    await Promise.all(ids.map(one));
    if (!signal.aborted) render();
  }, SETTLE_MS);

  async function one(id) {
    try {
      const job = await call("GET", jobPath(id), { signal });
      items = items.map((old) => (old.id === id ? job : old));
    } catch (error) {
      if (error.status === 404) items = items.filter((job) => job.id !== id);
      else if (!isGone(error)) headStale = true;
    }
  }

  const typed = soon(() => {
    q = search.value.trim();
    history.replaceState(null, "", address(status, q));
    load("first");
  }, SETTLE_MS);

  search.addEventListener("input", typed);
  root.addEventListener("click", (event) => {
    const act = event.target.closest("[data-act]")?.dataset.act;
    if (act === "more") load("more");
    if (act === "again") load("first");
  }, { signal });
  signal.addEventListener("abort", () => {
    refresh.stop();
    typed.stop();
  });
  load("first");

  return {
    title: "Jobs",
    update(next) {
      const was = `${status} ${q}`;
      ({ status, q } = read(next));
      if (search.value.trim() !== q) search.value = q;
      if (`${status} ${q}` !== was) load("first");
      else render();
    },
    onEvent(event) {
      if (!event.job) return;
      const job = items.find(({ id }) => id === event.job);
      if (job && ENDS.has(event.type)) announce(`${job.name}: ${event.type.slice("job.".length)}`);
      if (job && !status) changed.add(event.job);
      else headStale = true;
      refresh();
    },
    onResync() {
      headStale = true;
      refresh();
    },
    onStats: render,
  };
}

function row(job) {
  const said = saying(job);
  const cost = money(job.cost_usd);
  return h("li", { class: "card job", "data-key": job.id, "data-status": job.status },
    h("div", { class: "job-what" },
      h("h2", {}, h("a", { href: `#/jobs/${encodeURIComponent(job.id)}` }, job.name)),
      h("p", { class: "dim meta" }, h("span", {}, job.pipeline), when(job.created_at),
        job.started_at && h("span", {}, job.finished_at ? "took " : "for ", took(job.started_at, job.finished_at)),
        cost && h("span", {}, cost))),
    h("div", { class: "job-track" }, track(job), said && h("p", { class: "saying" }, said)),
    h("div", { class: "job-end" }, pill(job.status), job.site && playLink(webAddress(job.site.url), job.name, "small")));
}
