/**
 * A small panel under a button. It lies in the browser's top layer, because a notebook's output scrolls and would
 * cut it off.
 */
import { listen, make } from "./dom.js";

const GAP = 4; // CSS pixels between the button and the panel
const EDGE = 8; // and at least so many to the edge of the window

export class Popover {
  /**
   * @param {HTMLElement} anchor The button that opens it, or a place it is shown at; the panel is put behind it.
   * @param {{label: string, fill: (el: HTMLElement) => void, name?: string, onClose?: () => void}} options
   *   `fill` is asked for the content each time it is opened or refreshed.
   */
  constructor(anchor, { label, fill, name = "", onClose = () => {} }) {
    this.anchor = anchor;
    this.fill = fill;
    this.onClose = onClose;
    this.el = make("div", `sl-popover ${name}`, {
      role: "dialog",
      "aria-label": label,
      popover: "manual",
      hidden: true,
    });
    anchor.after(this.el);
    this._button = anchor.tagName === "BUTTON";
    if (this._button) {
      anchor.setAttribute("aria-haspopup", "dialog");
      anchor.setAttribute("aria-expanded", "false");
      listen(anchor, "click", () => this.toggle());
    }
    listen(this.el, "keydown", (/** @type {KeyboardEvent} */ event) => {
      if (event.key !== "Escape") return;
      event.preventDefault();
      event.stopPropagation();
      this.close(true);
    });
    this._outside = (/** @type {Event} */ event) => {
      const path = event.composedPath();
      if (!path.includes(this.el) && !path.includes(this.anchor)) this.close(false);
    };
    this._left = (/** @type {FocusEvent} */ event) => {
      // Focus that goes nowhere is a click on what takes none, or a control that was just redrawn.
      if (event.relatedTarget && !this.el.contains(/** @type {Node} */ (event.relatedTarget))) this.close(false);
    };
    this._moved = () => this._place();
  }

  get open() {
    return !this.el.hidden;
  }

  toggle() {
    if (this.open) this.close(true);
    else this.show();
  }

  show() {
    if (this.open) return;
    this.fill(this.el);
    this.el.hidden = false;
    this.el.showPopover?.();
    if (this._button) this.anchor.setAttribute("aria-expanded", "true");
    this._place();
    listen(document, "pointerdown", this._outside, true);
    listen(this.el, "focusout", this._left);
    addEventListener("resize", this._moved);
    listen(document, "scroll", this._moved, true);
    (this.el.querySelector("[autofocus]") ?? focusable(this.el)[0] ?? this.el).focus({ preventScroll: true });
  }

  /** @param {boolean} back Whether the button gets the focus. */
  close(back) {
    if (!this.open) return;
    document.removeEventListener("pointerdown", this._outside, true);
    this.el.removeEventListener("focusout", this._left);
    removeEventListener("resize", this._moved);
    document.removeEventListener("scroll", this._moved, true);
    this.el.hidePopover?.();
    this.el.hidden = true;
    if (this._button) this.anchor.setAttribute("aria-expanded", "false");
    if (back && this._button) this.anchor.focus({ preventScroll: true });
    this.onClose();
  }

  /** Fill it anew; the control that has the focus keeps it, known by its `data-key`. */
  refresh() {
    if (!this.open) return;
    const at = /** @type {HTMLElement | null} */ (document.activeElement);
    const key = this.el.contains(at) ? at?.dataset.key : null;
    const top = this.el.scrollTop;
    this.el.removeEventListener("focusout", this._left);
    this.fill(this.el);
    this.el.scrollTop = top;
    if (key !== null) {
      const again =
        key && [...this.el.querySelectorAll("[data-key]")].find((el) => el.dataset.key === key && !el.disabled);
      (again || focusable(this.el)[0] || this.el).focus({ preventScroll: true });
    }
    listen(this.el, "focusout", this._left);
    this._place();
  }

  dispose() {
    this.close(false);
    this.el.remove();
  }

  _place() {
    const at = this.anchor.getBoundingClientRect();
    const { offsetWidth: width, offsetHeight: height } = this.el;
    const below = innerHeight - at.bottom - GAP - EDGE;
    const above = at.top - GAP - EDGE;
    const up = height > below && above > below;
    this.el.style.maxHeight = `${Math.max(140, up ? above : below)}px`;
    this.el.style.left = `${Math.max(EDGE, Math.min(at.left, innerWidth - width - EDGE))}px`;
    this.el.style.top = `${up ? Math.max(EDGE, at.top - GAP - Math.min(height, above)) : at.bottom + GAP}px`;
  }
}

/** @param {HTMLElement} el @returns {HTMLElement[]} */
export function focusable(el) {
  const all = /** @type {NodeListOf<HTMLElement>} */ (
    el.querySelectorAll("button, input, select, textarea, summary, [tabindex='0']")
  );
  return [...all].filter((one) => !(/** @type {any} */ (one).disabled) && !one.hidden);
}
