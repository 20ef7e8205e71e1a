// Times, durations, money and sizes as text. It knows no job and asks no server; the browser's
// clock is used for words such as "3 min ago" only.

import { h } from "./dom.js";

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** 12 s, 3 min 05 s, 2 h 10 min. */
export function duration(ms) {
  if (!Number.isFinite(ms) || ms < 0) return "–";
  if (ms < SECOND) return `${Math.round(ms)} ms`;
  if (ms < 10 * SECOND) return `${(ms / SECOND).toFixed(1)} s`;
  if (ms < MINUTE) return `${Math.floor(ms / SECOND)} s`;
  const two = (n) => String(n).padStart(2, "0");
  if (ms < HOUR) return `${Math.floor(ms / MINUTE)} min ${two(Math.floor((ms % MINUTE) / SECOND))} s`;
  return `${Math.floor(ms / HOUR)} h ${two(Math.floor((ms % HOUR) / MINUTE))} min`;
}

/** Between two RFC 3339 times; to now where `to` is missing. */
export function between(from, to) {
  return duration((to ? Date.parse(to) : Date.now()) - Date.parse(from));
}

function relative(at) {
  const ms = Date.now() - at;
  const [span, ahead] = [Math.abs(ms), ms < 0];
  if (span < 10 * SECOND) return "now";
  let text;
  if (span < MINUTE) text = `${Math.floor(span / SECOND)} s`;
  else if (span < HOUR) text = `${Math.floor(span / MINUTE)} min`;
  else if (span < DAY) text = `${Math.floor(span / HOUR)} h`;
  else if (span < 30 * DAY) text = `${Math.floor(span / DAY)} d`;
  else return new Date(at).toLocaleDateString(undefined, { dateStyle: "medium" });
  return ahead ? `in ${text}` : `${text} ago`;
}

/** A `<time>` in relative words, the full time as its title; `tick` keeps it right. */
export function when(rfc3339) {
  const at = Date.parse(rfc3339 ?? "");
  if (Number.isNaN(at)) return h("span", {}, "–");
  const title = new Date(at).toLocaleString(undefined, { dateStyle: "full", timeStyle: "long" });
  return h("time", { datetime: rfc3339, title }, relative(at));
}

/** How long something took, or takes so far. */
export function took(from, to) {
  if (!from) return h("span", {}, "–");
  return h("span", to ? {} : { "data-since": from }, between(from, to));
}

/** Brings the relative times and running durations on the page up to date. */
export function tick() {
  for (const node of document.querySelectorAll("time[datetime]")) {
    setText(node, relative(Date.parse(node.dateTime)));
  }
  for (const node of document.querySelectorAll("[data-since]")) {
    setText(node, between(node.dataset.since));
  }
}

function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** $1.25 from a decimal string; null when there is nothing to show. */
export function money(usd) {
  const amount = Number.parseFloat(usd);
  if (!Number.isFinite(amount) || amount === 0) return null;
  return amount < 0.01 ? "< $0.01" : `$${amount.toFixed(2)}`;
}

/** 950, 12.3k, 1.2M. */
export function count(n) {
  if (!Number.isFinite(n)) return "–";
  if (n < 1000) return String(n);
  return n < 1e6 ? `${trim(n / 1e3)}k` : `${trim(n / 1e6)}M`;
}

const trim = (n) => n.toFixed(n < 100 ? 1 : 0).replace(/\.0$/, "");

/** 512 B, 3.4 KiB, 12 MiB. */
export function size(bytes) {
  if (!Number.isFinite(bytes)) return "";
  const units = ["B", "KiB", "MiB", "GiB"];
  let step = 0;
  while (bytes >= 1024 && step < units.length - 1) [bytes, step] = [bytes / 1024, step + 1];
  return `${step ? trim(bytes) : bytes} ${units[step]}`;
}

/** Microseconds: 180 µs, 2.4 ms, 1.1 s. */
export function micros(us) {
  if (!Number.isFinite(us)) return "–";
  if (us < 1000) return `${Math.round(us)} µs`;
  return us < 1e6 ? `${trim(us / 1e3)} ms` : `${trim(us / 1e6)} s`;
}

/** 1 file, 2 files. */
export const plural = (n, one, many = `${one}s`) => `${n} ${n === 1 ? one : many}`;
