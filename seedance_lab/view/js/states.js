/** The states of a cell that has no clip to show: a picture and words for each, since colour alone tells nothing. */

/** @type {Record<string, {path: string, words: string, busy?: boolean, bad?: boolean}>} */
export const STATES = {
  waiting: { path: "M8 3v5h4M14 8A6 6 0 1 1 2 8a6 6 0 0 1 12 0z", words: "waiting", busy: true },
  queued: { path: "M3 4h10M3 8h10M3 12h6", words: "queued", busy: true },
  running: { path: "M8 2a6 6 0 1 0 6 6", words: "running", busy: true },
  refused: { path: "M3.8 3.8l8.4 8.4M14 8A6 6 0 1 1 2 8a6 6 0 0 1 12 0z", words: "refused", bad: true },
  failed: { path: "M8 6v3.4M8 11.6v.1M8 2l6.5 11.5h-13z", words: "failed", bad: true },
  cancelled: { path: "M5 5l6 6M11 5l-6 6M2.5 2.5h11v11h-11z", words: "cancelled" },
  unknown: {
    path: "M6 6.2a2 2 0 1 1 2.6 1.9c-.4.2-.6.5-.6 1v.5M8 11.6v.1M14 8A6 6 0 1 1 2 8a6 6 0 0 1 12 0z",
    words: "unknown",
    bad: true,
  },
  missing: { path: "M4 2h5l3 3v9H4zM9 2v3h3M6.5 8l3 3M9.5 8l-3 3", words: "file missing", bad: true },
  unreadable: { path: "M4 2h5l3 3v9H4zM9 2v3h3M8 7.5v2.5M8 12v.1", words: "unreadable", bad: true },
};

/**
 * Seconds as a person says them: "8 s", "2 min 05 s", "1 h 04 min".
 * @param {number} seconds
 */
export function lasting(seconds) {
  const s = Math.max(0, Math.floor(seconds));
  const two = (/** @type {number} */ n) => String(n).padStart(2, "0");
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${two(s % 60)} s`;
  return `${Math.floor(s / 3600)} h ${two(Math.floor((s % 3600) / 60))} min`;
}

/**
 * A cell's state in words, with the time since it began: "running 12 s"; empty for a saved clip.
 * @param {{state: string, since?: number | null}} cell
 * @param {number} now Seconds since the epoch.
 */
export function stateText(cell, now) {
  if (cell.state === "saved") return "";
  const words = STATES[cell.state]?.words ?? cell.state;
  return cell.state === "running" && cell.since ? `${words} ${lasting(now - cell.since)}` : words;
}
