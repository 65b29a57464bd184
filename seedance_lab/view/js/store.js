/**
 * What the kernel said last: cells, columns, view, and what is under way.
 *
 * Cells are replaced and never changed, so who holds one can tell a newer one by its identity.
 */

const EMPTY = { rows: null, cols: null, pages: [], hidden: {}, filters: [], sort: null, cell_px: 200, captions: true, compare: null }; // prettier-ignore

export class Store {
  constructor() {
    this.title = "";
    /** @type {any[]} */
    this.columns = [];
    /** @type {Map<string, any>} In the order of asking. */
    this.cells = new Map();
    /** @type {any} */
    this.view = EMPTY;
    this.live = { state: "", line: "" };
    /** @type {Set<() => void>} */
    this._listeners = new Set();
  }

  /**
   * @param {"change"} _
   * @param {() => void} fn
   * @returns {() => void} Stops it.
   */
  on(_, fn) {
    this._listeners.add(fn);
    return () => this._listeners.delete(fn);
  }

  /** Take over everything. @param {any} snapshot */
  apply({ title = "", columns = [], cells = [], view = {}, live = {} }) {
    this.title = title;
    this.columns = columns;
    this.cells = new Map(cells.map((/** @type {any} */ cell) => [cell.id, this._newer(cell)]));
    this.view = { ...EMPTY, ...view };
    this.live = { state: "", line: "", ...live };
    this._tell();
  }

  /**
   * Take over what has changed. A cell that is older than the one that is here is left out: a patch may come twice.
   * @param {{cells?: any[], columns?: any[], view?: any, live?: any}} change
   */
  patch({ cells = [], columns, view, live }) {
    for (const cell of cells) this.cells.set(cell.id, this._newer(cell));
    if (columns) this.columns = columns;
    if (view) this.view = { ...EMPTY, ...view };
    if (live) this.live = live;
    this._tell();
  }

  /** @param {any} cell */
  _newer(cell) {
    const here = this.cells.get(cell.id);
    return here && here.ver > cell.ver ? here : cell;
  }

  _tell() {
    for (const fn of [...this._listeners]) fn();
  }
}
