/** A table of a few clips' settings, facts and measures: what differs is marked, and which is better. */
import { listen, make } from "./dom.js";
import { starsText } from "./rating.js";

const GROUPS = [["setting", "Settings"], ["fact", "Facts"], ["measure", "Measures"], ["rating", "Ratings"]];

/**
 * @typedef {{name: string, label: string, group: string, texts: string[], differs: boolean, best: boolean[]}} Row
 */

/**
 * What the table says, as plain rows.
 * @param {any[]} cells
 * @param {any[]} columns
 * @returns {Row[]} Without the columns that none of the cells has.
 */
export function differenceRows(cells, columns) {
  const rows = [];
  for (const column of columns) {
    const values = cells.map((cell) => valueOf(cell, column));
    if (values.every((value) => value === null)) continue;
    rows.push({
      name: column.name,
      label: column.label || column.name,
      group: column.kind,
      texts: values.map((value) => valueText(column, value)),
      differs: values.some((value) => value !== values[0]),
      best: bestOf(values, column.better),
    });
  }
  const ratings = cells.map((cell) => starsText(cell.rating));
  if (ratings.some(Boolean) && !columns.some((column) => column.kind === "rating"))
    rows.push({
      name: "rating", label: "rating", group: "rating", texts: ratings.map((text) => text || "–"),
      differs: ratings.some((text) => text !== ratings[0]), best: cells.map(() => false),
    }); // prettier-ignore
  return rows;
}

/**
 * @param {any} cell
 * @param {any} column
 * @returns {any} A scalar; null where it is not known.
 */
function valueOf(cell, column) {
  return cell.settings?.[column.name] ?? cell.values?.[column.name] ?? null;
}

/**
 * @param {any[]} values
 * @param {string | undefined} better
 * @returns {boolean[]} All false where they are equal, where there is no better, or where fewer than two are known.
 */
function bestOf(values, better) {
  const none = values.map(() => false);
  const known = values.filter((value) => typeof value === "number" && Number.isFinite(value));
  if (!better) return none;
  const best = better === "higher" ? Math.max(...known) : Math.min(...known);
  if (known.every((value) => value === best)) return none;
  return values.map((value) => value === best);
}

/**
 * A value as a person reads it: "5 s", "$0.18", "yes", "–" where it is not known.
 * @param {any} column
 * @param {any} value
 */
export function valueText(column, value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  const label = column.labels?.[String(value)];
  if (label) return label;
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value !== "number") return String(value);
  const unit = column.unit || "";
  if (unit === "$" || unit === "USD") return `$${value.toFixed(Math.abs(value) < 1 && value !== 0 ? 3 : 2)}`;
  if (unit === "bytes") return value < 1e6 ? `${Math.round(value / 1e3)} kB` : `${(value / 1e6).toFixed(2)} MB`;
  // Seeds are whole numbers of many digits and are never rounded.
  const text = Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(4)));
  return unit ? `${text} ${unit}` : text;
}

/**
 * What tells the cells apart, in a few words each: ["seed 1, 5 s", ...]; their titles where no setting does.
 * @param {any[]} cells
 * @param {any[]} columns
 */
export function namesOf(cells, columns) {
  const rows = differenceRows(cells, columns).filter((row) => row.group === "setting" && row.differs);
  return cells.map((cell, i) => rows.map((row) => `${row.label} ${row.texts[i]}`).join(", ") || cell.title || cell.id);
}

/**
 * Put the table into an element.
 * @param {HTMLElement} el
 * @param {{cells: any[], columns: any[], letters: string[]}} options
 */
export function differenceTable(el, { cells, columns, letters }) {
  const rows = differenceRows(cells, columns);
  const only = make("input", "", { type: "checkbox" });
  const choose = make("label", "sl-only", {}, only, " only what differs");

  const table = /** @type {HTMLTableElement} */ (make("table", "sl-differences"));
  table.createCaption().textContent = "≠ marks what differs";
  const head = table.createTHead().insertRow();
  head.append(header("", "col"), ...letters.map((letter) => header(letter, "col")));
  /** @type {HTMLTableSectionElement[]} */
  const bodies = [];
  for (const [group, title] of GROUPS) {
    const own = rows.filter((row) => row.group === group);
    if (!own.length) continue;
    const body = table.createTBody();
    bodies.push(body);
    const heading = body.insertRow();
    heading.className = "sl-group";
    const cell = header(title, "rowgroup");
    cell.colSpan = letters.length + 1;
    heading.append(cell);
    for (const row of own) body.append(line(row, cells.length));
  }
  function draw() {
    for (const body of bodies) {
      let any = false;
      for (const row of [...body.rows].slice(1)) {
        row.hidden = only.checked && !row.classList.contains("sl-differs");
        any ||= !row.hidden;
      }
      body.hidden = !any;
    }
  }
  listen(only, "change", draw);
  el.append(choose, table);
}

/**
 * @param {Row} row
 * @param {number} n
 */
function line(row, n) {
  const tr = /** @type {HTMLTableRowElement} */ (make("tr", row.differs ? "sl-differs" : ""));
  const name = header("", "row");
  if (row.differs) {
    name.append(make("span", "sl-mark", { role: "img", "aria-label": "differs:" }, "≠"), " ");
  }
  name.append(row.label);
  tr.append(name);
  if (!row.differs) {
    // What is the same is said once.
    const cell = tr.insertCell();
    cell.colSpan = n;
    cell.className = "sl-both";
    cell.textContent = row.texts[0];
    return tr;
  }
  row.texts.forEach((text, i) => {
    const cell = tr.insertCell();
    cell.append(text);
    if (!row.best[i]) return;
    cell.append(" ", make("span", "sl-best", {}, n > 2 ? "best" : "better"));
  });
  return tr;
}

/**
 * @param {string} text
 * @param {string} scope
 */
function header(text, scope) {
  // An empty corner is no heading.
  return text || scope !== "col" ? make("th", "", { scope }, text) : make("td");
}
