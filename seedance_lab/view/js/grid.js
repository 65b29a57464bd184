/**
 * The grid: many clips under headings, on one clock.
 *
 * The store says what there is, `arrange` where it stands, `Table` draws that, and each cell draws itself. An update
 * of the store reaches only the cells that are others than before, so nothing flickers and no place is lost.
 */
import { arrange } from "./arrange.js";
import { CellView, playable } from "./cell.js";
import { openCompare } from "./compare.js";
import { Decoders } from "./decoders.js";
import { listen, make, say } from "./dom.js";
import { Enlarged } from "./enlarge.js";
import { guard } from "./keys.js";
import { Ratings } from "./rate.js";
import { starsText } from "./rating.js";
import { planOf, Table } from "./table.js";
import { toolbar } from "./toolbar.js";
import { transportKey, typed } from "./transport.js";
import { captionOf, facts, setting, spoken, told } from "./words.js";
import { walk } from "./walk.js";

const LETTERS = ["A", "B", "C", "D"];
const LEAST = 140; // CSS pixels of a cell that is made smaller so that a row fits
const GAP = 6;
const LOST = "The kernel is gone: what is loaded can still be played.";
const NONE = "No clips yet. They appear here as a run makes them.";

/**
 * @param {{el: HTMLElement, store: any, source: any, clock: import("./clock.js").Clock,
 *   channel: any | null, signal?: AbortSignal, most?: number}} options
 *   `channel`: null on a page without a kernel. `most`: small copies that may hold a decoder at once.
 * @returns {{el: HTMLElement, dispose: () => void}}
 */
