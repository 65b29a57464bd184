/**
 * Keeps keys from the notebook around a view: "b" in a grid must not insert a cell below it.
 *
 * Lumino listens before the view does and passes over what has the attribute; everything else listens after it.
 */
const EVENTS = ["keydown", "keypress", "keyup"];

/**
 * @param {HTMLElement} el
 * @returns {() => void} Lets keys through again.
 */
export function guard(el) {
  const stop = (/** @type {Event} */ event) => event.stopPropagation();
  el.setAttribute("data-lm-suppress-shortcuts", "true");
  for (const name of EVENTS) el.addEventListener(name, stop);
  return () => {
    el.removeAttribute("data-lm-suppress-shortcuts");
    for (const name of EVENTS) el.removeEventListener(name, stop);
  };
}
