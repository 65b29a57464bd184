/** Stars, tags and notes from within the grid: shown at once, and taken back when the kernel did not keep them. */
import { make } from "./dom.js";
import { Popover } from "./popover.js";
import { clean, ratingEditor } from "./rating.js";

const NO_KERNEL = "Ratings are kept by the study: this page has no kernel.";

export class Ratings {
  /**
   * @param {HTMLElement} host
   * @param {{store: any, channel: any | null, viewOf: (id: string) => any, nameOf: (cell: any) => string,
   *   redraw: (id: string) => void, tell: (words: string) => void}} options
   */
  constructor(host, { store, channel, viewOf, nameOf, redraw, tell }) {
    this.store = store;
    this.channel = channel;
    this.viewOf = viewOf;
    this.redraw = redraw;
    this.tell = tell;
    /** @type {Map<string, any>} On their way to the kernel. */
    this._sent = new Map();
    this._id = "";
    /** @type {any} */
    this._editor = null;
    this._anchor = make("div", "sl-rate-anchor");
    host.append(this._anchor);
    this.menu = new Popover(this._anchor, {
      label: "Rating",
      name: "sl-rate-menu",
      fill: (panel) => {
        panel.replaceChildren();
        const cell = this.of(this._id);
        const known = [...new Set([...store.cells.values()].flatMap((one) => one.rating?.tags ?? []))].sort();
        const onRate = (/** @type {any} */ now) => this.send(this._id, now);
        this._editor = ratingEditor(panel, { cell: { ...cell, title: nameOf(cell) }, known, onRate });
        panel.querySelector("[aria-checked=true]")?.setAttribute("autofocus", "");
      },
      onClose: () => {
        this._editor = null;
        this.viewOf(this._id)?.el.focus({ preventScroll: true });
      },
    });
  }

  /** The store's cell, with a rating that is still on its way. @param {string} id */
  of(id) {
    const cell = this.store.cells.get(id);
    return cell && this._sent.has(id) ? { ...cell, rating: this._sent.get(id) } : cell;
  }

  /** @param {string} id */
  open(id) {
    if (!this.channel) return this.tell(NO_KERNEL);
    this._id = id;
    const box = this.viewOf(id).el.getBoundingClientRect();
    this._anchor.style.cssText = `left:${box.left}px;top:${box.top}px;width:${box.width}px;height:${Math.min(box.height, 60)}px`;
    this.menu.show();
  }

  /** The cell changed; an editor that is open on it shows that. @param {string} id */
  update(id) {
    if (this._editor && this._id === id && !this._sent.has(id)) this._editor.update(this.store.cells.get(id));
  }

  /** @param {string} id @param {number} stars */
  stars(id, stars) {
    if (!this.channel) return this.tell(NO_KERNEL);
    this.tell(stars ? `${stars} of 5 stars.` : "No stars.");
    this.send(id, { ...clean(this.of(id).rating), stars }).catch(() => {});
  }

  /**
   * @param {string} id
   * @param {any} rating
   * @throws {Error} It was not kept; what is shown is then the old one.
   */
  async send(id, rating) {
    const wanted = clean(rating);
    this._sent.set(id, wanted);
    this.redraw(id);
    const last = () => this._sent.get(id) === wanted;
    try {
      const answer = await this.channel.request("rate", { id, ...wanted });
      if (answer?.ok === false) throw new Error(answer.err || "the kernel refused it");
      if (last()) this.store.patch({ cells: [{ ...this.store.cells.get(id), rating: wanted }] });
    } catch (error) {
      this.tell(`The rating was not saved: ${error instanceof Error ? error.message : error}`);
      throw error;
    } finally {
      if (last()) this._sent.delete(id);
      this.redraw(id);
    }
  }

  dispose() {
    this.menu.dispose();
    this._anchor.remove();
  }
}
