// A cover for a site, drawn from its name and its own colours. Colours go in as SVG attributes, and
// only as plain hex: nothing from a site becomes a style.

import { s } from "./dom.js";

const HEX = /^#(?:[0-9a-f]{3}|[0-9a-f]{6})$/i;
const OWN = [
  ["#1f3a4d", "#f5a524", "#8fb8c9"],
  ["#2c2f48", "#e8825a", "#b9bde0"],
  ["#22463c", "#e9c46a", "#9ccfb8"],
  ["#43293b", "#f0a6a0", "#d7b5cc"],
];
const [WIDTH, HEIGHT, CELL] = [320, 140, 20];

/** An SVG of stacked containers under a beam, the same each time for a slug. */
export function cover(slug, palette) {
  const next = random(slug);
  const own = OWN[Math.floor(next() * OWN.length)];
  const colours = colorsOf(palette);
  const [back, ...front] = colours.length > 1 ? colours : colours.length === 1 ? [own[0], colours[0], own[2]] : own;
  const columns = WIDTH / CELL / 2;
  const boxes = [];
  for (let column = 0; column < columns; column += 1) {
    const stack = 1 + Math.floor(next() * 4);
    for (let level = 0; level < stack; level += 1) {
      boxes.push(s("rect", {
        x: column * CELL * 2 + 2, y: HEIGHT - (level + 1) * CELL + 1, width: CELL * 2 - 4, height: CELL - 2, rx: 2,
        fill: front[Math.floor(next() * front.length)], opacity: (0.55 + next() * 0.45).toFixed(2),
      }));
    }
  }
  const hook = Math.floor((0.2 + next() * 0.6) * WIDTH);
  const light = front[0];
  return s("svg", { class: "cover", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "xMidYMax slice", "aria-hidden": "true", focusable: "false" },
    s("rect", { width: WIDTH, height: HEIGHT, fill: back }),
    boxes,
    s("path", { d: `M0 14h${WIDTH}M0 20h${WIDTH}M${hook} 22v12`, stroke: light, "stroke-width": 1.5, fill: "none", opacity: 0.7 }),
    s("rect", { x: hook - 9, y: 10, width: 18, height: 14, rx: 2, fill: light }),
    s("rect", { x: hook - 17, y: 34, width: 34, height: 16, rx: 2, fill: light }));
}

function colorsOf(palette) {
  const list = Array.isArray(palette) ? palette : typeof palette === "string" ? palette.split(/[\s,]+/) : Object.values(palette ?? {});
  return list.filter((colour) => typeof colour === "string" && HEX.test(colour)).slice(0, 6);
}

// mulberry32 over an FNV-1a hash: a cover must not change from one visit to the next.
function random(text) {
  let state = 0x811c9dc5;
  for (const char of String(text)) state = Math.imul(state ^ char.codePointAt(0), 0x01000193);
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}
