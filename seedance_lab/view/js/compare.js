/**
 * Two to four clips, large, on the grid's clock: beside each other, divided, through each other, subtracted.
 *
 * Every clip stays one element at one place in the page, and a mode only changes boxes and blending: moving a
 * video within the page would stop it. Blending is the browser's own, without a canvas, so files from
 * anywhere will do. A modal <dialog> holds it all, because nothing else leaves a notebook's scrolling cells.
 */
import { differenceTable, namesOf } from "./difference_table.js";
import { listen, make, textButton as asButton } from "./dom.js";
import { guard } from "./keys.js";
import { Screen } from "./screen.js";
import { button, transport, transportKey, TRANSPORT_KEYS, typed } from "./transport.js";
import { gestures, Zoom, zoomKey } from "./zoom.js";

/** @typedef {"side" | "wipe" | "onion" | "difference" | "flip"} Mode */

const LETTERS = ["A", "B", "C", "D"];
const GAP = 6; // CSS pixels between boxes

/** Each mode: its name, its key, and its slider as [name, least, most, step, start, unit]. */
const MODES = /** @type {const} */ ({
  side: { name: "Side by side", key: "s", slider: null },
  wipe: { name: "Wipe", key: "w", slider: ["Divide at", 0, 100, 1, 50, "%"] },
  onion: { name: "Onion skin", key: "o", slider: ["Opacity", 0, 100, 1, 50, "%"] },
  difference: { name: "Difference", key: "x", slider: ["Brightness", 1, 16, 0.5, 4, "×"] },
  flip: { name: "Flip", key: "f", slider: null },
});

const KEYS = [
  ["s w o x", "side by side, wipe, onion skin, difference"],
  ["f", "flip to the next clip"],
  ["a b c d or 1 2 3 4", "flip to this clip"],
  ["← →", "the slider of the mode"],
  ["+ − 0", "zoom in, out, back to fit"],
  ["z", "100 %"],
  ["Alt and arrows", "move the picture"],
  ...TRANSPORT_KEYS,
  ["Esc", "close"],
];

/**
 * The columns and rows of n equal boxes that show the pictures largest.
 * @param {number} n
 * @param {number} width Of the room, CSS pixels.
 * @param {number} height
 * @param {number} aspect Width over height of the pictures.
 * @returns {{cols: number, rows: number}}
 */
export function boxes(n, width, height, aspect) {
  let best = { cols: 1, rows: n };
  let most = 0;
  for (let cols = 1; cols <= n; cols++) {
    const rows = Math.ceil(n / cols);
    const wide = Math.min((width - GAP * (cols - 1)) / cols, ((height - GAP * (rows - 1)) / rows) * aspect);
    if (wide > most + 0.5) {
      most = wide;
      best = { cols, rows };
    }
  }
  return best;
}

/**
 * Open the view over everything else. It closes on Esc and gives the focus back.
 * @param {HTMLElement} host Inside `.sl-view`, whose colours it takes.
 * @param {{cells: any[], columns: any[], source: import("./media.js").Source,
 *   clock: import("./clock.js").Clock, onClose?: (how: {mode: Mode}) => void, mode?: Mode}} options
 * @returns {{el: HTMLDialogElement, close: () => void}}
 * @throws {RangeError} For fewer than two clips or more than four.
 */
