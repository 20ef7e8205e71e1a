// The page's one root: routes by hash, hands events to the view that is open, and keeps the header
// right. It shows no data itself; a view that fails becomes a message, never a blank page.

import { call, isGone, session } from "./api.js";
import { showBanner, showHosts } from "./banner.js";
import { h, soon } from "./dom.js";
import { tick } from "./format.js";
import { jobView } from "./job.js";
import { jobsView } from "./jobs.js";
import { listen } from "./live.js";
import { heading, notice } from "./parts.js";
import { pluginsView } from "./plugins.js";
import { showSignIn, wireSignOut } from "./signin.js";
import { sitesView } from "./sites.js";
import { submitView } from "./submit.js";

const ROUTES = [
  { path: /^\/?(?:jobs\/?)?$/, view: jobsView, nav: "jobs" },
  { path: /^\/jobs\/([^/]+)$/, view: jobView, nav: "jobs" },
  { path: /^\/new$/, view: submitView, nav: "new" },
  { path: /^\/sites$/, view: sitesView, nav: "sites" },
  { path: /^\/plugins$/, view: pluginsView, nav: "plugins" },
];
const TICK_MS = 1_000;
const STATS_SETTLE_MS = 1_000;
const STATS_REFRESH_MS = 30_000;

const element = (id) => document.getElementById(id);
const page = { stats: null };
let open = null;
let signedOut = false;

function readRoute() {
  const [path, query = ""] = location.hash.replace(/^#/, "").split("?");
  for (const route of ROUTES) {
    const match = route.path.exec(path);
    if (match) return { ...route, path, parts: match.slice(1).map(decode), query: new URLSearchParams(query) };
  }
  return { path, view: lost, nav: "", parts: [], query: new URLSearchParams() };
}

function decode(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

function lost(root) {
  root.append(heading("Nothing here"), notice("warn", h("p", {}, "This address leads nowhere. ", h("a", { href: "#/jobs" }, "To the jobs"))));
  return { title: "Nothing here" };
}

function navigate() {
  if (signedOut) return;
  const route = readRoute();
  for (const link of document.querySelectorAll("[data-nav]")) {
    if (link.dataset.nav === route.nav) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (open?.path === route.path && open.view.update) return open.view.update(route);
  const first = !open;
  open?.gone.abort();
  const gone = new AbortController();
  const root = h("div", { class: "view" });
  element("view").replaceChildren(root);
  element("alert").replaceChildren();
  const view = route.view(root, { ...route, signal: gone.signal }, page);
  document.title = `${view.title} · Gantry`;
  open = { path: route.path, gone, view };
  if (first) return;
  scrollTo(0, 0);
  root.querySelector("h1")?.focus({ preventScroll: true });
}

async function readStats() {
  try {
    page.stats = await call("GET", "/api/stats");
  } catch {
    // The views say what is wrong; a header that is a little old is no news.
    return;
  }
  showBanner(element("banner"), page.stats);
  showHosts(element("hosts"), page.stats);
  open?.view.onStats?.();
}

const refreshStats = soon(readStats, STATS_SETTLE_MS);

function showLive(state) {
  const mark = element("live");
  mark.dataset.state = state;
  mark.textContent = state;
}

function complain(text) {
  element("alert").replaceChildren(notice("bad", h("p", {}, text)));
}

function start() {
  const stream = listen({
    onState: showLive,
    onOpen() {
      open?.view.onResync?.();
      refreshStats();
    },
    onEvent(event) {
      open?.view.onEvent?.(event);
      if (event.type?.startsWith("job.")) refreshStats();
    },
  });
  session.addEventListener("unauthorized", () => {
    if (signedOut) return;
    signedOut = true;
    stream.stop();
    open?.gone.abort();
    document.body.dataset.signedOut = "";
    showSignIn(element("view"));
  });
  wireSignOut(element("sign-out"), complain);
  setInterval(tick, TICK_MS);
  setInterval(() => {
    if (!document.hidden && !signedOut) readStats();
  }, STATS_REFRESH_MS);
  readStats();
  navigate();
}

element("skip").addEventListener("click", (event) => {
  event.preventDefault();
  element("main").focus();
});
addEventListener("hashchange", navigate);
addEventListener("error", (event) => complain(`The page has stumbled: ${event.message}. Reloading may help.`));
addEventListener("unhandledrejection", (event) => {
  if (isGone(event.reason)) return;
  complain(`The page has stumbled: ${event.reason?.message ?? event.reason}. Reloading may help.`);
});
start();
