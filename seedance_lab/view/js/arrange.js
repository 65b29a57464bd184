/**
 * Which cell stands where: cells by page, row and column.
 *
 * The kernel does the same for what it writes without a browser (`pages/places.py`); the two must agree.
 */

const MOST_COLUMNS = 8; // chosen without being asked for
const SEEDS = ["seed", "replicate"];
const NEVER_AN_AXIS = "file";

/**
 * @typedef {{names: string[], steps: any[][]}} Axis Settings along one direction, from the outermost in, and the
 *   combinations of their values that occur; a single empty one when nothing runs this way.
 * @typedef {{pages: Axis, rows: Axis, cols: Axis, at: (row: number, col: number, page: number) => string[],
 *   cells: string[], hidden: number, varying: string[], rest: string[], constant: Record<string, any>}} Places
 *   `at`: ids by the places of their steps; `cells`: all that are shown, in order; `hidden`: how many are not;
 *   `varying`: settings that tell cells apart; `rest`: those of them along no axis; `constant`: the others.
 */

/**
 * @param {{columns: any[], cells: Iterable<any>, view: any}} snapshot
 * @returns {Places}
 */
export function arrange({ columns: all, cells: every, view }) {
  const columns = new Map(all.map((column) => [column.name, column]));
  const cells = [...every];
  const shown = sorted(cells.filter((cell) => isShown(cell, view)), view.sort); // prettier-ignore
  const names = [...new Set(cells.flatMap((cell) => Object.keys(cell.settings)))];
  /** @type {Record<string, any[]>} */
  const values = Object.fromEntries(names.map((name) => [name, valuesOf(columns.get(name), shown, name)]));
  const varying = names.filter((name) => values[name].length > 1);
  const [pages, rows, cols] = axesOf(view, varying, values);
  const order = withOrder(values, view.sort);

  /** @type {Map<string, string[]>} */
  const at = new Map();
  const seen = [new Map(), new Map(), new Map()];
  for (const cell of shown) {
    const steps = [pages, rows, cols].map((own) => own.map((name) => cell.settings[name] ?? null));
    const keys = steps.map((step, i) => {
      const key = JSON.stringify(step);
      seen[i].set(key, step);
      return key;
    });
    const place = keys.join();
    if (!at.has(place)) at.set(place, []);
    /** @type {string[]} */ (at.get(place)).push(cell.id);
  }
  const made = [pages, rows, cols].map((own, i) => axis(own, order, [...seen[i].values()]));
  const [page, row, col] = made.map(({ steps }) => steps.map((step) => JSON.stringify(step)));
  const used = new Set([...pages, ...rows, ...cols]);
  return {
    pages: made[0], rows: made[1], cols: made[2],
    at: (r, c, p) => at.get([page[p], row[r], col[c]].join()) ?? [],
    cells: shown.map((cell) => cell.id),
    hidden: cells.length - shown.length,
    varying,
    rest: varying.filter((name) => !used.has(name)),
    constant: Object.fromEntries(
      names.filter((name) => values[name].length === 1 && !used.has(name)).map((name) => [name, values[name][0]]),
    ),
  }; // prettier-ignore
}

/**
 * What a cell has in a column: a setting, a fact, a measure, its state, or its rating.
 * @param {any} cell
 * @param {string} name
 */
export function valueOf(cell, name) {
  if (name in cell.settings) return cell.settings[name];
  if (name in (cell.values ?? {})) return cell.values[name];
  return name === "state" ? cell.state : (cell.rating?.[name] ?? null);
}

/** @param {any} cell @param {any} view */
function isShown(cell, { hidden, filters }) {
  for (const [name, values] of Object.entries(hidden ?? {}))
    if (name in cell.settings && values.includes(cell.settings[name])) return false;
  return (filters ?? []).every((/** @type {any} */ { column, op, value }) => passes(valueOf(cell, column) ?? null, op, value ?? null));
}

/** @param {any} value @param {string} op @param {any} wanted */
function passes(value, op, wanted) {
  if (op === "==") return value === wanted;
  if (op === "!=") return value !== wanted;
  if (value === null) return false;
  if (op === "contains") return String(value).toLowerCase().includes(String(wanted).toLowerCase());
  const alike = typeof value === "string" ? typeof wanted === "string" : typeof wanted !== "string" && wanted !== null;
  if (!alike) return false;
  if (op === "<") return value < wanted;
  if (op === "<=") return value <= wanted;
  if (op === ">") return value > wanted;
  return op === ">=" && value >= wanted;
}

