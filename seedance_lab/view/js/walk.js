/** Going from clip to clip over the places of a grid; places without a clip are passed over. */

/** @typedef {(string | null)[][]} Matrix Ids by line and place. */

/** @param {Matrix} matrix @param {string} id @returns {[number, number] | null} */
function placeOf(matrix, id) {
  for (let r = 0; r < matrix.length; r++) {
    const c = matrix[r].indexOf(id);
    if (c >= 0) return [r, c];
  }
  return null;
}

/**
 * The next clip in a line, or null at its end.
 * @param {Matrix} matrix @param {number} r @param {number} c @param {number} way
 */
function along(matrix, r, c, way) {
  for (let k = c + way; k >= 0 && k < matrix[r].length; k += way) if (matrix[r][k]) return matrix[r][k];
  return null;
}

/**
 * The next clip above or below, in the same place or the nearest one to it.
 * @param {Matrix} matrix @param {number} r @param {number} c @param {number} way
 */
function across(matrix, r, c, way) {
  for (let k = r + way; k >= 0 && k < matrix.length; k += way) {
    const have = matrix[k].map((id, i) => [id, Math.abs(i - c)]).filter(([id]) => id);
    if (have.length)
      return /** @type {string} */ (
        have.reduce((a, b) => (/** @type {number} */ (b[1]) < /** @type {number} */ (a[1]) ? b : a))[0]
      );
  }
  return null;
}

export const walk = {
  /**
   * Where a key leads.
   * @param {Matrix} matrix
   * @param {string} id Where the focus is.
   * @param {string} key
   * @param {boolean} ctrl
   * @returns {string | null} The same clip at an edge; null for another key.
   */
  key(matrix, id, key, ctrl) {
    const at = placeOf(matrix, id);
    if (!at) return null;
    const [r, c] = at;
    const all = matrix.flat().filter(Boolean);
    const line = matrix[r].filter(Boolean);
    const to = {
      ArrowLeft: () => along(matrix, r, c, -1),
      ArrowRight: () => along(matrix, r, c, 1),
      ArrowUp: () => across(matrix, r, c, -1),
      ArrowDown: () => across(matrix, r, c, 1),
      Home: () => (ctrl ? all : line)[0],
      End: () => (ctrl ? all : line).at(-1),
    }[key];
    if (!to || (ctrl && key.startsWith("Arrow"))) return null;
    return to() ?? id;
  },

  /**
   * The clips beside one, in the order in which they are compared with it: right, left, below, above.
   * @param {Matrix} matrix
   * @param {string} id
   * @returns {string[]}
   */
  neighbours(matrix, id) {
    const at = placeOf(matrix, id);
    if (!at) return [];
    const [r, c] = at;
    const near = [along(matrix, r, c, 1), along(matrix, r, c, -1), across(matrix, r, c, 1), across(matrix, r, c, -1)];
    return /** @type {string[]} */ ([...new Set(near.filter(Boolean))]);
  },
};
