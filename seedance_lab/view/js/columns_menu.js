/** Which cells are shown, and in which order: hidden values, conditions on any column, sorting by any column. */
import { glyph, listen, make, textButton } from "./dom.js";
import { label } from "./words.js";

const CLOSE = "M4.5 4.5l7 7M11.5 4.5l-7 7";
const OPS = /** @type {const} */ ([
  ["==", "is"],
  ["!=", "is not"],
  ["<", "<"],
  ["<=", "≤"],
  [">", ">"],
  [">=", "≥"],
  ["contains", "contains"],
]);
const GROUPS = [
  ["setting", "Settings"],
  ["fact", "Facts"],
  ["measure", "Measures"],
  ["rating", "Ratings"],
];
const STATE = { name: "state", label: "state", kind: "fact", values: [] };

/** Columns that a cell can be asked about: its own, its state and its stars. @param {Map<string, any>} columns */
function askable(columns) {
  const all = [...columns.values()];
  if (!columns.has("state")) all.push(STATE);
  if (!columns.has("stars")) all.push({ name: "stars", label: "stars", kind: "rating", values: [] });
  return all;
}

/**
 * A list of columns by kind.
 * @param {any[]} columns
 * @param {Record<string, any>} attributes
 */
function chooser(columns, attributes) {
  const select = make("select", "", attributes);
  for (const [kind, title] of GROUPS) {
    const own = columns.filter((column) => column.kind === kind);
    if (own.length)
      select.append(
        make(
          "optgroup",
          "",
          { label: title },
          ...own.map((column) => new Option(column.label || column.name, column.name)),
        ),
      );
  }
  return select;
}

/**
 * Hidden values and conditions.
 * @param {HTMLElement} el
 * @param {import("./toolbar.js").Context} context
 */
export function fillFilter(el, { store, columns, setView }) {
  const { hidden = {}, filters = [] } = store.view;
  const settings = [...columns().values()].filter(
    (column) => column.kind === "setting" && (column.values ?? []).length > 1,
  );
  const parts = [];

  for (const column of settings) {
    const off = hidden[column.name] ?? [];
    const group = make("fieldset", "sl-values", {}, make("legend", "", {}, column.label || column.name));
    for (const value of column.values) {
      const box = make("input", "", { type: "checkbox", "data-key": `${column.name}=${value}` });
      box.checked = !off.includes(value);
      listen(box, "change", () => {
        const left = box.checked ? off.filter((/** @type {any} */ other) => other !== value) : [...off, value];
        const next = { ...hidden, [column.name]: left };
        if (!left.length) delete next[column.name];
        setView({ hidden: next });
      });
      const words = label(column, value);
      group.append(make("label", "", { title: words }, box, make("span", "", {}, words)));
    }
    parts.push(group);
  }

  const change = (/** @type {any[]} */ next) => setView({ filters: next });
  const list = make("ul", "sl-conditions", { "aria-label": "Conditions" });
  filters.forEach((/** @type {any} */ filter, /** @type {number} */ i) => list.append(condition(filter, i)));
  const add = textButton("Add a condition", () => {
    const first = askable(columns()).find((column) => column.kind !== "setting") ?? STATE;
    change([...filters, { column: first.name, op: typeofColumn(first) === "number" ? ">=" : "==", value: firstValue(first) }]);
  }, { "data-key": "add" }); // prettier-ignore
  const clear = textButton("Show all", () => setView({ hidden: {}, filters: [] }), { "data-key": "clear" });
  clear.disabled = !filters.length && !Object.keys(hidden).length;

  /** Every value that cells have there, in order. @param {any} column */
  function valuesOf(column) {
    if (column.kind === "setting") return column.values ?? [];
    if (column.name === "state") return [...new Set([...store.cells.values()].map((cell) => cell.state))];
    return [];
  }

  /** @param {any} column */
  function typeofColumn(column) {
    if (column.name === "stars") return "number";
    const cells = [...store.cells.values()];
    const some = cells
      .map((cell) => cell.settings[column.name] ?? cell.values?.[column.name])
      .find((value) => (value ?? null) !== null);
    return some === undefined ? "string" : typeof some;
  }

  /** @param {any} column */
  function firstValue(column) {
    const values = valuesOf(column);
    if (values.length) return values[0];
    if (column.name === "stars") return 3;
    if (typeofColumn(column) !== "number") return "";
    // The middle of what there is: half of the cells pass, so one sees at once what the condition does.
    const all = [...store.cells.values()]
      .map((cell) => cell.values?.[column.name])
      .filter((value) => typeof value === "number");
    all.sort((a, b) => a - b);
    return Number(all[Math.floor(all.length / 2)].toPrecision(3));
  }

  /** @param {any} filter @param {number} i */
  function condition(filter, i) {
    const set = (/** @type {any} */ more) =>
      change(filters.map((/** @type {any} */ one, /** @type {number} */ k) => (k === i ? { ...one, ...more } : one)));
    const known =
      columns().get(filter.column) ?? askable(columns()).find((column) => column.name === filter.column) ?? STATE;
    const which = chooser(askable(columns()), { "aria-label": "Column", "data-key": `column ${i}` });
    which.value = filter.column;
    listen(which, "change", () => {
      const column = /** @type {any} */ (askable(columns()).find((one) => one.name === which.value));
      set({
        column: column.name,
        op: typeofColumn(column) === "number" && column.kind !== "setting" ? ">=" : "==",
        value: firstValue(column),
      });
    });
    const op = make("select", "sl-op", { "aria-label": "Condition", "data-key": `op ${i}` });
    for (const [sign, words] of OPS) op.append(new Option(words, sign));
    op.value = filter.op;
    listen(op, "change", () => set({ op: op.value }));
    const values = valuesOf(known);
    /** @type {any} */
    let value;
    if (values.length && filter.op !== "contains") {
      value = make("select", "", { "aria-label": "Value", "data-key": `value ${i}` });
      values.forEach((/** @type {any} */ one, /** @type {number} */ k) =>
        value.append(new Option(label(known, one), String(k))),
      );
      value.value = String(values.indexOf(filter.value));
      listen(value, "change", () => set({ value: values[Number(value.value)] }));
    } else {
      const number = typeofColumn(known) === "number" && filter.op !== "contains";
      value = make("input", "", {
        type: number ? "number" : "text",
        step: number ? "any" : null,
        "aria-label": "Value",
        "data-key": `value ${i}`,
      });
      value.value = filter.value ?? "";
      listen(value, "change", () =>
        set({ value: number ? (value.value === "" ? null : Number(value.value)) : value.value }),
      );
    }
    const off = make(
      "button",
      "sl-icon",
      { type: "button", "aria-label": "Remove the condition", title: "Remove", "data-key": `off ${i}` },
      glyph(CLOSE),
    );
    listen(off, "click", () =>
      change(filters.filter((/** @type {any} */ _, /** @type {number} */ k) => k !== i)),
    );
    return make("li", "", {}, which, op, value, off);
  }

  const title = make("p", "sl-menu-hint", {}, settings.length ? "What is not ticked is hidden." : "");
  title.hidden = !settings.length;
  el.replaceChildren(...parts, title, list, make("div", "sl-menu-foot", {}, add, clear));
}