/** By a column; cells without a value come last either way. @param {any[]} cells @param {any} sort */
function sorted(cells, sort) {
  if (!sort) return cells;
  const has = (/** @type {any} */ cell) => (valueOf(cell, sort.column) ?? null) !== null;
  const way = sort.descending ? -1 : 1;
  const have = cells.filter(has);
  have.sort((a, b) => way * byNature(valueOf(a, sort.column), valueOf(b, sort.column)));
  return [...have, ...cells.filter((cell) => !has(cell))];
}

/** Numbers and sizes ("480p") by size and before words. @param {any} a @param {any} b */
function byNature(a, b) {
  const [one, other] = [a, b].map(natural);
  for (const i of [0, 1, 2]) if (one[i] !== other[i]) return one[i] < other[i] ? -1 : 1;
  return 0;
}

/** @param {any} value @returns {any[]} */
function natural(value) {
  if (typeof value === "number" || typeof value === "boolean") return [0, Number(value), ""];
  const found = typeof value === "string" ? /^(\d+)p$/.exec(value) : null;
  return found ? [0, Number(found[1]), ""] : [1, 0, String(value)];
}

/** Values that cells have, in the column's order, then those that it does not know; none last. */
function valuesOf(/** @type {any} */ column, /** @type {any[]} */ cells, /** @type {string} */ name) {
  const seen = [...new Set(cells.map((cell) => cell.settings[name] ?? null))];
  const known = (column?.values ?? []).filter((/** @type {any} */ value) => seen.includes(value));
  const more = seen.filter((value) => value !== null && !known.includes(value));
  return [...known, ...more, ...(seen.includes(null) && !known.includes(null) ? [null] : [])];
}

/** The values; those of the setting that is sorted by in the order asked for. */
function withOrder(/** @type {Record<string, any[]>} */ values, /** @type {any} */ sort) {
  if (!sort?.descending || !(sort.column in values)) return values;
  return { ...values, [sort.column]: [...values[sort.column]].reverse() };
}

/**
 * Pages, rows and columns as the view has them; what it leaves open is chosen from what varies.
 * @param {any} view
 * @param {string[]} varying
 * @param {Record<string, any[]>} values
 * @returns {[string[], string[], string[]]}
 */
function axesOf({ pages, rows, cols }, varying, values) {
  const own = pages ?? [];
  const taken = new Set([...own, ...(rows ?? []), ...(cols ?? [])]);
  const free = varying.filter((name) => !taken.has(name) && name !== NEVER_AN_AXIS);
  if (rows && cols) return [own, rows, cols];
  if (rows) return [own, rows, free];
  if (cols) return [own, free, cols];
  if (free.length === 1) return [own, [], values[free[0]].length <= MOST_COLUMNS ? free : []];
  const seeds = free.filter((name) => SEEDS.includes(name));
  const down = seeds.length ? seeds : free.slice(-1);
  let across = free.filter((name) => !down.includes(name));
  while (across.length > 1 && across.reduce((n, name) => n * values[name].length, 1) > MOST_COLUMNS) {
    const widest = across.reduce((a, b) => (values[b].length > values[a].length ? b : a));
    across = across.filter((name) => name !== widest);
    down.unshift(widest);
  }
  return [own, down, across];
}

/** Sorted by rank, not taken from the product of all values: that grows without bound where axes are nested. */
function axis(/** @type {string[]} */ names, /** @type {Record<string, any[]>} */ values, /** @type {any[][]} */ seen) {
  const ranks = names.map((name) => new Map((values[name] ?? [null]).map((value, n) => [value, n])));
  const rank = (/** @type {any[]} */ step) => step.map((value, i) => ranks[i].get(value) ?? 0);
  const ordered = seen.map((step) => ({ step, rank: rank(step) }));
  ordered.sort((a, b) => {
    const i = a.rank.findIndex((n, k) => n !== b.rank[k]);
    return i < 0 ? 0 : a.rank[i] - b.rank[i];
  });
  return { names: [...names], steps: ordered.map(({ step }) => step) };
}
