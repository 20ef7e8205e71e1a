// The plugins that serve, how they do, and the files that were refused, with the reason. What serves
// can be rolled back, and a hold be lifted; files come in through the plugin folder.

import { call, isGone } from "./api.js";
import { h, show, soon } from "./dom.js";
import { count, micros, plural } from "./format.js";
import { empty, failure, heading, loading, pill } from "./parts.js";

const SETTLE_MS = 500;
const REFRESH_MS = 15_000;

export function pluginsView(root, { signal }) {
  const body = h("div", { class: "stack" });
  const said = h("p", { class: "notice said", "data-tone": "warn", role: "alert", hidden: true });
  const tell = (text) => {
    said.textContent = text;
    said.hidden = text === "";
  };
  root.append(heading("Plugins"), said, body);
  show(body, loading());

  async function load() {
    try {
      const { items = [], refused = [] } = await call("GET", "/api/plugins", { signal });
      show(body,
        refused.length > 0 && refusals(refused),
        items.length ? h("ul", { class: "plugins", "data-key": "plugins" }, items.map((item) => card(item, items))) : none());
    } catch (error) {
      if (!isGone(error)) show(body, failure(error));
    }
  }

  const refresh = soon(load, SETTLE_MS);
  const poll = setInterval(() => {
    if (!document.hidden) refresh();
  }, REFRESH_MS);
  signal.addEventListener("abort", () => {
    clearInterval(poll);
    refresh.stop();
  });
  root.addEventListener("click", async (event) => {
    if (event.target.closest("[data-act=again]")) return load();
    const button = event.target.closest("button[data-act]");
    if (!button || !confirm(button.dataset.asks)) return;
    button.disabled = true;
    try {
      await call("POST", `/api/plugins/${button.dataset.plugin}/${button.dataset.act}`, { signal });
      tell("");
    } catch (error) {
      if (!isGone(error)) tell(error.message);
      button.disabled = false;
    }
    refresh();
  }, { signal });
  load();
  return {
    title: "Plugins",
    onEvent(event) {
      if (event.type.startsWith("plugin.")) refresh();
    },
    onResync: refresh,
  };
}

function refusals(refused) {
  return h("section", { class: "card refused", "aria-labelledby": "refused-title", "data-key": "refused" },
    h("h2", { id: "refused-title" }, `${plural(refused.length, "file")} refused`),
    h("p", { class: "dim" }, "What served before still serves. Mend the file and put it into the folder again; ", h("code", {}, "gantry plugin check FILE"), " says the same in a terminal."),
    h("dl", { class: "refusals" }, refused.map(({ file, reason }) => [h("dt", {}, h("code", {}, file)), h("dd", { class: "said" }, reason)])));
}

function card(plugin, all) {
  const { name, version, digest, kind, steps, state, generation, calls, faults, held } = plugin;
  const numbers = [
    ["Calls", count(calls ?? NaN)],
    ["Faults", count(faults ?? NaN), faults > 0 && "bad"],
    ["p50", micros(plugin.p50_us ?? NaN)],
    ["p99", micros(plugin.p99_us ?? NaN)],
  ];
  return h("li", { class: "card plugin", "data-key": `${name}@${version}.${digest}` },
    h("div", { class: "phase-head" }, h("h2", {}, name), h("span", { class: "dim" }, version), pill(state)),
    h("p", { class: "tags" }, kind && h("span", { class: "tag" }, kind), (steps ?? []).map((step) => h("span", { class: "tag" }, step))),
    h("dl", { class: "numbers" }, numbers.map(([term, value, tone]) => h("div", {}, h("dt", {}, term), h("dd", { "data-tone": tone }, value)))),
    held && h("p", { class: "notice said", "data-tone": "warn" }, held),
    plugin.last_error && h("details", { "data-key": "error" }, h("summary", {}, "Last error"), h("pre", { tabindex: "0" }, plugin.last_error)),
    h("p", { class: "dim meta" }, generation !== undefined && h("span", {}, `generation ${generation}`), digest && h("code", { title: digest }, digest.replace(/^sha256:/, "").slice(0, 12)), plugin.interface && h("span", {}, `interface ${plugin.interface}`)),
    action(plugin, all));
}

// What a person can do about it: take back what serves, or let a held one serve again.
function action({ name, version, state }, all) {
  const held = "Let it answer jobs again?";
  const acts = { serving: ["rollback", rollback(name, all), "Take it away from the jobs, also from those that began with it?"], "rolled-back": ["release", "Release", held], quarantined: ["release", "Release", held] };
  if (!acts[state]) return undefined;
  const [act, words, asks] = acts[state];
  return h("p", {}, h("button", { type: "button", class: "button small", "data-act": act, "data-plugin": name, "data-asks": `${name} ${version}: ${asks}` }, words));
}

// The version that would answer then, where this host has it at hand; the store may know an older one.
function rollback(name, all) {
  const kept = all.filter((it) => it.name === name && it.state === "kept");
  const next = kept.sort((a, b) => b.generation - a.generation)[0];
  return next ? `Roll back to ${next.version}` : "Roll back";
}

function none() {
  return empty("No plugin serves",
    h("p", {}, "Put a ", h("code", {}, ".wasm"), " file into the plugin folder: the next phase uses it, without a restart."),
    h("p", { class: "dim" }, "The book’s page ", h("em", {}, "Writing a phase"), " begins one, in Rust, JavaScript or Python."));
}
