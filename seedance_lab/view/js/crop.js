/** The part of a picture that a video of another shape keeps: the largest centred rectangle of that shape. */

/**
 * @param {number} width Of the picture, in any unit.
 * @param {number} height
 * @param {string | number | null | undefined} aspect "16:9", a ratio of width to height, or what names no shape
 *   ("adaptive", "auto", null): then the whole picture is kept.
 * @returns {{x: number, y: number, width: number, height: number, kept: number, whole: boolean}} In the unit of
 *   the picture; `kept` is the share of its area, 0 to 1.
 */
export function centredCrop(width, height, aspect) {
  const ratio = ratioOf(aspect);
  if (!(width > 0) || !(height > 0) || ratio === null)
    return { x: 0, y: 0, width, height, kept: 1, whole: true };
  const wide = Math.min(width, height * ratio);
  const high = Math.min(height, width / ratio);
  const kept = (wide * high) / (width * height);
  // Within a pixel of the edge there is nothing to see: 854x480 is called 16:9.
  const whole = width - wide < 1 && height - high < 1;
  return { x: (width - wide) / 2, y: (height - high) / 2, width: wide, height: high, kept, whole };
}

/**
 * @param {string | number | null | undefined} aspect
 * @returns {number | null} Width over height; null for what names no shape.
 */
export function ratioOf(aspect) {
  if (typeof aspect === "number") return aspect > 0 && Number.isFinite(aspect) ? aspect : null;
  const found = /^\s*(\d+(?:\.\d+)?)\s*[:/x]\s*(\d+(?:\.\d+)?)\s*$/.exec(aspect ?? "");
  if (!found) return null;
  const ratio = Number(found[1]) / Number(found[2]);
  return ratio > 0 && Number.isFinite(ratio) ? ratio : null;
}

/**
 * What a person is told about the crop.
 * @param {{kept: number, whole: boolean, width: number, height: number}} crop
 * @param {string | number | null | undefined} aspect
 * @returns {string} Empty when there is no shape to crop to.
 */
export function cropText(crop, aspect) {
  if (ratioOf(aspect) === null) return "";
  if (crop.whole) return `${aspect}: the whole picture is used.`;
  const part = Math.round(crop.kept * 100);
  return `${aspect}: the middle ${Math.round(crop.width)} × ${Math.round(crop.height)} pixels are used, ${part} % of the picture.`;
}
