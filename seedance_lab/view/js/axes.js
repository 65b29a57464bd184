/** What runs down, across and from page to page: any setting, several of them nested. */
import { glyph, listen, make, say, textButton } from "./dom.js";
import { Popover } from "./popover.js";
import { setting, told } from "./words.js";

const AXES = /** @type {const} */ (["rows", "cols", "pages"]);
const NAMES = { rows: "Rows", cols: "Columns", pages: "Pages" };
const SWAP = "M2.5 5.5h10M10 3l2.5 2.5L10 8M13.5 10.5h-10M6 8L3.5 10.5 6 13";
const UP = "M8 12V4M4.5 7.5L8 4l3.5 3.5";
const DOWN = "M8 4v8M4.5 8.5L8 12l3.5-3.5";
const LEFT = "M10 3.5L5.5 8l4.5 4.5";
const RIGHT = "M6 3.5L10.5 8 6 12.5";
const MOST_LISTED = 12; // pages that stand beside each other; more go into a list to choose from

/**
 * Buttons that say what runs where and let it be changed.
 * @param {HTMLElement} el
 * @param {import("./toolbar.js").Context} context
 */
export function axes(el, { columns, places, setView }) {
  const now = () => {
    const { rows, cols, pages } = places();
    return { rows: [...rows.names], cols: [...cols.names], pages: [...pages.names] };
  };
  const parts = AXES.map((axis) => {
    const value = make("b");
    const button = textButton("", () => {}, { class: "sl-btn sl-axis" });
    button.append(make("span", "sl-axis-name", {}, NAMES[axis]), " ", value);
    el.append(button);
    const menu = new Popover(button, {
      label: `${NAMES[axis]}: settings`,
      name: "sl-axis-menu",
      fill: (panel) => fill(panel, axis),
    });
    return { axis, value, menu };
  });
  const swap = make(
    "button",
    "sl-icon",
    { type: "button", "aria-label": "Swap rows and columns", title: "Swap rows and columns" },
    glyph(SWAP),
  );
  listen(swap, "click", () => {
    const { rows, cols, pages } = now();
    setView({ rows: cols, cols: rows, pages });
  });
  parts[0].menu.el.after(swap);

  /** @param {HTMLElement} panel @param {"rows" | "cols" | "pages"} axis */
  function fill(panel, axis) {
    const at = now();
    const mine = at[axis];
    const known = columns();
    const settings = [...known.values()].filter((column) => column.kind === "setting");
    const count = (/** @type {any} */ column) => (column.values ?? []).length;
    // What varies first: a setting with one value makes one row.
    const others = settings
      .filter((column) => !mine.includes(column.name))
      .sort((a, b) => Number(count(b) > 1) - Number(count(a) > 1));
    const chosen = /** @type {any[]} */ (mine.map((name) => known.get(name) ?? { name, label: name, values: [] }));

    const change = (/** @type {string[]} */ names) => {
      const next = { ...at, [axis]: names };
      for (const other of AXES) if (other !== axis) next[other] = at[other].filter((name) => !names.includes(name));
      setView(next);
    };
    const move = (/** @type {number} */ i, /** @type {number} */ to) => {
      const names = [...mine];
      names.splice(to, 0, ...names.splice(i, 1));
      change(names);
    };
    const line = (/** @type {any} */ column, /** @type {number} */ i) => {
      const on = i >= 0;
      const box = make("input", "", { type: "checkbox", "data-key": column.name });
      box.checked = on;
      listen(box, "change", () => change(on ? mine.filter((name) => name !== column.name) : [...mine, column.name]));
      const elsewhere = AXES.find((other) => other !== axis && at[other].includes(column.name));
      const n = count(column);
      const label = make("label", "sl-menu-line", {}, box, make("span", "", {}, column.label || column.name),
        make("small", "", {}, elsewhere ? `now ${NAMES[elsewhere].toLowerCase()}` : `${n} value${n === 1 ? "" : "s"}`));
      const item = make("li", "", {}, label);
      if (on && mine.length > 1) {
        const tool = (/** @type {string} */ path, /** @type {string} */ words, /** @type {number} */ to) => {
          const one = make("button", "sl-icon", { type: "button", "aria-label": `${words}: ${column.label || column.name}`, title: words, "data-key": `${column.name} ${words}` }, glyph(path));
          one.disabled = to < 0 || to >= mine.length;
          listen(one, "click", () => move(i, to));
          return one;
        };
        item.append(tool(UP, "Further out", i - 1), tool(DOWN, "Further in", i + 1));
      }
      return item;
    }; // prettier-ignore

    const list = make("ul", "sl-menu-list");
    chosen.forEach((column, i) => list.append(line(column, i)));
    others.forEach((column) => list.append(line(column, -1)));
    const hint =
      mine.length > 1
        ? "The first is the outermost."
        : axis === "pages"
          ? "One page for each value."
          : "Several are nested.";
    panel.replaceChildren(
      list,
      make("p", "sl-menu-hint", {}, settings.length ? hint : "These clips have no settings."),
    );
  }

  return {
    update() {
      const at = now();
      for (const { axis, value, menu } of parts) {
        const names = at[axis].map((name) => columns().get(name)?.label || name);
        say(value, names.join(" › ") || "none");
        value.classList.toggle("sl-none", !names.length);
        menu.refresh();
      }
    },
    dispose() {
      for (const { menu } of parts) menu.dispose();
    },
  };
}

