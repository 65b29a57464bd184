/**
 * Above the grid: what all clips share, said once; what runs where; what is shown; the clock.
 *
 * @typedef {{store: any, columns: () => Map<string, any>, places: () => any, setView: (change: any) => void,
 *   size: () => number, page: () => number, setPage: (page: number) => void,
 *   aside?: {rows: string[], cols: string[]} | null}} Context
 *   `aside`: the rows and columns that come back when clips are no longer laid out in an order.
 */
import { axes, pager } from "./axes.js";
import { fillFilter, fillLook, fillSort } from "./columns_menu.js";
import { make, say, textButton } from "./dom.js";
import { helpMenu } from "./help.js";
import { Popover } from "./popover.js";
import { transport } from "./transport.js";
import { counts, same } from "./words.js";

/**
 * @param {HTMLElement} el
 * @param {Context & {clock: any, titled: boolean, onCompare: () => void, onUnpick: () => void}} context
 *   `titled`: whether the study's name is shown; a page of its own has it as a heading.
 */
export function toolbar(el, context) {
  const { store, clock, columns, places, titled, onCompare, onUnpick } = context;
  const bar = make("div", "sl-bar");

  const title = make("strong", "sl-title");
  const number = make("span", "sl-counts");
  const live = make("span", "sl-live", { role: "status" });
  const head = make("div", "sl-head", {}, title, number, live);

  const constant = make("p", "sl-constant");

  const menus = make("div", "sl-menus");
  const left = make("div", "sl-axes", { role: "group", "aria-label": "Layout" });
  const right = make("div", "sl-tools", { role: "group", "aria-label": "What is shown" });
  const chooser = axes(left, context);

  const menu = (
    /** @type {string} */ words,
    /** @type {string} */ label,
    /** @type {(panel: HTMLElement) => void} */ fill,
  ) => {
    const button = textButton(words, () => {});
    right.append(button);
    return { button, words, popover: new Popover(button, { label, fill, name: "sl-menu" }) };
  };
  const filter = menu("Filter", "Filter", (panel) => fillFilter(panel, context));
  const sort = menu("Sort", "Sort", (panel) => fillSort(panel, context));
  const look = menu("Look", "Size and captions", (panel) => fillLook(panel, context));
  const help = textButton("?", () => {}, { "aria-label": "Keys", title: "Keys (?)", class: "sl-btn sl-btn-round" });
  right.append(help);
  const keys = helpMenu(help);
  const compare = textButton("Compare", onCompare, {
    class: "sl-btn sl-btn-strong",
    title: "Compare what is picked (Enter)",
  });
  const unpick = textButton("Clear", onUnpick, { title: "Take all picks back (Esc)", "aria-label": "Clear the picks" });
  const picked = make("span", "sl-picks", { hidden: true }, compare, unpick);
  right.prepend(picked);
  menus.append(left, right);

  bar.append(head, constant, menus);
  const pages = pager(bar, context);
  const playback = transport(bar, { clock });
  const over = make("span", "sl-over-note");
  playback.el.append(over);
  el.append(bar);
  let seen = "";

  return {
    el: bar,
    help: keys,

    /** Say what the store has now. @param {string[]} picks */
    update(picks) {
      const at = places();
      const cells = at.cells.map((/** @type {string} */ id) => store.cells.get(id));
      title.hidden = !titled || !store.title;
      say(title, store.title);
      say(number, store.cells.size ? counts(cells, at.hidden) : "no clips yet");
      say(live, store.live?.line || "");
      live.hidden = !store.live?.line;
      const says = same(columns(), at.constant);
      constant.hidden = !says.length;
      const text = says.join(" · ");
      say(constant, text);
      constant.title = text;

      const view = store.view;
      const n =
        (view.filters ?? []).length +
        Object.values(view.hidden ?? {}).reduce(
          (/** @type {number} */ all, /** @type {any} */ values) => all + values.length,
          0,
        );
      say(filter.button, n ? `Filter · ${n}` : "Filter");
      filter.button.setAttribute("aria-pressed", String(Boolean(n)));
      const by = view.sort && (columns().get(view.sort.column)?.label || view.sort.column);
      say(sort.button, by ? `Sort: ${by} ${view.sort.descending ? "↓" : "↑"}` : "Sort");
      sort.button.setAttribute("aria-pressed", String(Boolean(by)));
      picked.hidden = !picks.length;
      say(compare, picks.length > 1 ? `Compare ${picks.length}` : "Compare: pick one more");
      compare.disabled = picks.length < 2;

      // Menus hold lists of columns and values, and are drawn anew only when these are others.
      const { columns: own, view: shown } = store;
      const { cell_px: _, ...rest } = shown;
      const key = JSON.stringify([own, rest]);
      if (key !== seen) {
        seen = key;
        for (const { popover } of [filter, sort, look]) popover.refresh();
        chooser.update();
      }
      pages.update();
    },

    /** @param {number} n Cells in sight that cannot move. */
    over(n) {
      say(over, n ? `${n} in sight stand still: more would not keep in step` : "");
    },

    dispose() {
      for (const one of [filter.popover, sort.popover, look.popover, keys]) one.dispose();
      chooser.dispose();
      playback.dispose();
      bar.remove();
    },
  };
}
