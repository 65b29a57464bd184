/** What is said of a cell, a heading and the whole grid: as the static sheet says it (`pages/words.py`). */
import { valueText } from "./difference_table.js";
import { starsSpoken, starsText } from "./rating.js";
import { STATES, stateText } from "./states.js";

/** What is said of a file that is there and that this browser does not play. */
export const TROUBLE = "cannot be shown";

/** Their values say what they are. */
const WORDLESS = new Set(["prompt", "file"]);

/**
 * A setting's name and value for people; the name is empty where the value says it.
 * @param {Map<string, any>} columns
 * @param {string} name
 * @param {any} value
 * @returns {[string, string]}
 */
export function setting(columns, name, value) {
  const column = columns.get(name) ?? { name, label: name };
  return [WORDLESS.has(name) ? "" : column.label || name, label(column, value)];
}

/**
 * A value for people, with its unit.
 * @param {any} column
 * @param {any} value
 */
export function label(column, value) {
  const told = column.labels?.[String(value ?? null)];
  if (told !== undefined) return String(told);
  if ((value ?? null) === null && column.name === "seed") return "random";
  return valueText(column, value);
}

/**
 * "duration 5 s", as one text.
 * @param {[string, string]} pair
 */
export const told = (pair) => pair.filter(Boolean).join(" ");

/**
 * "12 clips · 1 running · 2 failed · 3 hidden".
 * @param {any[]} cells Those that pass the filters.
 * @param {number} hidden
 */
export function counts(cells, hidden) {
  const n = new Map();
  for (const { state } of cells) n.set(state, (n.get(state) ?? 0) + 1);
  const saved = n.get("saved") ?? 0;
  n.delete("saved");
  const parts = [`${saved.toLocaleString("en")} clip${saved === 1 ? "" : "s"}`];
  for (const [state, k] of n) parts.push(`${k.toLocaleString("en")} ${state}`);
  if (hidden) parts.push(`${hidden.toLocaleString("en")} hidden`);
  return parts.join(" · ");
}

/**
 * What is the same in all cells, prompt first and in quotes; without what nobody asked for.
 * @param {Map<string, any>} columns
 * @param {Record<string, any>} constant
 * @returns {string[]}
 */
export function same(columns, constant) {
  const says = [];
  for (const [name, value] of Object.entries(constant)) {
    if (value === null || name === "file" || (name === "replicate" && !value)) continue;
    if (name === "prompt") says.unshift(`“${value}”`);
    else says.push(told(setting(columns, name, value)));
  }
  return says;
}

/**
 * How long it took, what it cost, and the seed that came back where it is not the one asked for.
 * @param {any} cell
 */
export function facts(cell) {
  if (STATES[cell.state]?.busy) return ""; // nothing is known yet, and nothing is spent for sure
  const { latency_s: latency = null, cost_usd: cost, returned_seed: seed = null } = cell.values ?? {};
  const parts = [];
  if (latency !== null) parts.push(`${Number(latency).toFixed(1)} s to make`);
  if (cost !== undefined) parts.push(cost === null ? "cost unknown" : `$${Number(cost).toFixed(2)}`);
  if (seed !== null && seed !== cell.settings?.seed) parts.push(`seed ${seed} came back`);
  return parts.join(" · ");
}

/**
 * What the headings do not say of a cell: short settings first, since a prompt is long and would push them away.
 * @param {any} cell
 * @param {Map<string, any>} columns
 * @param {string[]} rest
 * @returns {[string, string][]}
 */
export function captionOf(cell, columns, rest) {
  const pairs = rest.filter((name) => name in cell.settings).map((name) => setting(columns, name, cell.settings[name]));
  return [...pairs.filter(([name]) => name), ...pairs.filter(([name]) => !name)];
}

/**
 * All of a cell in one sentence, for who does not see it. What is seen in the cell is in it word for word and in
 * one piece, so that who speaks to the browser can say what they see.
 * @param {any} cell
 * @param {Map<string, any>} columns
 * @param {{varying: string[], rest: string[], captions: boolean, picked: string, trouble?: string}} options
 *   `varying`: settings that tell the cells apart; `rest`: those of them that no heading says; `picked`: its letter, or
 *   ""; `trouble`: why this browser cannot show the file.
 */
export function spoken(cell, columns, { varying, rest, captions, picked, trouble = "" }) {
  const headed = varying
    .filter((name) => name in cell.settings && !rest.includes(name))
    .map((name) => told(setting(columns, name, cell.settings[name])));
  const own = captionOf(cell, columns, rest).map(told);
  const name = [...headed, ...own].length ? "" : cell.title || cell.id;
  const state = trouble ? TROUBLE : stateText({ ...cell, since: null }, 0);
  const seen = [state && [state, trouble || cell.why].filter(Boolean).join(": ")];
  const said = [headed.join(", "), name];
  (captions ? seen : said).push(own.join(", "), facts(cell));
  const rating = { ...cell.rating, stars: 0 };
  const stars = starsSpoken({ stars: cell.rating?.stars });
  return [...said, ...seen, starsText(rating), stars, picked && `picked as ${picked}`].filter(Boolean).join("; ");
}
