// Elements from data, and bringing a shown tree up to date without losing focus, open details or
// running animations. It never parses markup: strings become text nodes, so data can't become HTML.

const SVG = "http://www.w3.org/2000/svg";

/** An element: `h("a", {class: "x", href}, "text", child)`. False, null and undefined are left out. */
export function h(tag, attrs, ...children) {
  return build(document.createElement(tag), attrs, children);
}

/** The same for SVG. */
export function s(tag, attrs, ...children) {
  return build(document.createElementNS(SVG, tag), attrs, children);
}

function build(node, attrs, children) {
  for (const [name, value] of Object.entries(attrs ?? {})) {
    if (value === false || value === null || value === undefined) continue;
    node.setAttribute(name, value === true ? "" : String(value));
  }
  for (const child of children.flat(Infinity)) {
    if (child === false || child === null || child === undefined || child === "") continue;
    node.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return node;
}

const keyOf = (node) => node.dataset?.key;
const alike = (a, b) => a.nodeName === b.nodeName && keyOf(a) === keyOf(b);

/**
 * Makes `parent` show `wanted`, changing only what differs. Nodes with the same `data-key` are the
 * same thing; others are matched by place. Listeners on replaced nodes aren't carried over: views
 * listen on their root and look at `data-act`.
 */
export function show(parent, ...wanted) {
  const nodes = wanted.flat(Infinity).filter((node) => node instanceof Node);
  const wantedKeys = new Set(nodes.map(keyOf).filter(Boolean));
  const keyed = new Map();
  for (const child of parent.children) if (keyOf(child)) keyed.set(keyOf(child), child);

  let cursor = parent.firstChild;
  const dropUnwanted = () => {
    while (cursor && keyOf(cursor) && !wantedKeys.has(keyOf(cursor))) cursor = dropAndNext(cursor);
  };
  for (const node of nodes) {
    dropUnwanted();
    const key = keyOf(node);
    const match = key ? keyed.get(key) : cursor && !keyOf(cursor) ? cursor : null;
    if (!match || !alike(match, node)) {
      parent.insertBefore(node, cursor);
      continue;
    }
    if (match === cursor) cursor = cursor.nextSibling;
    else parent.insertBefore(match, cursor);
    update(match, node);
  }
  while (cursor) cursor = dropAndNext(cursor);
}

function dropAndNext(node) {
  const next = node.nextSibling;
  node.remove();
  return next;
}

function update(old, wanted) {
  if (old.nodeType !== Node.ELEMENT_NODE) {
    if (old.data !== wanted.data) old.data = wanted.data;
    return;
  }
  // What a person opened, typed or chose is theirs.
  const theirs = old.nodeName === "DETAILS" ? "open" : null;
  for (const { name } of [...old.attributes]) {
    if (name !== theirs && !wanted.hasAttribute(name)) old.removeAttribute(name);
  }
  for (const { name, value } of wanted.attributes) {
    if (name !== theirs && old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  if (["TEXTAREA", "INPUT", "SELECT"].includes(old.nodeName)) return;
  show(old, ...wanted.childNodes);
}

/** Calls `run` once, `ms` after the first of a burst of calls. */
export function soon(run, ms) {
  let timer = 0;
  const later = () => {
    timer ||= setTimeout(() => {
      timer = 0;
      run();
    }, ms);
  };
  later.stop = () => {
    clearTimeout(timer);
    timer = 0;
  };
  return later;
}

/** Says something to screen readers, once. For ends and answers, not for every step. */
export function announce(text) {
  document.getElementById("announce").textContent = text;
}
