// The sites that jobs have published, as cards to play. It shows no frame of a site: an agent wrote
// it, so it opens in a tab and from an origin of its own.

import { call, isGone, webAddress } from "./api.js";
import { cover } from "./cover.js";
import { h, show, soon } from "./dom.js";
import { when } from "./format.js";
import { empty, failure, heading, loading, playLink } from "./parts.js";

const SETTLE_MS = 500;

export function sitesView(root, { signal }) {
  const body = h("div", { class: "stack" });
  root.append(heading("Sites"), body);
  show(body, loading());

  async function load() {
    try {
      const { items = [] } = await call("GET", "/api/sites", { signal });
      show(body, items.length ? h("ul", { class: "sites", "data-key": "sites" }, items.map(card)) : none());
    } catch (error) {
      if (!isGone(error)) show(body, failure(error));
    }
  }

  const refresh = soon(load, SETTLE_MS);
  signal.addEventListener("abort", refresh.stop);
  root.addEventListener("click", (event) => {
    if (event.target.closest("[data-act=again]")) load();
  }, { signal });
  load();
  return {
    title: "Sites",
    onEvent(event) {
      if (event.type === "job.deployed" || event.type === "job.succeeded") refresh();
    },
    onResync: refresh,
  };
}

function card(site) {
  const { palette, theme, genre } = site.metadata ?? {};
  const title = site.title || site.slug;
  return h("li", { class: "card site", "data-key": site.slug },
    cover(site.slug, palette),
    h("div", { class: "site-body" },
      h("h2", {}, title),
      site.summary && h("p", { class: "site-summary" }, site.summary),
      h("p", { class: "tags" }, [genre, theme].filter((tag) => typeof tag === "string" && tag).map((tag) => h("span", { class: "tag" }, tag))),
      h("div", { class: "row between" },
        h("p", { class: "dim meta" }, when(site.published_at), site.job && h("a", { href: `#/jobs/${encodeURIComponent(site.job)}` }, "job", h("span", { class: "vh" }, ` of ${title}`))),
        playLink(webAddress(site.url), title, "primary"))));
}

function none() {
  return empty("No site yet",
    h("p", {}, "A site appears here when a job has passed all its phases."),
    h("p", {}, h("a", { class: "button primary", href: "#/new" }, "Submit a job")),
    h("p", { class: "dim" }, h("code", {}, "cargo xtask demo"), " makes one in a minute, without a key or a container."));
}
