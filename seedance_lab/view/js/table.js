/**
 * The rows and headings of the grid: first as plain data, then as elements that are moved and not made anew.
 *
 * The outermost settings of the rows are lines of their own, the innermost stands at the left. Where nothing runs
 * across, the clips of a row flow over as many lines as it takes.
 */
import { arrangeChildren, make, putBefore } from "./dom.js";
import { setting, told } from "./words.js";

const SLICE_MS = 10; // of building, before the page may draw
const LONG = 18; // characters from which a heading counts as a text and not as a value

/**
 * @typedef {{key: string, kind: "band" | "heads" | "row", head: [string, string] | null, text: string,
 *   spans: {text: [string, string], span: number}[], ids: (string | null)[], long: boolean}} Line
 * @typedef {{lines: Line[], across: number, head: number}} Plan
 *   `across`: places in a line; `head`: width of the row headings, in CSS pixels.
 */

/**
 * @param {any} places What `arrange` found.
 * @param {Map<string, any>} columns
 * @param {{page: number, flow: number}} options `flow`: places in a line where nothing runs across.
 * @returns {Plan}
 */
export function planOf(places, columns, { page, flow }) {
  const { rows, cols } = places;
  const flows = !cols.names.length;
  const most = flows
    ? Math.max(0, ...rows.steps.map((/** @type {any} */ _, /** @type {number} */ r) => places.at(r, 0, page).length))
    : 0;
  const across = flows ? Math.max(1, Math.min(flow, most)) : cols.steps.length;
  const outer = rows.names.slice(0, -1);
  const inner = rows.names[rows.names.length - 1];
  /** @type {Line[]} */
  const lines = [];
  const line = (/** @type {Partial<Line>} */ more) =>
    lines.push({ key: "", kind: "row", head: null, text: "", spans: [], ids: [], long: false, ...more });

  cols.names.forEach((/** @type {string} */ name, /** @type {number} */ level) => {
    /** @type {Line["spans"]} */
    const spans = [];
    let before = "";
    for (const step of cols.steps) {
      const prefix = JSON.stringify(step.slice(0, level + 1));
      if (prefix === before && level < cols.names.length - 1) spans[spans.length - 1].span++;
      else spans.push({ text: setting(columns, name, step[level]), span: 1 });
      before = prefix;
    }
    const last = level === cols.names.length - 1;
    line({
      key: `heads ${level}`,
      kind: "heads",
      spans,
      long: spans.some(({ text: [, value] }) => value.length > LONG),
      text: last && inner ? columns.get(inner)?.label || inner : "",
    });
  });

  // The corner above the row headings says their setting's name; where there is no corner, each of them does.
  const named = (/** @type {[string, string]} */ [name, value]) =>
    /** @type {[string, string]} */ ([flows ? name : "", value]);
  let band = "";
  rows.steps.forEach((/** @type {any[]} */ step, /** @type {number} */ r) => {
    const own = flows
      ? chunks(places.at(r, 0, page), across)
      : stacked(cols.steps.map((/** @type {any} */ _, /** @type {number} */ c) => places.at(r, c, page)));
    if (!own.some((ids) => ids.some(Boolean))) return; // nothing of this page
    const text = outer
      .map((/** @type {string} */ name, /** @type {number} */ i) => told(setting(columns, name, step[i])))
      .join(" · ");
    if (outer.length && text !== band) line({ key: `band ${JSON.stringify(step.slice(0, -1))}`, kind: "band", text });
    band = text;
    own.forEach((ids, k) => {
      const head = inner
        ? k
          ? /** @type {[string, string]} */ (["", ""])
          : named(setting(columns, inner, step[step.length - 1]))
        : null;
      line({ key: `row ${JSON.stringify(step)} ${k}`, head, ids });
    });
  });

  const heads = lines.filter((one) => one.head).map(({ head }) => /** @type {[string, string]} */ (head));
  const corner = flows ? "" : (columns.get(inner)?.label ?? inner ?? "");
  const longest = Math.max(0, ...[corner, ...heads.flat()].map((words) => words.length));
  const long = heads.some(([, value]) => value.length > LONG);
  for (const one of lines) if (one.head) one.long = long;
  const head = !inner ? 0 : longest > LONG ? 150 : Math.max(44, Math.min(112, longest * 7.4 + 14));
  return { lines, across, head: Math.round(head) };
}

/** @param {string[]} ids @param {number} n @returns {(string | null)[][]} */
function chunks(ids, n) {
  const rows = [];
  for (let i = 0; i < ids.length; i += n) rows.push(ids.slice(i, i + n));
  return rows;
}

/** Several clips of one place stand below each other. @param {string[][]} places @returns {(string | null)[][]} */
function stacked(places) {
  const high = Math.max(0, ...places.map((ids) => ids.length));
  return Array.from({ length: high }, (_, k) => places.map((ids) => ids[k] ?? null));
}

