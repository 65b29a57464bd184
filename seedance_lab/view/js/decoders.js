/**
 * Which cells hold a decoder: those near what is seen, the nearest first, at most so many.
 *
 * Posters come as soon as a cell is near; a video waits until the scrolling rests, because a browser that opens
 * sixty files at every turn of the wheel shows none of them.
 */

const MARGIN = "240px";
const REST_MS = 140;
const PICTURES_MS = 1500; // that videos wait for the pictures in sight
const AT_ONCE = 6; // files being opened

export class Decoders {
  /** @param {{most?: number}} [options] `most`: small copies that may play at once; a full file counts as seven. */
  constructor({ most = 64 } = {}) {
    this.most = most;
    /** @type {Map<Element, any>} */
    this._views = new Map();
    /** @type {Set<any>} */
    this._near = new Set();
    this._opening = 0;
    this._timer = 0;
    this._suspended = false;
    this._gone = false;
    /** Cells in sight that have to do without. */
    this.over = 0;
    this._waited = 0;
    this.onChange = () => {};
    /** All pictures in sight are drawn, and all videos opened that may be. */
    this.onDrawn = () => {};
    if (typeof IntersectionObserver !== "undefined")
      // With no root named, whatever clips the cells counts: the grid's own scrolling and the notebook's.
      this._watcher = new IntersectionObserver(
        (entries) => this._seen(entries),
        /** @type {any} */ ({ rootMargin: MARGIN, scrollMargin: MARGIN }),
      );
  }

  /** @param {any} view */
  watch(view) {
    if (this._views.has(view.el)) return;
    this._views.set(view.el, view);
    if (this._watcher) this._watcher.observe(view.el);
    else {
      this._near.add(view);
      view.near();
      this.settle();
    }
  }

  /** @param {any} view */
  unwatch(view) {
    if (!this._views.delete(view.el)) return;
    this._watcher?.unobserve(view.el);
    this._near.delete(view);
    view.far();
    view.disarm();
    this.settle();
  }

  /** Decide again, when nothing moves any more. */
  settle() {
    clearTimeout(this._timer);
    if (!this._gone) this._timer = /** @type {any} */ (setTimeout(() => this._decide(), REST_MS));
  }

  /**
   * Leave the clock to another view, or take it back.
   * @param {boolean} on
   */
  suspend(on) {
    this._suspended = on;
    for (const view of this._views.values()) view.suspend(on);
    if (!on) this.settle();
  }

  dispose() {
    this._gone = true;
    clearTimeout(this._timer);
    this._watcher?.disconnect();
    for (const view of this._views.values()) view.disarm();
    this._views.clear();
    this._near.clear();
  }

  /** @param {IntersectionObserverEntry[]} entries */
  _seen(entries) {
    for (const { target, isIntersecting } of entries) {
      const view = this._views.get(target);
      if (!view) continue;
      if (isIntersecting) {
        this._near.add(view);
        view.near();
      } else {
        this._near.delete(view);
        view.far();
      }
    }
    this.settle();
  }

  _decide() {
    if (this._suspended || this._gone) return;
    const middle = innerHeight / 2;
    const away = new Map();
    for (const view of this._near) {
      view.near(); // what the kernel was too busy to send
      const box = view.el.getBoundingClientRect();
      away.set(view, Math.abs((box.top + box.bottom) / 2 - middle));
    }
    const order = [...this._near].filter((view) => view.weight).sort((a, b) => away.get(a) - away.get(b));
    // They would hold each other up, and a picture is what is looked at first.
    if ([...this._near].some((view) => view.bare) && this._waited < PICTURES_MS) {
      this._waited += REST_MS;
      return this.settle();
    }
    this._waited = 0;
    let left = this.most;
    const wanted = new Set();
    for (const view of order) {
      if (view.weight > left) break;
      left -= view.weight;
      wanted.add(view);
    }
    for (const view of this._views.values()) if (view.armed && !wanted.has(view)) view.disarm();
    this._queue = [...wanted].filter((view) => !view.armed);
    const over = order.length - wanted.size;
    if (over !== this.over) {
      this.over = over;
      this.onChange();
    }
    this._open();
  }

  _open() {
    while (!this._gone && !this._suspended && this._opening < AT_ONCE && this._queue?.length) {
      const view = /** @type {any} */ (this._queue.shift());
      this._opening++;
      view.arm().finally(() => {
        this._opening--;
        if (!view.armed) this.settle();
        this._open();
      });
    }
    if (!this._opening && this._near.size) this.onDrawn();
  }
}
