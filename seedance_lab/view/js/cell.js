/**
 * One place of the grid: a poster, over it a small copy when one is wanted, and what the headings do not say.
 *
 * A cell is changed in place. Its elements are made once, so that an update neither flickers nor takes the focus
 * away, and the video is seen only once the clock has moved: until then the poster is the quieter picture.
 */
import { glyph, listen, make, say } from "./dom.js";
import { clean, starsText } from "./rating.js";
import { silent } from "./screen.js";
import { lasting, STATES, stateText } from "./states.js";
import { facts, TROUBLE } from "./words.js";

const STAR = "M8 2l1.8 3.9 4.2.5-3.1 2.9.8 4.2L8 11.4l-3.7 2.1.8-4.2L2 6.4l4.2-.5z";
const SHOWN_MS = 600; // for a new video to reach the clock's moment; then a late frame is better than none
const now = () => Date.now() / 1000;

/**
 * @typedef {{caption: [string, string][], captions: boolean, spoken: string, picked: string}} Said
 *   What is said of a cell: the settings that no heading says, whether captions are shown, its name for who does
 *   not see it, and the letter it is picked as.
 */

export class CellView {
  /**
   * @param {any} cell
   * @param {{source: any, clock: any, onPick: (id: string) => void, onRate: (id: string) => void,
   *   canRate: boolean, onTrouble?: (view: CellView) => void}} options `onTrouble`: `why` has changed.
   */
  constructor(cell, { source, clock, onPick, onRate, canRate, onTrouble = () => {} }) {
    this.cell = cell;
    this.id = cell.id;
    this.source = source;
    this.clock = clock;
    this._onTrouble = onTrouble;
    /** @type {HTMLVideoElement | null} */
    this.video = null;
    /** Why the file cannot be shown, as far as this browser has found out. */
    this.why = "";
    /** Whether its picture is on the way. */
    this.bare = false;
    this._armed = false;
    this._hopeless = false;
    this._paused = false; // while another view has the clock
    this._posted = "";
    this._media = mediaOf(cell);
    this._said = "";

    this.el = make("div", "sl-cell", { role: "gridcell", tabindex: -1, "data-id": cell.id });
    this.box = make("div", "sl-box");
    this.poster = make("img", "sl-poster", { alt: "", draggable: "false", hidden: true });
    // The cell's own name says all that they say.
    this.state = make("div", "sl-state", { hidden: true, "aria-hidden": "true" });
    this.pick = make("button", "sl-pick", { type: "button", tabindex: -1 });
    listen(this.pick, "click", (/** @type {Event} */ event) => (event.stopPropagation(), onPick(this.id)));
    this.box.append(this.poster, this.state, this.pick);
    if (canRate) {
      const rate = make(
        "button",
        "sl-rate",
        { type: "button", tabindex: -1, "aria-label": "Rate", title: "Rate (1 to 5, r)" },
        glyph(STAR),
      );
      listen(rate, "click", (/** @type {Event} */ event) => (event.stopPropagation(), onRate(this.id)));
      this.box.append(rate);
    }
    this.caption = make("div", "sl-cap", { "aria-hidden": "true" });
    this.el.append(this.box, this.caption);
  }

  /**
   * Show a newer version, or say other things of it.
   * @param {any} cell
   * @param {Said} said
   */
  update(cell, said) {
    const text = JSON.stringify([said, cell]);
    if (text === this._said) return;
    this._said = text;
    this.cell = cell;
    this.el.dataset.state = cell.state;
    this.el.setAttribute("aria-label", said.spoken);
    this.el.setAttribute("aria-selected", String(Boolean(said.picked)));
    this.pick.dataset.letter = said.picked;
    this.pick.setAttribute("aria-label", said.picked ? `Picked as ${said.picked}; take it back` : "Pick to compare");
    this.pick.title = said.picked ? "Take it back" : "Pick to compare (a, b, c, d)";
    this.pick.classList.toggle("sl-picked", Boolean(said.picked));
    this.pick.hidden = !playable(cell) && !said.picked;
    this._caption(said);
    const media = mediaOf(cell);
    if (media !== this._media) {
      // Another file, or one where there was none.
      this._media = media;
      this._posted = "";
      this.why = "";
      this._hopeless = false;
      if (this._near) this.near();
      if (this._armed) {
        this._drop();
        void this._load();
      }
    }
    this._drawState();
  }