export function openCompare(host, { cells, columns, source, clock, onClose = () => {}, mode: wanted }) {
  if (cells.length < 2 || cells.length > LETTERS.length)
    throw new RangeError(`Compare takes two to four clips; these are ${cells.length}.`);
  const letters = LETTERS.slice(0, cells.length);
  const names = namesOf(cells, columns);
  const zoom = new Zoom();
  const before = /** @type {HTMLElement | null} */ (document.activeElement);

  /** @type {Mode} */
  let mode = wanted && wanted in MODES ? wanted : "side";
  let pair = [0, 1];
  let single = 0;
  const amounts = { wipe: 50, onion: 50, difference: 4 };

  const dialog = /** @type {HTMLDialogElement} */ (
    make("dialog", "sl-compare", { "aria-label": `Compare ${cells.length} clips` })
  );

  // Head: what is compared, how, and the way out.
  const head = make("div", "sl-compare-head");
  const modes = make("div", "sl-modes", { role: "group", "aria-label": "Mode" });
  const modeButtons = Object.entries(MODES).map(([id, { name, key }]) =>
    asButton(name, () => setMode(/** @type {Mode} */ (id)), { class: "sl-mode", title: `${name} (${key})` }),
  );
  modes.append(...modeButtons);
  const chooser = make("div", "sl-pair");
  const selects = [0, 1].map((side) => {
    const one = /** @type {HTMLSelectElement} */ (
      make("select", "", { "aria-label": side ? "Second clip" : "First clip" })
    );
    letters.forEach((letter, i) => one.append(new Option(`${letter}: ${names[i]}`, String(i))));
    listen(one, "change", () => choose(side, Number(one.value)));
    return one;
  });
  chooser.append(selects[0], text("span", "with"), selects[1]);
  head.append(modes, chooser, button("close", "Close (Esc)", close));

  // Stage: the clips, and over them what must not be blended with them.
  const stage = make("div", "sl-stage", { tabindex: -1 });
  const layers = make("div", "sl-layers");
  const over = make("div", "sl-over");
  const screens = cells.map((cell, i) => {
    const screen = new Screen(cell, { source, clock, onChange: () => draw() });
    screen.el.setAttribute("role", "img");
    screen.el.setAttribute("aria-label", `${letters[i]}: ${names[i]}`);
    layers.append(screen.el);
    return screen;
  });
  const badges = cells.map((_, i) => {
    // The box has the same name.
    const badge = make("div", "sl-badge", { "aria-hidden": "true" }, text("b", letters[i]), ` ${names[i]}`);
    over.append(badge);
    return badge;
  });
  const divider = make("div", "sl-divider");
  over.append(divider);
  stage.append(layers, over);

  // Under the stage: the slider of the mode, the zoom, what to know, the clock.
  const amount = make("label", "sl-amount");
  const amountName = make("span", "");
  const slider = /** @type {HTMLInputElement} */ (make("input", "", { type: "range" }));
  const amountText = make("output", "");
  amount.append(amountName, slider, amountText);
  listen(slider, "input", () => setAmount(Number(slider.value)));

  const zoomer = make("div", "sl-zoomer", { role: "group", "aria-label": "Zoom" });
  const percent = make("output", "sl-percent");
  const fit = textButton("Fit", "Fit to the box (0)", () => zoom.reset());
  const actual = textButton("100 %", "One pixel of the clip on one of the page (z)", () => zoom.actual(fitted()));
  zoomer.append(
    textButton("−", "Zoom out (−)", () => zoom.by(1 / 1.25), "Zoom out"), percent,
    textButton("+", "Zoom in (+)", () => zoom.by(1.25), "Zoom in"), fit, actual,
  ); // prettier-ignore

  const note = make("p", "sl-compare-note", { role: "status" });
  const controls = make("div", "sl-compare-controls");
  const bar = make("div", "sl-compare-bar");
  controls.append(amount, zoomer, note);

  // Beside: what the clips are.
  // It scrolls, and keys must be able to.
  const beside = make("div", "sl-beside", { tabindex: 0, role: "region", "aria-label": "Settings, facts and measures" });
  differenceTable(beside, { cells, columns, letters });
  const help = make("details", "sl-keys");
  const list = make("dl", "");
  for (const [key, what] of KEYS) list.append(text("dt", key), text("dd", what));
  help.append(text("summary", "Keys"), list);
  beside.append(help);

  const main = make("div", "sl-compare-main");
  main.append(stage, controls, bar);
  const body = make("div", "sl-compare-body");
  body.append(main, beside);
  dialog.append(head, body);
  host.append(dialog);
  const playback = transport(bar, { clock });

  /** CSS pixels for one pixel of the largest clip. */
  const fitted = () => Math.min(...screens.filter((s) => !s.el.hidden && s.fitted).map((s) => s.fitted), Infinity);

  const paired = () => mode === "wipe" || mode === "onion" || mode === "difference";

  /** @param {Mode} next */
  function setMode(next) {
    if (next === "flip" && mode === "flip") single = (single + 1) % cells.length;
    mode = next;
    draw();
  }

  /** @param {number} i */
  function flip(i) {
    if (i >= cells.length) return;
    single = i;
    mode = "flip";
    draw();
  }

  /**
   * @param {number} side
   * @param {number} i
   */
  function choose(side, i) {
    // Choosing the other one's clip swaps the two: a clip beside itself says nothing.
    if (pair[1 - side] === i) pair.reverse();
    else pair[side] = i;
    draw();
  }

  /** @param {number} value */
  function setAmount(value) {
    if (!(mode in amounts)) return;
    const [, least, most] = /** @type {any} */ (MODES[mode].slider);
    amounts[/** @type {"wipe"} */ (mode)] = Math.max(least, Math.min(most, value));
    draw();
  }

  /** Where clip i lies now, as [left, top, width, height] in CSS pixels; null where it is not seen. */
  function place(/** @type {number} */ i) {
    const { clientWidth: width, clientHeight: height } = stage;
    if (mode !== "side") return !paired() || pair.includes(i) ? [0, 0, width, height] : null;
    const { width: w, height: h } = cells[0];
    const { cols, rows } = boxes(cells.length, width, height, w && h ? w / h : 16 / 9);
    const wide = (width - GAP * (cols - 1)) / cols;
    const high = (height - GAP * (rows - 1)) / rows;
    return [(i % cols) * (wide + GAP), Math.floor(i / cols) * (high + GAP), wide, high];
  }

  function draw() {
    if (!dialog.isConnected || closed) return;
    dialog.dataset.mode = mode;
    const { width, height } = cells[0];
    const shape = width && height ? width / height : 16 / 9;
    stage.style.setProperty("--sl-shape", String(shape)); // for the height of the stage where it is narrow
    stage.style.setProperty("--sl-stack", String(mode !== "side" ? 1 : shape < 1 ? Math.ceil(cells.length / 2) / 2 : cells.length));
    Object.keys(MODES).forEach((id, i) => modeButtons[i].setAttribute("aria-pressed", String(id === mode)));
    chooser.hidden = !paired() || cells.length === 2;
    selects.forEach((one, side) => (one.value = String(pair[side])));
    screens.forEach((screen, i) => {
      const at = place(i);
      const second = paired() && i === pair[1];
      screen.el.hidden = !at;
      screen.join(Boolean(at));
      badges[i].hidden = !at || (mode === "flip" && i !== single);
      if (!at) return;
      for (const el of [screen.el, badges[i]]) {
        el.style.left = `${at[0]}px`;
        el.style.top = `${at[1]}px`;
      }
      screen.el.style.width = `${at[2]}px`;
      screen.el.style.height = `${at[3]}px`;
      badges[i].style.maxWidth = paired() ? `calc(50% - 12px)` : `${at[2] - 16}px`;
      badges[i].classList.toggle("sl-badge-right", second);
      const on = mode === "flip" ? i === single : second;
      screen.el.style.zIndex = on ? "2" : "1";
      if (mode === "flip") screen.el.setAttribute("aria-hidden", String(!on));
      else screen.el.removeAttribute("aria-hidden");
      screen.el.style.clipPath = second && mode === "wipe" ? `inset(0 0 0 ${amounts.wipe}%)` : "";
      screen.el.style.opacity = second && mode === "onion" ? String(amounts.onion / 100) : "";
      screen.el.style.mixBlendMode = second && mode === "difference" ? "difference" : "";
      screen.picture.style.transform = zoom.css;
      screen.picture.classList.toggle("sl-pixels", zoom.scale * screen.fitted > 2);
    });
    layers.style.filter = mode === "difference" ? `brightness(${amounts.difference})` : "";
    divider.hidden = mode !== "wipe";
    divider.style.left = `${amounts.wipe}%`;
    drawSlider();
    const size = fitted();
    percent.textContent = Number.isFinite(size) ? `${Math.round(zoom.scale * size * 100)} %` : "";
    fit.setAttribute("aria-pressed", String(zoom.scale === 1));
    stage.classList.toggle("sl-zoomed", zoom.scale > 1);
    drawNote();
  }

  function drawSlider() {
    const of = MODES[mode].slider;
    amount.hidden = !of;
    if (!of) return;
    const [name, least, most, step, , unit] = of;
    amountName.textContent = mode === "onion" ? `${name} of ${letters[pair[1]]}` : name;
    slider.min = String(least);
    slider.max = String(most);
    slider.step = String(step);
    slider.value = String(amounts[/** @type {"wipe"} */ (mode)]);
    amountText.textContent = unit === "×" ? `${slider.value}×` : `${slider.value} ${unit}`;
    slider.setAttribute("aria-valuetext", amountText.textContent);
  }

  function drawNote() {
    const seen = screens.filter((screen) => !screen.el.hidden);
    const says = [];
    if (mode === "difference")
      says.push(clock.playing ? "Exact only while paused." : "Exact only while paused: it is now. Black is equal.");
    const { width, height } = seen[0].cell;
    if (paired() && seen.some(({ cell }) => cell.width !== width || cell.height !== height))
      says.push(`Scaled to one size: ${seen.map(({ cell }) => `${cell.width}×${cell.height}`).join(" and ")}.`);
    if (seen.some(({ shown, why, kinds }) => !why && kinds.includes("full") && shown !== "full"))
      says.push("Small copies, while the full files load.");
    else if (seen.some(({ shown, why }) => !why && shown === "proxy")) says.push("Small copies: this page has no full files.");
    const line = says.join(" ");
    if (note.textContent !== line) note.textContent = line;
  }

  /** @param {KeyboardEvent} event */
  function onKey(event) {
    if (event.key === "Tab") return keepFocus(event);
    if (event.defaultPrevented || typed(event)) return;
    if (zoomKey(event, zoom, fitted()) || transportKey(event, clock)) return;
    if (event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
    const found = Object.entries(MODES).find(([, { key }]) => key === event.key);
    const letter = "abcd1234".indexOf(event.key.toLowerCase());
    const way = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const of = MODES[mode].slider;
    if (found) setMode(/** @type {Mode} */ (found[0]));
    else if (letter >= 0 && event.key.length === 1) flip(letter % 4);
    else if (way && of && !(event.target === slider)) setAmount(amounts[/** @type {"wipe"} */ (mode)] + way * of[3] * 2);
    else return;
    event.preventDefault();
  }

  /** @param {KeyboardEvent} event */
  function keepFocus(event) {
    const all = [...dialog.querySelectorAll("button, select, input, summary, [tabindex='0']")].filter(
      (el) => /** @type {any} */ (el).disabled !== true && el.checkVisibility?.() !== false,
    );
    const edge = event.shiftKey ? all[0] : all[all.length - 1];
    if (document.activeElement !== edge) return;
    event.preventDefault();
    /** @type {HTMLElement} */ (event.shiftKey ? all[all.length - 1] : all[0]).focus();
  }

  /** @param {number} x @param {number} y */
  function boxAt(x, y) {
    const all = screens.filter((screen) => !screen.el.hidden).map((screen) => screen.el.getBoundingClientRect());
    return all.find((box) => x >= box.left && x <= box.right && y >= box.top && y <= box.bottom) ?? all[0] ?? null;
  }

  let closed = false;
  function close() {
    if (closed) return;
    closed = true;
    for (const stop of offs) stop();
    for (const screen of screens) screen.dispose();
    playback.dispose();
    if (dialog.open) dialog.close?.();
    dialog.remove();
    if (before?.isConnected) before.focus({ preventScroll: true });
    onClose({ mode });
  }

  const watch = typeof ResizeObserver === "undefined" ? null : new ResizeObserver(() => draw());
  watch?.observe(stage);
  const offs = [
    zoom.on(draw),
    clock.on("change", drawNote),
    gestures(stage, zoom, {
      boxAt,
      // Zoomed in, a drag moves the picture; the slider and the keys still divide.
      drag: (u) => mode === "wipe" && zoom.scale <= 1 && (setAmount(u * 100), true),
    }),
    () => watch?.disconnect(),
  ];
  listen(dialog, "keydown", onKey);
  listen(dialog, "close", close);
  guard(dialog);
  // A notebook's output, in its own frame as tall as its content, has a window that no one can see whole.
  dialog.style.maxHeight = `${Math.round((globalThis.screen?.availHeight || 1000) * 0.98)}px`;
  if (dialog.showModal) dialog.showModal();
  else dialog.setAttribute("open", "");
  stage.focus({ preventScroll: true });
  draw();
  for (const screen of screens) screen.load();
  return { el: dialog, close };
}

/** @param {string} tag @param {string} words */
const text = (tag, words) => make(tag, "", {}, words);

/** @param {string} words @param {string} title @param {() => void} act @param {string} [label] */
const textButton = (words, title, act, label) =>
  asButton(words, act, { class: "sl-text", title, "aria-label": label ?? null });
