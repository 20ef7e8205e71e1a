// The form for a new job. It checks only what it can say sooner than the host; the host's answer,
// with its detail, is what counts.

import { call, isGone } from "./api.js";
import { announce, h, show } from "./dom.js";
import { failure, heading, loading, notice } from "./parts.js";

const DEFAULT_PIPELINE = "game";

export function submitView(root, { signal }) {
  let pipelines = null;
  let sent = null;

  const name = h("input", { id: "name", name: "name", required: true, maxlength: 200, autocomplete: "off", placeholder: "A game about lighthouse keepers", "aria-describedby": "name-hint" });
  const pipeline = h("select", { id: "pipeline", name: "pipeline", "aria-describedby": "pipeline-about" });
  const about = h("div", { id: "pipeline-about", class: "about" });
  const group = h("select", { id: "group", name: "group", "aria-describedby": "group-hint" });
  const groups = h("div", { class: "field", hidden: true }, h("label", { for: "group" }, "Group"), group, h("p", { class: "dim hint", id: "group-hint" }, "Your token is for the jobs of these groups."));
  const params = h("textarea", { id: "params", name: "params", rows: 5, spellcheck: "false", placeholder: "{ \"genre\": \"incremental\" }", "aria-describedby": "params-hint" });
  const send = h("button", { class: "button primary", type: "submit" }, "Submit the job");
  const said = h("div", { role: "alert", id: "submit-said" });
  const broken = h("div", { class: "stack broken" });
  const form = h("form", { class: "card form", "aria-labelledby": "new-title" },
    h("div", { class: "field" }, h("label", { for: "name" }, "What to make"), name, h("p", { class: "dim hint", id: "name-hint" }, "It is the job's name, and the idea that the first phase starts from.")),
    h("div", { class: "field" }, h("label", { for: "pipeline" }, "Pipeline"), pipeline, about),
    groups,
    h("details", {}, h("summary", {}, "Parameters"),
      h("div", { class: "field" }, h("label", { for: "params" }, "A JSON object"), params, h("p", { class: "dim hint", id: "params-hint" }, "What the pipeline's plugins understand. Leave it empty if you don't know of any."))),
    said,
    h("div", { class: "row" }, send, h("a", { class: "button", href: "#/jobs" }, "Back")));
  const body = h("div", { class: "stack" });
  root.append(h("div", { class: "heading" }, h("h1", { tabindex: "-1", id: "new-title" }, "New job")), body);
  show(body, loading());

  async function load() {
    let who;
    try {
      const [page, caller] = await Promise.all([call("GET", "/api/pipelines", { signal }), call("GET", "/api/session", { signal })]);
      pipelines = page.items ?? [];
      who = caller;
    } catch (error) {
      if (!isGone(error)) show(body, failure(error));
      return;
    }
    body.replaceChildren(form, broken);
    const usable = pipelines.filter((one) => !one.error);
    pipeline.replaceChildren(...usable.map((one) => h("option", { value: one.name, selected: one.name === DEFAULT_PIPELINE }, one.name)));
    describe();
    show(broken, ...pipelines.filter((one) => one.error).map((one) => notice("warn",
      h("p", {}, h("strong", {}, `The pipeline ${one.name} can't be used. `), h("span", { class: "said" }, one.error)))));
    if (!usable.length) {
      send.disabled = true;
      show(said, notice("warn", h("p", {}, "This host has no usable pipeline. Put a pipeline file into the pipeline folder; ", h("code", {}, "gantry pipeline check FILE"), " says whether it is right.")));
    }
    groups.hidden = !who.groups;
    group.replaceChildren(...(who.groups ?? []).map((one) => h("option", { value: one }, one)));
    if (!who.scopes.includes("submit")) {
      send.disabled = true;
      show(said, notice("warn", h("p", {}, "Your token can't submit: it lacks the scope ", h("code", {}, "submit"), ".")));
    }
    name.focus();
  }

  function describe() {
    const chosen = pipelines.find((one) => one.name === pipeline.value);
    if (!chosen) return show(about);
    const phases = (chosen.phases ?? []).map((phase) => (typeof phase === "string" ? phase : phase.id));
    show(about,
      chosen.summary && h("p", { class: "hint dim" }, chosen.summary),
      phases.length > 0 && h("ol", { class: "track preview", "data-dense": phases.length > 6, "aria-label": "Phases" }, phases.map((id) =>
        h("li", { class: "stop", "data-status": "pending" }, h("span", { class: "dot", "aria-hidden": "true" }), h("span", { class: "stop-name" }, id)))));
  }

  function readParams() {
    if (!params.value.trim()) return undefined;
    let value;
    try {
      value = JSON.parse(params.value);
    } catch (error) {
      throw new Error(`The parameters aren't JSON: ${error.message}`);
    }
    if (value === null || typeof value !== "object" || Array.isArray(value)) throw new Error("The parameters have to be a JSON object, such as { \"genre\": \"puzzle\" }.");
    return value;
  }

  async function submit() {
    const body = { name: name.value.trim(), pipeline: pipeline.value, params: readParams(), group: group.value || undefined };
    if (!body.name) throw new Error("Say what to make.");
    // The same key again only when nobody knows whether the first try arrived.
    const text = JSON.stringify(body);
    if (sent?.text !== text) sent = { text, key: newKey() };
    try {
      const job = await call("POST", "/api/jobs", { body, headers: { "Idempotency-Key": sent.key }, signal });
      announce(`${job.name} is ${job.status}`);
      location.hash = `#/jobs/${encodeURIComponent(job.id)}`;
    } catch (error) {
      if (error.status >= 400 && error.status < 500) sent = null;
      throw error;
    }
  }

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (send.disabled) return;
    send.disabled = true;
    send.textContent = "Submitting…";
    show(said);
    try {
      await submit();
    } catch (error) {
      if (!isGone(error)) show(said, notice("bad", h("p", {}, error.message)));
    }
    send.disabled = false;
    send.textContent = "Submit the job";
  });
  pipeline.addEventListener("change", describe);
  root.addEventListener("click", (event) => {
    if (event.target.closest("[data-act=again]")) load();
  }, { signal });
  load();
  return { title: "New job" };
}

// Not randomUUID: that one is missing on a page that came over plain HTTP from another machine.
function newKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