  /** The time that a running cell has taken so far. */
  tick() {
    if (this.cell.state === "running") this._drawState();
  }

  /** What this cell's decoder costs, in small copies; 0 where nothing moves. */
  get weight() {
    const media = this.cell.media ?? [];
    if (this.why) return 0;
    return media.includes("proxy") ? 1 : media.includes("full") ? 7 : 0;
  }

  /** It comes into sight: the poster is wanted. */
  near() {
    this._near = true;
    if (this._posted || !(this.cell.media ?? []).includes("poster")) return;
    const wanted = (this._posted = this._media);
    this.bare = true;
    this.source.poster(this.cell).then(
      (/** @type {string} */ url) => {
        this.bare = false;
        if (wanted !== this._media) return;
        this.poster.src = url;
        this.poster.hidden = false;
      },
      (/** @type {any} */ error) => {
        // It is asked for again when it next comes into sight.
        this._posted = "";
        this.bare = false;
        if (wanted === this._media && !this.weight) this._tell(message(error));
      },
    );
  }

  far() {
    this._near = false;
    // What a kernel could not send may be sent another time; what a browser cannot show stays so.
    if (this.why && !this._hopeless) this._tell("");
  }

  /**
   * Hold a decoder.
   * @returns {Promise<void>} When the video is here, or is known not to come.
   */
  arm() {
    if (this._armed) return Promise.resolve();
    this._armed = true;
    return this._load();
  }

  /** Give the decoder up; the poster stays. */
  disarm() {
    this._armed = false;
    this._drop();
  }

  get armed() {
    return this._armed;
  }

  /**
   * Leave the clock to another view, or come back to it.
   * @param {boolean} on
   */
  suspend(on) {
    this._paused = on;
    if (!this.video) return;
    if (on) {
      this.clock.remove(this.video);
      this.video.pause();
    } else this._join(this.video);
  }

  dispose() {
    this.disarm();
    this.el.remove();
  }

  async _load() {
    const media = this._media;
    const kind = (this.cell.media ?? []).includes("proxy") ? "proxy" : "full";
    const stale = () => !this._armed || media !== this._media;
    /** @type {any} */
    let video = null;
    try {
      const url = await this.source[kind](this.cell);
      if (stale()) return;
      video = silent("sl-video");
      this._drop();
      this.video = video;
      const here = loaded(video);
      video.src = url;
      this.poster.after(video);
      await here;
      if (stale() || this.video !== video) return drop(video, this.clock);
      // A browser that lacks the codec plays on without a picture and without an error.
      this._hopeless = !video.videoWidth;
      if (this._hopeless) throw new Error(cannotShow(this.cell));
      listen(video, "error", () => this._failed(video, new Error("The file broke off while it played.")));
      if (!this._paused) this._join(video);
      if (video.seeking) await Promise.race([once(video, "seeked"), later(SHOWN_MS)]);
      video.classList.add("sl-ready");
    } catch (error) {
      if (stale()) return video ? drop(video, this.clock) : undefined;
      // A kernel that runs a cell is silent, and nothing is wrong with the file: it is asked for again.
      if (/** @type {any} */ (error)?.again) this.disarm();
      else this._failed(video, error);
    }
  }

  /** @param {HTMLVideoElement} video */
  _join(video) {
    const { fps, frames, seconds } = this.cell;
    this.clock.add(video, { fps: fps || 24, frames: frames || 0, seconds: seconds || video.duration || 0 });
  }

  /** @param {HTMLVideoElement | null} video @param {unknown} error */
  _failed(video, error) {
    if (video) drop(video, this.clock);
    if (this.video === video) this.video = null;
    this._tell(message(error));
  }

