/** Elements in one line. What is said is always text, never markup. */

/**
 * @param {string} tag
 * @param {string} [name] Its class.
 * @param {Record<string, any>} [attributes] `null` and `false` leave one out.
 * @param {...(Node | string)} inside
 * @returns {any}
 */
export function make(tag, name = "", attributes = {}, ...inside) {
  const node = document.createElement(tag);
  if (name) node.className = name;
  for (const [key, value] of Object.entries(attributes))
    if (value !== null && value !== false) node.setAttribute(key, value === true ? "" : String(value));
  node.append(...inside);
  return node;
}

/**
 * A button with words on it.
 * @param {string} words
 * @param {() => void} act
 * @param {Record<string, any>} [attributes]
 * @returns {HTMLButtonElement}
 */
export function textButton(words, act, attributes = {}) {
  const node = make("button", "sl-btn", { type: "button", ...attributes }, words);
  listen(node, "click", act);
  return node;
}

/**
 * A picture of one path in a 16 by 16 box.
 * @param {string} path
 */
export function glyph(path) {
  const name = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(name, "svg");
  for (const [key, value] of Object.entries({ viewBox: "0 0 16 16", width: "16", height: "16", "aria-hidden": "true" }))
    svg.setAttribute(key, value);
  const line = document.createElementNS(name, "path");
  for (const [key, value] of Object.entries({
    d: path,
    fill: "none",
    stroke: "currentColor",
    "stroke-width": "1.5",
    "stroke-linecap": "round",
    "stroke-linejoin": "round",
  }))
    line.setAttribute(key, value);
  svg.append(line);
  return svg;
}

/**
 * Make these the children of an element, in this order, without touching those that are in their place.
 *
 * A video that is taken out of the page and put back stops, and a focused element loses the focus; `moveBefore`,
 * where the browser has it, keeps both.
 * @param {any} parent
 * @param {Node[]} wanted
 */
export function arrangeChildren(parent, wanted) {
  const keep = new Set(wanted);
  for (const child of [...parent.childNodes]) if (!keep.has(child)) child.remove();
  let next = parent.firstChild;
  for (const node of wanted) {
    if (node === next) next = next.nextSibling;
    else putBefore(parent, node, next);
  }
}

/**
 * @param {any} parent
 * @param {Node} node
 * @param {Node | null} next
 */
export function putBefore(parent, node, next) {
  if (parent.moveBefore && parent.isConnected && node.isConnected) parent.moveBefore(node, next);
  else parent.insertBefore(node, next);
}

/**
 * Change an element's text only if it is another.
 * @param {Element} el
 * @param {string} text
 */
export function say(el, text) {
  if (el.textContent !== text) el.textContent = text;
}

/**
 * Listen to an event; an element that goes takes its listeners along.
 * @param {EventTarget} el
 * @param {string} name
 * @param {(event: any) => void} fn
 * @param {AddEventListenerOptions | boolean} [options]
 * @returns {() => void} Stops it.
 */
export function listen(el, name, fn, options) {
  el.addEventListener(name, fn, options);
  return () => el.removeEventListener(name, fn, options);
}
