/**
 * The clip that the pointer rests on, or the focus, large and beside its cell, at the clock's moment.
 *
 * It starts nothing: it moves when the clock does. It stays while the pointer is on it, and Esc puts it away.
 */
import { listen, make, say } from "./dom.js";
import { Screen } from "./screen.js";
import { playable } from "./cell.js";

const REST_MS = 380; // before the first one: who only passes through wants nothing
const NEXT_MS = 140; // when one is open
const LEAVE_MS = 160;
const LONG_SIDE = 480; // CSS pixels, at least
const EDGE = 8;

export class Enlarged {
  /**
   * @param {HTMLElement} host
   * @param {{source: any, clock: any, describe: (cell: any) => {name: string, lines: string[]},
   *   onOpen: (id: string) => void, under?: HTMLElement}} options `onOpen`: it was clicked. `under`: it does not
   *   cover what lies above this, where there is room.
   */
  constructor(host, { source, clock, describe, onOpen, under }) {
    this.source = source;
    this.clock = clock;
    this.describe = describe;
    this.under = under;
    this.el = make("div", "sl-large", {
      popover: "manual",
      hidden: true,
      role: "group",
      "aria-label": "Enlarged clip",
    });
    this.stage = make("div", "sl-large-stage");
    this.text = make("div", "sl-large-text");
    this.el.append(this.stage, this.text);
    host.append(this.el);
    this._timer = 0;
    /** @type {any} */
    this.view = null;
    listen(this.el, "pointerenter", () => clearTimeout(this._timer));
    listen(this.el, "pointerleave", () => this.leave());
    listen(this.stage, "click", () => {
      const id = this.view?.id;
      this.close();
      if (id) onOpen(id);
    });
    this._away = (/** @type {Event} */ event) => {
      if (!this.el.contains(/** @type {Node} */ (event.target))) this.close();
    };
  }

  get open() {
    return !this.el.hidden;
  }

  /** The pointer or the focus has come to a cell. @param {any} view */
  rest(view) {
    clearTimeout(this._timer);
    if (this.view === view) return;
    if (!playable(view.cell)) return this.leave();
    this._timer = /** @type {any} */ (setTimeout(() => this.show(view), this.open ? NEXT_MS : REST_MS));
  }

  leave() {
    clearTimeout(this._timer);
    this._timer = /** @type {any} */ (setTimeout(() => this.close(), LEAVE_MS));
  }

  /** @param {any} view */
  show(view) {
    if (!view.el.isConnected) return;
    clearTimeout(this._timer);
    const { cell } = view;
    this._screen?.dispose();
    this.view = view;
    this._screen = new Screen(cell, { source: this.source, clock: this.clock });
    this.stage.append(this._screen.el);
    this.update(cell);
    if (!this.open) {
      this.el.hidden = false;
      this.el.showPopover?.();
      listen(document, "scroll", this._away, true);
    }
    this._place(view.el.getBoundingClientRect(), cell);
    void this._screen.load();
  }

  /** Newer words for the clip that is shown. @param {any} cell */
  update(cell) {
    if (cell.id !== this.view?.id) return;
    const { name, lines } = this.describe(cell);
    if (this.text.children.length !== lines.length + 1)
      this.text.replaceChildren(make("strong"), ...lines.map(() => make("span")));
    say(this.text.firstElementChild, name);
    lines.forEach((line, i) => say(this.text.children[i + 1], line));
  }

  close() {
    clearTimeout(this._timer);
    this.view = null;
    this._screen?.dispose();
    this._screen = null;
    if (!this.open) return;
    document.removeEventListener("scroll", this._away, true);
    this.el.hidePopover?.();
    this.el.hidden = true;
  }

  dispose() {
    this.close();
    this.el.remove();
  }

  /** @param {DOMRect} at @param {any} cell */
  _place(at, cell) {
    const shape = cell.width && cell.height ? cell.width / cell.height : 16 / 9;
    const narrow = innerWidth < LONG_SIDE + 100;
    const long = Math.max(LONG_SIDE, Math.min(720, innerWidth * 0.42));
    let width = narrow ? innerWidth - 2 * EDGE : shape >= 1 ? long : long * shape;
    width = Math.min(width, (innerHeight - 90) * shape, innerWidth - 2 * EDGE);
    this.el.style.width = `${Math.max(160, Math.round(width))}px`;
    this.stage.style.aspectRatio = String(shape);
    const { offsetWidth, offsetHeight } = this.el;
    const right = innerWidth - at.right - EDGE >= offsetWidth;
    const left = at.left - EDGE >= offsetWidth;
    const fit = (/** @type {number} */ x, /** @type {number} */ most) => Math.max(EDGE, Math.min(x, most - EDGE));
    if (right || left) {
      this.el.style.left = `${right ? at.right + 6 : at.left - 6 - offsetWidth}px`;
      const top = this.under?.getBoundingClientRect().top ?? 0;
      const low = top + offsetHeight <= innerHeight - EDGE ? Math.max(EDGE, top) : EDGE;
      this.el.style.top = `${Math.max(low, fit((at.top + at.bottom - offsetHeight) / 2, innerHeight - offsetHeight))}px`;
    } else {
      // No room beside it: above or below, so that the cell itself is still seen where that is possible.
      const above = at.top - EDGE >= offsetHeight;
      this.el.style.left = `${fit((at.left + at.right - offsetWidth) / 2, innerWidth - offsetWidth)}px`;
      this.el.style.top = `${fit(above ? at.top - 6 - offsetHeight : at.bottom + 6, innerHeight - offsetHeight)}px`;
    }
  }
}