export class Table {
  /** @param {HTMLElement} el With role="grid". */
  constructor(el) {
    this.el = el;
    /** @type {Map<string, {el: any, head: any, heads: any[], blanks: any[]}>} */
    this._rows = new Map();
    this._turn = 0;
    /** @type {(string | null)[][]} The clips by line and place. */
    this.matrix = [];
  }

  /**
   * Draw the plan, a slice at a time.
   * @param {Plan} plan
   * @param {(id: string) => any} viewOf The cell's view, made when it is first asked for.
   * @returns {Promise<boolean>} When all is drawn; false if a newer plan came in between.
   */
  async draw({ lines, across, head }, viewOf) {
    const turn = ++this._turn;
    this.matrix = lines.filter((line) => line.kind === "row").map((line) => line.ids);
    this.el.style.setProperty("--sl-across", String(across));
    this.el.style.setProperty("--sl-head-px", `${head}px`);
    this.el.classList.toggle("sl-headed", head > 0);
    const levels = lines.filter((line) => line.kind === "heads").length;
    this.el.style.setProperty("--sl-levels", String(levels));
    let started = performance.now();
    /** @type {Node[]} */
    const order = [];
    let next = this.el.firstChild;
    for (const line of lines) {
      const row = this._row(line, across, viewOf);
      order.push(row);
      // In its place already, the common case, it is not touched.
      if (row === next) next = /** @type {Node} */ (next).nextSibling;
      else putBefore(this.el, row, next);
      if (performance.now() - started < SLICE_MS) continue;
      await new Promise((resolve) => setTimeout(resolve));
      if (turn !== this._turn) return false;
      started = performance.now();
    }
    const keep = new Set(order);
    for (const [key, { el }] of this._rows) if (!keep.has(el)) this._rows.delete(key);
    arrangeChildren(this.el, order);
    return true;
  }

  /** Stop drawing. */
  dispose() {
    this._turn++;
  }

  /** @param {Line} line @param {number} across @param {(id: string) => any} viewOf */
  _row(line, across, viewOf) {
    let row = this._rows.get(line.key);
    if (!row)
      this._rows.set(
        line.key,
        (row = { el: make("div", "sl-row", { role: "row" }), head: null, heads: [], blanks: [] }),
      );
    const { el } = row;
    el.className = `sl-row sl-row-${line.kind}`;
    if (line.kind === "band") {
      row.head ??= make("div", "sl-band", { role: "rowheader" }, make("span"));
      row.head.setAttribute("aria-colspan", String(across + 1));
      row.head.firstChild.textContent = line.text;
      arrangeChildren(el, [row.head]);
    } else if (line.kind === "heads") {
      const level = Number(line.key.split(" ")[1]);
      el.style.setProperty("--sl-level", String(level));
      const children = [];
      if (this.el.classList.contains("sl-headed")) {
        row.head ??= make("div", "sl-corner");
        row.head.textContent = line.text;
        row.head.setAttribute("role", line.text ? "columnheader" : "presentation");
        children.push(row.head);
      }
      line.spans.forEach(({ text, span }, i) => {
        const one = (row.heads[i] ??= make(
          "div",
          "sl-colhead",
          { role: "columnheader" },
          make("span", "sl-colhead-in"),
        ));
        one.style.gridColumn = `span ${span}`;
        if (span > 1) one.setAttribute("aria-colspan", String(span));
        else one.removeAttribute("aria-colspan");
        heading(one.firstChild, text, line.long);
        children.push(one);
      });
      arrangeChildren(el, children);
    } else {
      const children = [];
      if (line.head) {
        row.head ??= make("div", "sl-rowhead", {}, make("span", "sl-rowhead-in"));
        const empty = !line.head[0] && !line.head[1];
        row.head.setAttribute("role", empty ? "presentation" : "rowheader");
        heading(row.head.firstChild, line.head, line.long);
        children.push(row.head);
      }
      line.ids.forEach((id, i) => {
        if (id !== null) children.push(viewOf(id).el);
        else children.push((row.blanks[i] ??= make("div", "sl-blank", { role: "gridcell", "aria-label": "no clip" })));
      });
      arrangeChildren(el, children);
    }
    return el;
  }
}

/**
 * A heading: the setting's name small, its value plain.
 * @param {HTMLElement} el
 * @param {[string, string]} text
 * @param {boolean} long Whether one of its neighbours is a text: all of a setting look alike.
 */
function heading(el, [name, value], long) {
  const words = `${name} ${value}`.trim();
  if (el.title === words) return;
  el.title = words;
  el.replaceChildren(
    ...(name ? [make("i", "", {}, name), " "] : []),
    make("b", long ? "sl-long" : "", {}, value),
  );
}