  /** @param {string} why */
  _tell(why) {
    this.why = why;
    this._onTrouble(this);
    this._drawState();
  }

  _drop() {
    if (this.video) drop(this.video, this.clock);
    this.video = null;
  }

  /** @param {Said} said */
  _caption({ caption, captions }) {
    const lines = [];
    const short = caption.filter(([name]) => name);
    if (captions && short.length) {
      const line = make("p", "sl-cap-own");
      for (const [name, value] of short) line.append(make("span", "", {}, make("i", "", {}, name), " ", value), " ");
      lines.push(line);
    }
    for (const [name, value] of captions ? caption : [])
      if (!name) lines.push(make("p", "sl-cap-text", { title: value }, value));
    const fact = captions && facts(this.cell);
    if (fact) lines.push(make("p", "sl-cap-facts", {}, fact));
    const rating = starsText(this.cell.rating);
    if (rating) {
      // The stars are drawn by the style: read out they are "black star, black star".
      const { stars } = clean(this.cell.rating);
      const words = starsText({ ...this.cell.rating, stars: 0 });
      lines.push(
        make("p", "sl-cap-stars", { title: rating, "data-stars": stars ? starsText({ stars }) : null }, words),
      );
    }
    this.caption.replaceChildren(...lines.flatMap((line) => [line, " "])); // words of two lines are two words
    this.caption.hidden = !lines.length;
  }

  _drawState() {
    const { cell } = this;
    const shown = cell.state === "saved" ? "" : cell.state;
    const known = STATES[shown];
    const why = this.why || (shown ? cell.why : "") || "";
    this.state.hidden = !shown && !why;
    this.el.classList.toggle("sl-bad", Boolean(known?.bad || why));
    if (this.state.hidden) return;
    const icon = this.why ? "unreadable" : shown;
    if (this._icon !== icon) {
      this._icon = icon;
      this._word = make("span", "sl-state-word");
      this._why = make("span", "sl-state-why");
      const picture = STATES[icon] ? [glyph(STATES[icon].path)] : [];
      this.state.replaceChildren(make("span", "sl-state-line", {}, ...picture, this._word), " ", this._why, " ");
    }
    // A poster that is there is better seen than covered: then only a line along its lower edge.
    this.state.classList.toggle("sl-over-poster", !this.poster.hidden);
    say(this._word, this.why ? TROUBLE : stateText({ ...cell, since: null }, 0));
    // By the style too: a name that changes every second would be read out every second.
    this._word.dataset.lasting =
      !this.why && cell.state === "running" && cell.since ? ` ${lasting(now() - cell.since)}` : "";
    say(this._why, why);
    this._why.hidden = !why;
    this.state.title = why;
  }
}

/** Whether there is anything to look at. @param {any} cell */
export const playable = (cell) => (cell.media ?? []).some((/** @type {string} */ kind) => kind !== "poster");

/** What says that a cell has another file than before. @param {any} cell */
const mediaOf = (cell) =>
  `${(cell.media ?? []).join()} ${(cell.media ?? []).length ? `${cell.codec} ${cell.bytes} ${cell.width}` : ""}`;

/** @param {any} cell */
const cannotShow = (cell) => `This browser cannot show ${cell.codec || "this video format"}.`;

/** @param {unknown} error */
const message = (error) => (error instanceof Error ? error.message : String(error));

/** @param {HTMLVideoElement} video @returns {Promise<void>} */
function loaded(video) {
  return new Promise((resolve, reject) => {
    listen(video, "loadeddata", () => resolve(), { once: true });
    listen(video, "error", () => reject(new Error("This browser could not read the file.")), { once: true });
  });
}

/** @param {EventTarget} target @param {string} event */
const once = (target, event) => new Promise((resolve) => listen(target, event, resolve, { once: true }));

/** @param {number} ms */
const later = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** @param {HTMLVideoElement} video @param {any} clock */
function drop(video, clock) {
  clock.remove(video);
  video.pause();
  video.removeAttribute("src");
  video.load(); // lets go of the decoder now and not at the next collection
  video.remove();
}
