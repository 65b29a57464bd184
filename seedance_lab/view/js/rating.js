/** Stars, tags and a note on one clip. */
import { listen, make } from "./dom.js";

export const STARS = 5;
const TAG_LENGTH = 40;
let made = 0;

/**
 * @typedef {{stars: number, tags: string[], note: string}} Rating
 */

/**
 * A rating as a line of text: "★★★☆☆ · sharp, slow · flickers at the end"; empty where nothing was said.
 * @param {Partial<Rating> | null | undefined} rating
 */
export function starsText(rating) {
  const { stars, tags, note } = clean(rating);
  return [stars ? "★".repeat(stars) + "☆".repeat(STARS - stars) : "", tags.join(", "), note].filter(Boolean).join(" · ");
}

/**
 * The same for a screen reader: "3 of 5 stars, sharp, slow, flickers at the end".
 * @param {Partial<Rating> | null | undefined} rating
 */
export function starsSpoken(rating) {
  const { stars, tags, note } = clean(rating);
  return [stars ? `${stars} of ${STARS} stars` : "", ...tags, note].filter(Boolean).join(", ");
}

/**
 * @param {Partial<Rating> | null | undefined} rating
 * @returns {Rating}
 */
export function clean(rating) {
  const stars = Math.max(0, Math.min(STARS, Math.round(Number(rating?.stars) || 0)));
  return { stars, tags: [...(rating?.tags ?? [])].map(String), note: String(rating?.note ?? "") };
}

/**
 * @param {string} tag
 * @returns {string} Without commas and doubled spaces; empty for nothing.
 */
function tidy(tag) {
  return tag.replace(/[\s,;]+/g, " ").trim().slice(0, TAG_LENGTH);
}

/**
 * Put an editor of one clip's rating into an element. Each change is told at once; a note when it is left.
 * @param {HTMLElement} el
 * @param {{cell: {id: string, title?: string, rating?: Partial<Rating>},
 *   onRate: (rating: Rating) => void | Promise<unknown>, readOnly?: boolean, known?: string[]}} options
 *   `known`: tags used elsewhere, offered while typing. A promise that fails is told beside the editor.
 * @returns {{update: (cell: {rating?: Partial<Rating>}) => void, dispose: () => void}}
 */
export function ratingEditor(el, { cell, onRate, readOnly = false, known = [] }) {
  const id = `sl-rating-${++made}`;
  let rating = clean(cell.rating);

  const name = cell.title ? `Rating of ${cell.title}` : "Rating";
  const root = make("div", "sl-rating", { role: "group", "aria-label": name });

  const stars = make("div", "sl-stars", { role: "radiogroup", "aria-label": "Stars" });
  const radios = Array.from({ length: STARS + 1 }, (_, n) => star(n));
  stars.append(...radios);

  const chips = make("ul", "sl-tags", { "aria-label": "Tags" });

  const list = make("datalist", "", { id: `${id}-known` }, ...known.map((tag) => new Option(tag, tag)));
  const add = /** @type {HTMLInputElement} */ (
    make("input", "sl-tag-new", {
      type: "text",
      maxlength: TAG_LENGTH,
      placeholder: "add a tag",
      "aria-label": "Add a tag; Enter adds it",
      list: list.id,
    })
  );

  const note = /** @type {HTMLTextAreaElement} */ (
    make("textarea", "sl-note", { rows: 2, placeholder: "note", "aria-label": "Note" })
  );

  const told = make("p", "sl-rating-error", { role: "alert" });

  root.append(stars, chips, ...(readOnly ? [] : [add, list]), note, told);
  el.append(root);

  listen(stars, "keydown", onStarKey);
  listen(add, "keydown", (event) => {
    if (event.key === "Enter" || event.key === ",") {
      event.preventDefault();
      addTag();
    } else if (event.key === "Backspace" && !add.value && rating.tags.length) {
      say({ tags: rating.tags.slice(0, -1) });
    }
  });
  listen(add, "blur", addTag);
  listen(note, "change", () => say({ note: note.value.trim() }));
  note.readOnly = readOnly;

  /** @param {number} n */
  function star(n) {
    const one = make("button", n ? "sl-star" : "sl-star sl-star-none", {
      type: "button",
      role: "radio",
      "aria-label": n === 0 ? "no stars" : n === 1 ? "1 star" : `${n} stars`,
      disabled: readOnly,
    });
    listen(one, "click", () => say({ stars: n }));
    return one;
  }

  /** @param {KeyboardEvent} event */
  function onStarKey(event) {
    if (readOnly || event.ctrlKey || event.metaKey || event.altKey) return;
    const to = {
      ArrowRight: rating.stars + 1, ArrowUp: rating.stars + 1,
      ArrowLeft: rating.stars - 1, ArrowDown: rating.stars - 1,
      Home: 0, End: STARS,
    }[event.key] ?? (/^[0-5]$/.test(event.key) ? Number(event.key) : null); // prettier-ignore
    if (to === null) return;
    event.preventDefault();
    event.stopPropagation();
    const stars = Math.max(0, Math.min(STARS, to));
    say({ stars });
    radios[stars].focus();
  }

  function addTag() {
    const tag = tidy(add.value);
    add.value = "";
    if (tag && !rating.tags.includes(tag)) say({ tags: [...rating.tags, tag] });
  }

  /** @param {Partial<Rating>} change */
  function say(change) {
    if (readOnly) return;
    const before = rating;
    const next = { ...rating, ...change };
    if (JSON.stringify(next) === JSON.stringify(before)) return;
    rating = next;
    told.textContent = "";
    draw();
    Promise.resolve()
      .then(() => onRate({ ...next, tags: [...next.tags] }))
      .catch((/** @type {any} */ error) => {
        // What is shown must be what is stored.
        if (rating === next) rating = before;
        told.textContent = `Not saved: ${error?.message ?? error}`;
        draw();
      });
  }

  function draw() {
    radios.forEach((one, n) => {
      one.setAttribute("aria-checked", String(n === rating.stars));
      one.tabIndex = n === rating.stars ? 0 : -1;
      one.textContent = n === 0 ? "–" : n <= rating.stars ? "★" : "☆";
    });
    chips.replaceChildren(...rating.tags.map(chip));
    chips.hidden = !rating.tags.length;
    if (document.activeElement !== note) note.value = rating.note;
    note.hidden = readOnly && !rating.note;
  }

  /** @param {string} tag */
  function chip(tag) {
    const item = make("li", "sl-tag", {}, make("span", "", {}, tag));
    if (!readOnly) {
      const off = make("button", "sl-tag-off", { type: "button", "aria-label": `Remove the tag ${tag}` }, "×");
      listen(off, "click", () => {
        say({ tags: rating.tags.filter((other) => other !== tag) });
        add.focus();
      });
      item.append(off);
    }
    return item;
  }

  draw();
  return {
    update(newer) {
      rating = clean(newer.rating);
      draw();
    },
    dispose: () => root.remove(),
  };
}
