/** The keys of the grid, as a list that a button and `?` open. */
import { make } from "./dom.js";
import { Popover } from "./popover.js";
import { TRANSPORT_KEYS } from "./transport.js";

const KEYS = [
  ["Clips", [
    ["← → ↑ ↓", "go to another clip"],
    ["Home End", "first, last of the row"],
    ["Ctrl Home End", "first, last of all"],
    ["PgUp PgDn", "page before, page after"],
    ["Enter", "compare with what is picked, or with its neighbour"],
    ["a b c d", "pick to compare; again takes it back"],
    ["w o x", "compare what is picked: wipe, onion skin, difference"],
    ["e", "enlarge, or put away"],
    ["1 to 5, 0", "stars; none"],
    ["r", "stars, tags and a note"],
    ["Esc", "put away what is open; then what is picked"],
  ]],
  ["Clock", [...TRANSPORT_KEYS, ["?", "these keys"]]],
]; // prettier-ignore

/** @param {HTMLElement} button */
export function helpMenu(button) {
  return new Popover(button, {
    label: "Keys",
    name: "sl-help",
    fill(el) {
      el.tabIndex = -1;
      el.replaceChildren(
        ...KEYS.map(([title, keys]) => {
          const list = make("dl");
          for (const [key, what] of keys) list.append(make("dt", "", {}, key), make("dd", "", {}, what));
          return make("section", "", {}, make("p", "sl-help-title", {}, /** @type {string} */ (title)), list);
        }),
      );
    },
  });
}
