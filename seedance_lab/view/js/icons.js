/** Pictures on the buttons. Drawn, because fonts lack the signs for them. */
import { glyph } from "./dom.js";

/** @type {Record<string, string>} */
const PATHS = {
  play: "M5 3.2v9.6L12.8 8z",
  pause: "M5.5 3.5v9M10.5 3.5v9",
  prev: "M11.5 3.5L6 8l5.5 4.5zM4 3.5v9",
  next: "M4.5 3.5L10 8l-5.5 4.5zM12 3.5v9",
  loop: "M3 7a4 4 0 0 1 4-3h6M11 1.5L13.5 4 11 6.5M13 9a4 4 0 0 1-4 3H3M5 14.5L2.5 12 5 9.5",
  close: "M4 4l8 8M12 4l-8 8",
};

/** @param {string} name */
export const icon = (name) => glyph(PATHS[name]);
