/**
 * The bar that drives one clock: play, frame steps, scrubbing, speed, loop, what short clips do.
 *
 * Grid, compare and vote use the same bar and the same keys, so that what was learned in one holds in
 * the others.
 */
import { listen, make } from "./dom.js";
import { icon } from "./icons.js";

export const SPEEDS = [0.25, 0.5, 1, 2, 4];
const NAMES = new Map([[0.25, "¼×"], [0.5, "½×"], [1, "1×"], [2, "2×"], [4, "4×"]]);
const PAGE = 10; // frames that Shift and an arrow go

/** What the help lists: [keys, what they do]. */
export const TRANSPORT_KEYS = [
  ["Space", "play or pause"],
  [", .", "one frame back, one frame on"],
  ["Shift ← →", "ten frames"],
  ["[ ]", "slower, faster"],
  ["l", "loop"],
];

/**
 * Whether a key event belongs to the control that has the focus.
 * @param {KeyboardEvent} event
 */
export function typed(event) {
  const at = /** @type {Element} */ (event.target);
  if (!at || !at.matches) return false;
  if (at.matches("textarea, select, input:not([type=range], [type=checkbox], [type=radio]), [contenteditable=true]"))
    return true;
  const presses = event.key === " " || event.key === "Enter";
  return presses && at.matches("button, summary, a[href], input[type=checkbox], input[type=radio], [role=button]");
}

/**
 * Do what a transport key says.
 * @param {KeyboardEvent} event
 * @param {import("./clock.js").Clock} clock
 * @returns {boolean} Whether it was one; the event is then used up.
 */
export function transportKey(event, clock) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || typed(event)) return false;
  const act = {
    " ": () => clock.toggle(),
    ",": () => clock.step(-1),
    ".": () => clock.step(1),
    "[": () => (clock.speed = nextSpeed(clock.speed, -1)),
    "]": () => (clock.speed = nextSpeed(clock.speed, 1)),
    l: () => (clock.loop = !clock.loop),
    ArrowLeft: event.shiftKey ? () => clock.step(-PAGE) : null,
    ArrowRight: event.shiftKey ? () => clock.step(PAGE) : null,
  }[event.key];
  if (!act) return false;
  act();
  event.preventDefault();
  return true;
}

/**
 * The neighbouring speed, or the same one at either end.
 * @param {number} speed
 * @param {1 | -1} way
 */
export function nextSpeed(speed, way) {
  const all = way > 0 ? SPEEDS : [...SPEEDS].reverse();
  return all.find((other) => (other - speed) * way > 1e-9) ?? speed;
}

/**
 * Seconds with two places: "2.54".
 * @param {number} seconds
 */
const two = (seconds) => (Number.isFinite(seconds) ? seconds : 0).toFixed(2);

/**
 * Put the bar into an element.
 * @param {HTMLElement} el
 * @param {{clock: import("./clock.js").Clock, keys?: HTMLElement | null, ends?: boolean}} options
 *   `keys`: the element whose key events drive the clock; none when the caller asks `transportKey` itself.
 *   `ends`: whether to offer what short clips do.
 * @returns {{el: HTMLElement, dispose: () => void}}
 */
export function transport(el, { clock, keys = null, ends = true }) {
  const bar = make("div", "sl-transport", { role: "group", "aria-label": "Playback" });

  const back = button("prev", "One frame back (,)", () => clock.step(-1));
  const play = button("play", "Play (Space)", () => clock.toggle());
  const on = button("next", "One frame on (.)", () => clock.step(1));
  play.classList.add("sl-play");

  const scrub = /** @type {HTMLInputElement} */ (
    make("input", "sl-scrub", { type: "range", min: 0, step: "any", "aria-label": "Position" })
  );
  listen(scrub, "input", () => clock.seek(Number(scrub.value)));
  listen(scrub, "keydown", onScrubKey);

  const where = make("span", "sl-where");

  const speed = /** @type {HTMLSelectElement} */ (
    make("select", "sl-speed", { "aria-label": "Speed", title: "Speed ([ and ])" })
  );
  for (const one of SPEEDS) speed.append(new Option(NAMES.get(one), String(one)));
  listen(speed, "change", () => (clock.speed = Number(speed.value)));

  const loop = button("loop", "Loop (l)", () => (clock.loop = !clock.loop));

  const title = "What a shorter clip does at its end";
  const short = /** @type {HTMLSelectElement} */ (make("select", "sl-ends", { "aria-label": "Shorter clips", title }));
  short.append(new Option("hold the end", "hold"), new Option("start again", "loop"));
  listen(short, "change", () => (clock.ends = /** @type {"hold" | "loop"} */ (short.value)));

  const slow = make("span", "sl-slowed", { role: "status" });

  bar.append(back, play, on, scrub, where, speed, loop, ...(ends ? [short] : []), slow);
  el.append(bar);

  let shown = "";

  /** @param {KeyboardEvent} event */
  function onScrubKey(event) {
    // A range with step "any" moves by a hundredth of its length; a frame is what a viewer means.
    const go = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -PAGE, PageUp: PAGE }[event.key];
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Home") clock.seek(0);
    else if (event.key === "End") clock.seek(clock.duration);
    else if (go) clock.step(event.shiftKey ? Math.sign(go) * PAGE : go);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  function tick() {
    const { now, duration, frame } = clock;
    scrub.value = String(now);
    const text = `${two(now)} / ${two(duration)} s · frame ${frame}`;
    if (text === shown) return;
    shown = text;
    where.textContent = text;
    // While playing it would be read out without end.
    if (!clock.playing) scrub.setAttribute("aria-valuetext", `frame ${frame}, ${two(now)} of ${two(duration)} seconds`);
  }

  function change() {
    const empty = !(clock.duration > 0);
    for (const part of [back, play, on, scrub]) part.disabled = empty;
    scrub.max = String(clock.duration || 0);
    swap(play, clock.playing ? "pause" : "play", clock.playing ? "Pause (Space)" : "Play (Space)");
    if (!NAMES.has(clock.speed) && ![...speed.options].some((o) => Number(o.value) === clock.speed))
      speed.append(new Option(`${clock.speed}×`, String(clock.speed)));
    speed.value = String(clock.speed);
    short.value = clock.ends;
    loop.setAttribute("aria-pressed", String(Boolean(clock.loop)));
    shown = "";
    tick();
  }

  const lag = () => (slow.textContent = clock.slowed ? "slowed to keep in sync" : "");
  /** @param {KeyboardEvent} event */
  const onKey = (event) => void transportKey(event, clock);

  const off = [clock.on("change", change), clock.on("tick", tick), clock.on("lag", lag)];
  if (keys) off.push(listen(keys, "keydown", onKey));
  change();
  lag();

  return {
    el: bar,
    dispose() {
      for (const stop of off) stop();
      bar.remove();
    },
  };
}

/**
 * A button that shows a picture and has a name.
 * @param {string} picture
 * @param {string} label
 * @param {() => void} act
 * @returns {HTMLButtonElement}
 */
export function button(picture, label, act) {
  const node = make("button", "sl-icon", { type: "button" });
  listen(node, "click", act);
  swap(node, picture, label);
  return node;
}

/**
 * @param {HTMLButtonElement} node
 * @param {string} picture
 * @param {string} label
 */
function swap(node, picture, label) {
  if (node.dataset.icon === picture && node.title === label) return;
  node.dataset.icon = picture;
  node.replaceChildren(icon(picture));
  node.setAttribute("aria-label", label.replace(/ \(.*\)$/, "")); // the key is for the eye
  node.title = label;
}