export function renderGrid({ el, store, source, clock, channel, signal, most }) {
  const root = make("section", "sl-grid-view", { "aria-label": store.title ? `Clips: ${store.title}` : "Clips" });
  const scroller = make("div", "sl-scroll");
  const grid = make("div", "sl-grid", { role: "grid", "aria-multiselectable": "true" });
  const empty = make("p", "sl-empty", { hidden: true });
  const status = make("p", "sl-status", { role: "status" });
  const lost = make("p", "sl-lost", { role: "alert", hidden: true });

  /** @type {Map<string, CellView>} */
  const views = new Map();
  const decoders = new Decoders({ most });
  const table = new Table(grid);
  /** @type {(string | null)[]} Picked clips, by letter. */
  let picks = LETTERS.map(() => null);
  let columns = new Map(store.columns.map((/** @type {any} */ column) => [column.name, column]));
  let places = placed();
  let page = 0;
  let active = "";
  let width = 0;
  let drawn = "";
  let comparing = false;
  /** @type {{close: () => void} | null} */
  let dialog = null;
  let asked = ""; // the comparison that the kernel asked for last
  let chosenSize = false;

  const context = {
    store, clock, aside: null,
    columns: () => columns,
    places: () => places,
    size: () => Math.round(sizes().cell),
    page: () => page,
    setPage,
    setView,
    titled: channel !== null,
    onCompare: () => compare(picked()),
    onUnpick: () => unpick(),
  }; // prettier-ignore
  const bar = toolbar(root, context);
  scroller.append(grid);
  root.append(lost, empty, scroller, status);
  el.append(root);

  const large = new Enlarged(root, { source, clock, describe, onOpen: (id) => compareFrom(id), under: scroller });
  const ratings = new Ratings(root, {
    store, channel, tell, nameOf,
    viewOf: (id) => views.get(id),
    redraw: (id) => views.has(id) && update(/** @type {CellView} */ (views.get(id))),
  }); // prettier-ignore
  const cellOf = (/** @type {string} */ id) => ratings.of(id);

  function placed() {
    return arrange({ columns: store.columns, cells: store.cells.values(), view: store.view });
  }

  // ── what is shown ──────────────────────────────────────────────────────────────────────────────────────

  /** @param {any} cell */
  function nameOf(cell) {
    const own = places.varying.filter((name) => name in cell.settings);
    return own.map((name) => told(setting(columns, name, cell.settings[name]))).join(", ") || cell.title || cell.id;
  }

  /** @param {any} cell */
  function describe(cell) {
    const size =
      cell.width && cell.height ? `${cell.width} × ${cell.height}, ${Number((cell.fps || 0).toFixed(2))} frames/s` : "";
    return {
      name: nameOf(cell),
      lines: [[facts(cell), size].filter(Boolean).join(" · "), starsText(cellOf(cell.id).rating)].filter(Boolean),
    };
  }

  /** @param {string} id */
  function viewOf(id) {
    let view = views.get(id);
    if (!view) {
      view = new CellView(cellOf(id), {
        source,
        clock,
        canRate: channel !== null,
        onPick: (own) => pick(own),
        onRate: (own) => openRating(own),
        onTrouble: (own) => update(own),
      });
      views.set(id, view);
      update(view);
    }
    decoders.watch(view);
    return view;
  }

  /** @param {CellView} view */
  function update(view) {
    const cell = cellOf(view.id);
    const letter = LETTERS[picks.indexOf(view.id)] ?? "";
    const captions = store.view.captions !== false;
    const { rest, varying } = places;
    const said = spoken(cell, columns, { varying, rest, captions, picked: letter, trouble: view.why });
    view.update(cell, { caption: captionOf(cell, columns, rest), captions, spoken: said, picked: letter });
    if (large.open) large.update(cell);
    ratings.update(view.id);
  }

  /** Width of a cell and of the row headings, and the places of a line where nothing runs across. */
  function sizes() {
    const wanted = store.view.cell_px || 200;
    const { head, across } = plan(1e6);
    if (!width) return { cell: wanted, head, flow: across };
    const room = width - 2 - (head ? head + GAP : 0);
    const least = Math.min(LEAST, wanted);
    const inLine = (/** @type {number} */ n) => (room - GAP * (n - 1)) / n;
    const flow = Math.max(1, Math.floor((room + GAP) / (wanted + GAP)));
    let cell = wanted;
    // The size that somebody chose is kept; else a row is made to fit, and lines that flow are filled.
    if (!places.cols.names.length) cell = chosenSize || across <= flow ? wanted : inLine(flow);
    else if (!chosenSize) cell = Math.max(least, Math.min(wanted, inLine(across)));
    return { cell: Math.min(cell, Math.max(least, room)), head, flow };
  }

  /** @param {number} flow */
  const plan = (flow) => planOf(places, columns, { page, flow });

  /** Lay everything out; what stands where it stood is left alone. */
  async function layout() {
    page = Math.min(page, Math.max(0, places.pages.steps.length - 1));
    const { cell, flow } = sizes();
    const now = plan(flow);
    grid.style.setProperty("--sl-cell", `${Math.floor(cell)}px`);
    grid.style.setProperty("--sl-shape", String(shape()));
    const key = JSON.stringify(now);
    if (key === drawn) return;
    drawn = key;
    const focused = grid.contains(document.activeElement) ? active : "";
    const ids = new Set(now.lines.flatMap((line) => line.ids));
    for (const view of views.values()) if (!ids.has(view.id)) decoders.unwatch(view);
    if (!ids.has(active)) active = now.lines.flatMap((line) => line.ids).find(Boolean) ?? "";
    const nothing = !ids.size;
    empty.hidden = !nothing;
    scroller.hidden = nothing;
    if (nothing) showNothing();
    if (!(await table.draw(now, viewOf))) return;
    for (const view of views.values()) view.el.tabIndex = view.id === active ? 0 : -1;
    if (focused && document.activeElement === document.body) views.get(active)?.el.focus({ preventScroll: true });
  }

  function showNothing() {
    const all = store.cells.size;
    const show = make("button", "sl-btn", { type: "button" }, "Show all");
    listen(show, "click", () => setView({ hidden: {}, filters: [] }));
    empty.replaceChildren(...(all ? [`None of the ${all} clips passes the filter. `, show] : [NONE]));
  }

  /** Width over height of the boxes: that of the clips, or between theirs where they differ. */
  function shape() {
    const all = [...store.cells.values()]
      .filter((cell) => cell.width && cell.height)
      .map((cell) => cell.width / cell.height);
    if (!all.length) return 16 / 9;
    const mean = Math.exp(all.reduce((sum, one) => sum + Math.log(one), 0) / all.length);
    return Math.round(mean * 1000) / 1000;
  }

  /** @param {any} change */
  function setView(change) {
    if ("cell_px" in change) chosenSize = true;
    store.patch({ view: { ...store.view, ...change } });
    channel?.send("view", { view: { ...store.view } });
  }

  /** @param {number} to */
  function setPage(to) {
    const last = places.pages.steps.length - 1;
    page = Math.max(0, Math.min(last, to));
    large.close();
    scroller.scrollTop = 0;
    void layout();
    bar.update(picked());
  }

  function changed() {
    columns = new Map(store.columns.map((/** @type {any} */ column) => [column.name, column]));
    places = placed();
    for (const [id, view] of views) {
      if (store.cells.has(id)) continue;
      decoders.unwatch(view);
      view.dispose();
      views.delete(id);
    }
    picks = picks.map((id) => (id !== null && store.cells.has(id) ? id : null));
    for (const view of views.values()) update(view);
    void layout();
    bar.update(picked());
    decoders.settle();
    compareAsked();
  }

  // ── picking and comparing ─────────────────────────────────────────────────────────────────────────

  const picked = () => /** @type {string[]} */ (picks.filter((id) => id !== null));

  /** Pick a clip as a letter, the next free one unless told; a second time takes it back. @param {string} id @param {number} [letter] */
  function pick(id, letter) {
    const at = picks.indexOf(id);
    const to = letter ?? (at >= 0 ? at : picks.indexOf(null) >= 0 ? picks.indexOf(null) : LETTERS.length - 1);
    if (!playable(store.cells.get(id)) && at < 0) return tell("There is no clip here to compare.");
    const before = picks[to];
    if (at >= 0) picks[at] = null;
    picks[to] = before === id ? null : id;
    for (const one of [id, before]) if (one && views.has(one)) update(/** @type {CellView} */ (views.get(one)));
    bar.update(picked());
    tell(picks[to] ? `Picked as ${LETTERS[to]}.` : `Taken back: ${LETTERS[to]}.`);
  }

  function unpick() {
    const before = picked();
    picks = LETTERS.map(() => null);
    for (const id of before) if (views.has(id)) update(/** @type {CellView} */ (views.get(id)));
    bar.update([]);
    if (!grid.contains(document.activeElement)) views.get(active)?.el.focus({ preventScroll: true });
  }

  /** What is picked and this clip; without picks, this clip and its neighbour. @param {string} id @param {string} [mode] */
  function compareFrom(id, mode) {
    const own = picked();
    if (own.length)
      return compare(
        own.includes(id) || !playable(store.cells.get(id)) ? own : [...own.slice(0, LETTERS.length - 1), id],
        mode,
      );
    if (!playable(store.cells.get(id))) return tell(cellOf(id).why || "There is no clip here to compare.");
    const near = walk.neighbours(table.matrix, id).find((other) => playable(store.cells.get(other)));
    if (!near) return tell("Compare takes two clips, and there is no other here.");
    compare([id, near], mode);
  }

  /** @param {string[]} ids @param {string} [mode] */
  function compare(ids, mode) {
    if (comparing) return;
    const cells = ids.map(cellOf).filter((cell) => cell && playable(cell));
    if (cells.length < 2) return tell("Pick a second clip to compare: b on it, or its corner.");
    comparing = true;
    large.close();
    decoders.suspend(true);
    dialog = openCompare(root, {
      cells, columns: store.columns, source, clock, mode: /** @type {any} */ (mode),
      onClose() {
        comparing = false;
        decoders.suspend(false);
        if (store.view.compare) setView({ compare: null });
        large.close();
      },
    }); // prettier-ignore
  }

  /** Open the comparison that the view asks for, and close it when it asks for none any more. */
  function compareAsked() {
    const { ids = [], mode = undefined } = store.view.compare ?? {};
    const now = [...ids, mode].join(" ").trim();
    if (now === asked) return;
    asked = now;
    if (comparing) dialog?.close();
    if (ids.length > 1) compare(ids.slice(0, LETTERS.length), mode);
  }

  /** @param {string} id */
  function openRating(id) {
    large.close();
    ratings.open(id);
  }

  /** @param {string} words */
  function tell(words) {
    say(status, words);
  }

  // ── keys and pointer ───────────────────────────────────────────────────────────────────────────────────

  /** @param {string} id */
  function focus(id) {
    const view = views.get(id);
    if (!view) return;
    const before = views.get(active);
    if (before) before.el.tabIndex = -1;
    active = id;
    view.el.tabIndex = 0;
    view.el.focus({ preventScroll: true });
    view.el.scrollIntoView?.({ block: "nearest", inline: "nearest" });
  }

  /** @param {KeyboardEvent} event */
  function onKey(event) {
    const target = /** @type {Element} */ (event.target);
    const inGrid = grid.contains(target);
    if (event.defaultPrevented || typed(event) || comparing) return;
    if (inGrid && active && gridKey(event)) return event.preventDefault();
    if (transportKey(event, clock)) return;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "?") bar.help.toggle();
    else if (event.key === "PageDown" || event.key === "PageUp") {
      if (!places.pages.names.length) return;
      setPage(page + (event.key === "PageDown" ? 1 : -1));
    } else if (event.key === "Escape") {
      if (large.open) large.close();
      else if (picked().length) unpick();
      else return;
    } else return;
    event.preventDefault();
  }

  /** @param {KeyboardEvent} event @returns {boolean} Whether it was one. */
  function gridKey(event) {
    const { key } = event;
    if (event.altKey || event.metaKey || (event.shiftKey && key.startsWith("Arrow"))) return false;
    const to = walk.key(table.matrix, active, key, event.ctrlKey);
    if (to !== null) return (focus(to), true);
    if (event.ctrlKey) return false;
    const letter = ["a", "b", "c", "d"].indexOf(key);
    if (letter >= 0) pick(active, letter);
    else if (/^[0-5]$/.test(key)) ratings.stars(active, Number(key));
    else if (key === "Enter") compareFrom(active);
    else if (key === "r") openRating(active);
    else if (key === "e") {
      const view = /** @type {CellView} */ (views.get(active));
      if (large.open && large.view === view) large.close();
      else if (playable(view.cell)) large.show(view);
    } else {
      const mode = { w: "wipe", o: "onion", x: "difference" }[key];
      if (!mode) return false;
      compareFrom(active, mode);
    }
    return true;
  }

  /** @param {Event} event */
  const viewAt = (event) => {
    const at = /** @type {Element} */ (event.target).closest?.(".sl-cell");
    return at && grid.contains(at) ? views.get(/** @type {HTMLElement} */ (at).dataset.id ?? "") : undefined;
  };

  listen(root, "keydown", onKey);
  listen(grid, "pointerover", (/** @type {PointerEvent} */ event) => {
    const view = viewAt(event);
    if (event.pointerType === "touch" || comparing || ratings.menu.open) return;
    // The picks and stars in a cell's corners are to be aimed at in peace.
    if (view && !(/** @type {Element} */ (event.target).closest("button"))) large.rest(view);
  });
  listen(grid, "pointerleave", () => large.leave());
  listen(grid, "focusin", (/** @type {FocusEvent} */ event) => {
    const view = viewAt(event);
    if (!view) return;
    if (view.id !== active) {
      const before = views.get(active);
      if (before) before.el.tabIndex = -1;
      active = view.id;
      view.el.tabIndex = 0;
    }
    // Only a focus that is seen, that is one by the keyboard, enlarges.
    if (view.el.matches(":focus-visible")) large.rest(view);
  });
  listen(grid, "focusout", () => large.leave());
  listen(grid, "click", (/** @type {MouseEvent} */ event) => {
    const view = viewAt(event);
    if (!view) return;
    focus(view.id);
    if (event.ctrlKey || event.metaKey || event.shiftKey) pick(view.id);
    else compareFrom(view.id);
  });

  // ── what moves ─────────────────────────────────────────────────────────────────────────────────────────

  const seconds = setInterval(() => {
    for (const view of views.values()) view.tick();
  }, 1000);
  const moved = () => {
    // Until the clock has moved for the first time the posters are what is seen.
    if (clock.playing || clock.now > 0) root.classList.add("sl-moved");
  };
  decoders.onChange = () => bar.over(decoders.over);
  decoders.onDrawn = () => {
    decoders.onDrawn = () => {};
    channel?.send("drawn");
  };
  const observer = typeof ResizeObserver === "undefined" ? null : new ResizeObserver(() => measure());
  const measure = () => {
    const now = scroller.hidden ? root.clientWidth : scroller.clientWidth;
    if (Math.abs(now - width) < 1) return;
    width = now;
    void layout();
  };
  observer?.observe(root);
  const kernel = channel?.on?.("lost", () => {
    lost.hidden = false;
    say(lost, LOST);
  });
  const found = channel?.on?.("snapshot", () => (lost.hidden = true));
  const offs = [
    store.on("change", changed),
    clock.on("change", moved),
    clock.on("tick", moved),
    kernel,
    found,
    guard(root),
  ];

  width = scroller.clientWidth;
  bar.update([]);
  // In a task of its own: reading the page's data and the first lines together would hold the page up.
  const first = setTimeout(() => void layout());
  compareAsked();

  let gone = false;
  function dispose() {
    if (gone) return;
    gone = true;
    for (const off of offs) off?.();
    clearInterval(seconds);
    clearTimeout(first);
    observer?.disconnect();
    table.dispose();
    decoders.dispose();
    large.dispose();
    ratings.dispose();
    bar.dispose();
    for (const view of views.values()) view.dispose();
    views.clear();
    root.remove();
  }
  signal?.addEventListener("abort", dispose, { once: true });
  return { el: root, dispose };
}