/**
 * The pages: their values in a row, or a list where they are many, with one before and one after.
 * @param {HTMLElement} el
 * @param {import("./toolbar.js").Context & {page: () => number, setPage: (page: number) => void}} context
 */
export function pager(el, { columns, places, page, setPage }) {
  const nav = make("div", "sl-pager", { role: "group", hidden: true });
  const title = make("span", "sl-pager-name");
  const arrow = (/** @type {string} */ path, /** @type {string} */ words, /** @type {number} */ by) => {
    const one = make("button", "sl-icon", { type: "button", "aria-label": words, title: words }, glyph(path));
    listen(one, "click", () => setPage(page() + by));
    return one;
  };
  const before = arrow(LEFT, "Page before (PgUp)", -1);
  const after = arrow(RIGHT, "Page after (PgDn)", 1);
  const list = make("div", "sl-pager-list");
  const count = make("span", "sl-pager-count");
  nav.append(title, before, list, after, count);
  el.append(nav);
  let drawn = "";

  return {
    update() {
      const { names, steps } = places().pages;
      nav.hidden = !names.length;
      if (nav.hidden) return;
      const at = page();
      // One setting's name stands before the list; of several, each value needs its own.
      const word = (/** @type {any} */ value, /** @type {number} */ i) => {
        const pair = setting(columns(), names[i], value);
        return names.length > 1 ? told(pair) : pair[1];
      };
      const words = /** @type {string[]} */ (steps.map((/** @type {any[]} */ step) => step.map(word).join(", ")));
      const key = JSON.stringify([names, words]);
      if (key !== drawn) {
        drawn = key;
        const label = names.map((/** @type {string} */ name) => columns().get(name)?.label || name).join(", ");
        say(title, label);
        nav.setAttribute("aria-label", `Pages: ${label}`);
        list.replaceChildren();
        if (steps.length <= MOST_LISTED) {
          list.append(...words.map((word, i) => textButton(word, () => setPage(i), { title: word })));
        } else {
          const select = make("select", "", { "aria-label": `Page: ${label}` });
          words.forEach((word, i) => select.append(new Option(word, String(i))));
          listen(select, "change", () => setPage(Number(select.value)));
          list.append(select);
        }
      }
      before.disabled = at <= 0;
      after.disabled = at >= steps.length - 1;
      const select = list.querySelector("select");
      if (select) select.value = String(at);
      else
        [...list.children].forEach((one, i) =>
          i === at ? one.setAttribute("aria-current", "page") : one.removeAttribute("aria-current"),
        );
      say(count, `${at + 1} of ${steps.length}`);
    },
  };
}
