/**
 * One clip in a box: its poster at once, its small copy when that is here, its full file in the end.
 *
 * The next picture lies under the last one until it shows the clock's moment, so nothing flickers.
 */
import { listen, make } from "./dom.js";
import { STATES } from "./states.js";

const SHOWN_MS = 600; // for a new video to reach the clock's moment; after that a late frame is better than none

/** @typedef {"" | "poster" | "proxy" | "full"} Kind */

export class Screen {
  /**
   * @param {any} cell Of the snapshot.
   * @param {{source: import("./media.js").Source, clock: import("./clock.js").Clock, kinds?: Kind[],
   *   onChange?: () => void}} options `kinds`: what may be shown; all that the cell has unless told.
   */
  constructor(cell, { source, clock, kinds = ["poster", "proxy", "full"], onChange = () => {} }) {
    this.cell = cell;
    this.source = source;
    this.clock = clock;
    this.kinds = kinds.filter((kind) => (cell.media ?? []).includes(kind));
    this.onChange = onChange;
    /** @type {Kind} What is shown now. */
    this.shown = "";
    /** Why the clip cannot be shown, in words; empty while it can. */
    this.why = "";
    /** @type {HTMLVideoElement | null} */
    this.video = null;
    this._joined = true;
    this._gone = false;

    this.el = make("div", "sl-screen");
    this.picture = make("div", "sl-screen-picture");
    this.poster = make("img", "sl-screen-poster", { alt: "", hidden: true, draggable: "false" });
    this.picture.append(this.poster);
    this.message = make("p", "sl-screen-why", { hidden: true });
    this.el.append(this.picture, this.message);
  }

  /** Fetch what the cell has, smallest first. Never rejects: a failure is told in the box. */
  async load() {
    const { cell } = this;
    if (!this.kinds.length) return this._tell(cell.why || STATES[cell.state]?.words || "There is no file to show.");
    let failed = "";
    for (const kind of this.kinds) {
      try {
        const url = await this.source[/** @type {"poster"} */ (kind)](cell);
        if (this._gone) return;
        if (kind === "poster") this._showPoster(url);
        else await this._showVideo(url, kind);
      } catch (error) {
        if (kind !== "poster") failed = error instanceof Error ? error.message : String(error);
      }
      if (this._gone) return;
    }
    const moving = this.kinds.some((kind) => kind !== "poster");
    if (!this.video) this._tell(failed || (moving ? "The file could not be loaded." : "Only the poster is in this page."));
    else if (failed) this._tell(`Small copy: ${failed}`);
  }

  /** CSS pixels that one pixel of the clip takes when it fits the box; 0 while unknown. */
  get fitted() {
    const width = this.cell.width || this.video?.videoWidth;
    const height = this.cell.height || this.video?.videoHeight;
    if (!width || !height || !this.el.clientWidth) return 0;
    return Math.min(this.el.clientWidth / width, this.el.clientHeight / height);
  }

  /**
   * Whether the clock moves this clip. One that is not seen need not be decoded.
   * @param {boolean} on
   */
  join(on) {
    if (on === this._joined) return;
    this._joined = on;
    if (!this.video) return;
    if (on) this._add(this.video);
    else this._remove(this.video);
  }

  dispose() {
    this._gone = true;
    for (const video of this.picture.querySelectorAll("video")) this._drop(video);
    this.el.remove();
  }

  /** @param {string} url */
  _showPoster(url) {
    this.poster.src = url;
    this.poster.hidden = false;
    this.shown ||= "poster";
    this.onChange();
  }

  /**
   * @param {string} url
   * @param {Kind} kind
   */
  async _showVideo(url, kind) {
    const video = silent("sl-screen-video");
    video.src = url;
    this.poster.after(video);
    try {
      await first(video, ["loadeddata"], "This browser could not read the file.");
      // A browser that lacks the codec (HEVC) plays on without a picture and without an error.
      if (!video.videoWidth) throw new Error(`This browser cannot show ${this.cell.codec || "this video format"}.`);
    } catch (error) {
      this._drop(video);
      throw error;
    }
    if (this._gone) return this._drop(video);
    if (this._joined) {
      this._add(video);
      if (this.video) await Promise.race([first(video, ["seeked"]).catch(() => {}), later(SHOWN_MS)]);
      if (this._gone) return this._drop(video);
    }
    const old = this.video;
    this.video = video;
    this.shown = kind;
    if (old) this._drop(old);
    this._tell("");
    this.onChange();
  }

  /** @param {HTMLVideoElement} video */
  _add(video) {
    const { fps, frames, seconds } = this.cell;
    this.clock.add(video, { fps: fps || 24, frames: frames || 0, seconds: seconds || video.duration || 0 });
  }

  /** @param {HTMLVideoElement} video */
  _remove(video) {
    this.clock.remove(video);
    video.pause();
  }

  /** @param {HTMLVideoElement} video */
  _drop(video) {
    this._remove(video);
    video.removeAttribute("src");
    video.load(); // lets go of the decoder now and not at the next collection
    video.remove();
  }

  /** @param {string} why */
  _tell(why) {
    this.why = why;
    this.message.textContent = why;
    this.message.hidden = !why;
    this.onChange();
  }
}

/**
 * A video without sound, controls or a name: the clock plays it, and the box around it is named.
 * @param {string} name Its class.
 * @returns {HTMLVideoElement}
 */
export function silent(name) {
  const video = make("video", name, { playsinline: true, preload: "auto", tabindex: -1, "aria-hidden": "true" });
  video.muted = true;
  video.disablePictureInPicture = true;
  return video;
}

/**
 * @param {HTMLVideoElement} video
 * @param {string[]} events
 * @param {string} [why] What an error means.
 * @returns {Promise<void>}
 */
function first(video, events, why = "The file could not be read.") {
  return new Promise((resolve, reject) => {
    for (const name of events) listen(video, name, () => resolve(), { once: true });
    listen(video, "error", () => reject(new Error(why)), { once: true });
  });
}

/** @param {number} ms */
const later = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
