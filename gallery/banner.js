// What the host says about itself above every view: which agent works, and whether anything keeps it
// in. It decides nothing: the words are the host's own.

import { h, show } from "./dom.js";
import { plural } from "./format.js";
import { notice } from "./parts.js";

/** Shows the notices for these stats, or none. */
export function showBanner(root, stats) {
  const { agent, runner } = stats;
  show(root,
    agent?.demo && notice("info", h("p", {}, h("strong", {}, `${agent.name || "demo agent"}. `), agent.hint)),
    runner && runner.isolates === false && notice("warn",
      h("p", {}, h("strong", {}, `The ${runner.name} runner doesn't isolate the agent. `), runner.note)),
    runner?.unenforced?.length > 0 && notice("warn", h("p", {}, h("strong", {}, "The engine doesn't enforce every limit. "),
      runner.unenforced.join(" "))));
}

/** One line at the foot: the agent, the runner, the hosts. */
export function showHosts(root, { agent, runner, hosts }) {
  const names = (hosts ?? []).map((host) => (typeof host === "string" ? host : host?.name ?? host?.id)).filter(Boolean);
  const parts = [agent?.name, runner?.name && `${runner.name} runner`, names.length && `${plural(names.length, "host")}: ${names.join(", ")}`];
  root.textContent = parts.filter(Boolean).join(" · ");
}
