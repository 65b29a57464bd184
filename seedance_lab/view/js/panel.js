/**
 * What the panel's own widgets, which are another library's, cannot say of themselves: which inputs are one group,
 * which error is whose, and that keys typed in them are not the notebook's.
 */
import { guard } from "./keys.js";

let errors = 0;

/**
 * Look after the panel around an element, once it is in the page.
 * @param {HTMLElement} el Not yet in the page when a widget is made.
 * @returns {() => void} Stops it.
 */
export function lookAfter(el) {
  let tries = 0;
  let timer = 0;
  /** @type {MutationObserver | null} */
  let watching = null;
  const look = () => {
    const panel = /** @type {HTMLElement | null} */ (el.closest(".seedance-lab-panel"));
    if (!panel?.isConnected) {
      if (++tries < 100) timer = window.setTimeout(look, 50);
      return;
    }
    guard(panel); // a second picture field's guard on the same panel does no harm
    dress(panel);
    let is_due = false;
    watching = new window.MutationObserver(() => {
      if (is_due) return;
      is_due = true;
      timer = window.setTimeout(() => {
        is_due = false;
        dress(panel);
      }, 30);
    });
    watching.observe(panel, { childList: true, subtree: true, attributes: true, attributeFilter: ["class"] });
  };
  look();
  return () => {
    clearTimeout(timer);
    watching?.disconnect();
  };
}

/**
 * Give the panel's parts their roles and names. It may be called again and again.
 * @param {HTMLElement} panel
 */
export function dress(panel) {
  put(panel, "role", "region");
  put(panel, "aria-label", "Seedance Lab panel");
  for (const group of panel.querySelectorAll(".sl-ticks")) {
    const label = group.closest(".sl-field")?.querySelector(".widget-label, .sl-label");
    put(group, "role", "group");
    put(group, "aria-label", label?.textContent ?? "");
  }
  for (const button of panel.querySelectorAll("button.widget-toggle-button"))
    put(button, "aria-expanded", String(button.classList.contains("mod-active")));
  for (const field of panel.querySelectorAll(".sl-field")) {
    const error = /** @type {HTMLElement | null} */ (field.querySelector(".sl-error"));
    if (error && !error.id) error.id = `sl-error-${++errors}`;
    for (const input of field.querySelectorAll("input[type=text], input[type=number], textarea")) {
      put(input, "aria-invalid", error ? "true" : null);
      put(input, "aria-describedby", error?.id ?? null);
    }
  }
  for (const live of panel.querySelectorAll(".sl-price, .sl-who")) put(live, "aria-live", "polite");
}

/**
 * Set an attribute if it is another one: what is set is seen as a change.
 * @param {Element} el
 * @param {string} name
 * @param {string | null} value
 */
function put(el, name, value) {
  if (value === null) el.removeAttribute(name);
  else if (el.getAttribute(name) !== value) el.setAttribute(name, value);
}

/**
 * Hide the plain page that stands for the panel where no kernel runs, for as long as this one lives.
 * @param {string} id
 * @returns {() => void} Shows it again.
 */
export function hideStatic(id) {
  const style = document.createElement("style");
  style.textContent = `.sl-static-${id.replace(/[^\w-]/g, "")} { display: none !important; }`;
  document.head.append(style);
  return () => style.remove();
}
