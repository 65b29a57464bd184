/**
 * One zoom and one position for several pictures in boxes of the same size.
 *
 * The position is told in boxes and not in pixels, so that the same part shows in all of them whatever their
 * resolution.
 */
import { listen } from "./dom.js";

const MOST = 32; // times the fitted size
const STEP = 1.25;
const MOVE = 0.1; // of a box, for one key press
const ENDS = /** @type {const} */ (["pointerup", "pointercancel", "lostpointercapture"]); // of a press

export class Zoom {
  constructor() {
    /** Times the size at which the picture fits its box. */
    this.scale = 1;
    /** How far the picture's middle is from the box's middle, in boxes. */
    this.x = 0;
    this.y = 0;
    /** @type {Set<() => void>} */
    this._on = new Set();
  }

  /**
   * @param {() => void} fn
   * @returns {() => void} Stops it.
   */
  on(fn) {
    this._on.add(fn);
    return () => this._on.delete(fn);
  }

  /**
   * Zoom by a factor and keep one point where it is.
   * @param {number} factor
   * @param {number} [u] Of the box, 0 (left) to 1.
   * @param {number} [v] Of the box, 0 (top) to 1.
   */
  by(factor, u = 0.5, v = 0.5) {
    this.to(this.scale * factor, u, v);
  }

  /**
   * Zoom to a scale and keep one point where it is.
   * @param {number} scale
   * @param {number} [u]
   * @param {number} [v]
   */
  to(scale, u = 0.5, v = 0.5) {
    if (!(scale > 0)) return;
    const before = this.scale;
    // Only `actual` goes below the fitted size: for a picture smaller than its box.
    this.scale = Math.min(MOST, Math.max(Math.min(1, before), scale));
    const grown = this.scale / before;
    this.x = (u - 0.5) * (1 - grown) + this.x * grown;
    this.y = (v - 0.5) * (1 - grown) + this.y * grown;
    this._settle();
  }

  /**
   * One pixel of the picture on one CSS pixel.
   * @param {number} fitted CSS pixels that one pixel of the picture takes at scale 1.
   */
  actual(fitted) {
    if (!(fitted > 0)) return;
    this.scale = Math.min(MOST, 1 / fitted);
    this._settle();
  }

  /**
   * @param {number} dx In boxes; positive moves the picture to the right.
   * @param {number} dy
   */
  pan(dx, dy) {
    this.x += dx;
    this.y += dy;
    this._settle();
  }

  reset() {
    this.scale = 1;
    this.x = this.y = 0;
    this._settle();
  }

  /** The CSS transform of a picture that fills its box. */
  get css() {
    return `translate(${+(this.x * 100).toFixed(3)}%, ${+(this.y * 100).toFixed(3)}%) scale(${+this.scale.toFixed(5)})`;
  }

  /** Never so far that the box shows what lies beside the picture; a small picture stays in the middle. */
  _settle() {
    const most = Math.max(0, (this.scale - 1) / 2);
    this.x = Math.max(-most, Math.min(most, this.x));
    this.y = Math.max(-most, Math.min(most, this.y));
    for (const fn of this._on) fn();
  }
}

/**
 * What a key does to a zoom.
 * @param {KeyboardEvent} event
 * @param {Zoom} zoom
 * @param {number} fitted As in `Zoom.actual`.
 * @returns {boolean} Whether it was a zoom key; the event is then used up.
 */
export function zoomKey(event, zoom, fitted) {
  if (event.ctrlKey || event.metaKey || event.defaultPrevented) return false;
  const move = { ArrowLeft: [MOVE, 0], ArrowRight: [-MOVE, 0], ArrowUp: [0, MOVE], ArrowDown: [0, -MOVE] }[event.key];
  if (event.altKey) {
    if (!move) return false;
    zoom.pan(move[0], move[1]);
  } else if (event.key === "+" || event.key === "=") zoom.by(STEP);
  else if (event.key === "-") zoom.by(1 / STEP);
  else if (event.key === "0") zoom.reset();
  else if (event.key === "z") zoom.actual(fitted);
  else return false;
  event.preventDefault();
  return true;
}

/**
 * Wheel with Ctrl (which is also what a trackpad's pinch sends), two fingers, and dragging.
 * @param {HTMLElement} el
 * @param {Zoom} zoom
 * @param {{boxAt: (x: number, y: number) => DOMRect | null, drag?: (u: number, v: number) => boolean}} options
 *   `boxAt`: the box under a point of the page. `drag`: takes a drag for itself by returning true; it gets the
 *   place in the box.
 * @returns {() => void} Stops it.
 */
export function gestures(el, zoom, { boxAt, drag = () => false }) {
  /** @type {Map<number, {x: number, y: number}>} */
  const down = new Map();
  let spread = 0;

  /** @param {WheelEvent} event */
  function wheel(event) {
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    const box = boxAt(event.clientX, event.clientY);
    if (!box) return;
    const lines = event.deltaMode === 1 ? 16 : 1;
    const factor = Math.exp(-Math.max(-60, Math.min(60, event.deltaY * lines)) / 200);
    zoom.by(factor, (event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
  }

  const between = () => {
    const [one, two] = [...down.values()];
    return { gap: Math.hypot(one.x - two.x, one.y - two.y), x: (one.x + two.x) / 2, y: (one.y + two.y) / 2 };
  };

  /** @param {PointerEvent} event */
  function press(event) {
    if (event.button !== 0 || /** @type {Element} */ (event.target).closest("button, input, select")) return;
    const box = boxAt(event.clientX, event.clientY);
    if (!box) return;
    down.set(event.pointerId, { x: event.clientX, y: event.clientY });
    el.setPointerCapture?.(event.pointerId);
    if (down.size === 2) spread = between().gap;
    else drag((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
  }

  /** @param {PointerEvent} event */
  function move(event) {
    const last = down.get(event.pointerId);
    if (!last) return;
    const box = boxAt(last.x, last.y);
    down.set(event.pointerId, { x: event.clientX, y: event.clientY });
    if (!box) return;
    if (down.size === 2) {
      const { gap, x, y } = between();
      if (spread > 0 && gap > 0) zoom.by(gap / spread, (x - box.left) / box.width, (y - box.top) / box.height);
      spread = gap;
    } else if (!drag((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height))
      zoom.pan((event.clientX - last.x) / box.width, (event.clientY - last.y) / box.height);
  }

  /** @param {PointerEvent} event */
  const lift = (event) => void down.delete(event.pointerId);

  const offs = [
    listen(el, "wheel", wheel, { passive: false }),
    listen(el, "pointerdown", press),
    listen(el, "pointermove", move),
    ...ENDS.map((kind) => listen(el, kind, lift)),
  ];
  return () => offs.forEach((off) => off());
}