/**
 * Sorting. By a fact or a measure it lays the clips out in that order: under two headings each clip has its place
 * already, and the order would not be seen.
 * @param {HTMLElement} el
 * @param {import("./toolbar.js").Context} context
 */
export function fillSort(el, context) {
  const { store, columns, places, setView } = context;
  const { sort } = store.view;
  const select = chooser(askable(columns()), { "aria-label": "Sort by", "data-key": "by" });
  select.prepend(new Option("as it was asked for", ""));
  select.value = sort?.column ?? "";
  const way = make("select", "", { "aria-label": "Order", "data-key": "way" });
  way.append(new Option("lowest first", ""), new Option("highest first", "1"));
  way.value = sort?.descending ? "1" : "";
  way.disabled = !sort;
  const set = () => {
    const column = columns().get(select.value);
    const another = select.value !== sort?.column;
    const descending = another && column?.better ? column.better === "higher" : Boolean(way.value);
    const next = /** @type {any} */ ({ sort: select.value ? { column: select.value, descending } : null });
    if (select.value && column?.kind !== "setting") {
      const { rows, cols } = places();
      context.aside ??= { rows: [...rows.names], cols: [...cols.names] };
      Object.assign(next, { rows: [], cols: [] });
    } else if (context.aside) {
      Object.assign(next, context.aside);
      context.aside = null;
    }
    setView(next);
  };
  listen(select, "change", set);
  listen(way, "change", set);
  const hint = context.aside
    ? "Laid out in this order. Rows and columns come back when the sorting is taken off."
    : "Clips without a value come last.";
  el.replaceChildren(
    make("div", "sl-menu-row", {}, make("label", "", {}, "Sort by ", select), way),
    make("p", "sl-menu-hint", {}, hint),
  );
}

/**
 * Size of the cells, and captions.
 * @param {HTMLElement} el
 * @param {import("./toolbar.js").Context} context
 */
export function fillLook(el, { store, setView, size }) {
  const range = make("input", "", {
    type: "range",
    min: 96,
    max: 480,
    step: 8,
    "data-key": "size",
    "aria-label": "Size of the clips",
  });
  range.value = String(size());
  const shown = make("output", "", {}, `${size()} px`);
  listen(range, "input", () => {
    shown.textContent = `${range.value} px`;
    range.setAttribute("aria-valuetext", `${range.value} pixels wide`);
    setView({ cell_px: Number(range.value) });
  });
  const box = make("input", "", { type: "checkbox", "data-key": "captions" });
  box.checked = store.view.captions !== false;
  listen(box, "change", () => setView({ captions: box.checked }));
  el.replaceChildren(
    make("div", "sl-menu-row", {}, make("label", "", {}, "Size ", range), shown),
    make("label", "sl-menu-line", {}, box, make("span", "", {}, "Captions")),
  );
}
