/**
 * One video that follows a clock: where it should be, how it gets there, and whether it can be asked.
 *
 * Of several seeks only the last one matters: at most one is under way, and the newest target waits for it.
 * Nothing here throws, whatever state the element is in.
 */

const NUDGE = 0.25; // how much faster or slower it may play to come back into step
const RATE_STEP = 0.02; // smaller changes of the rate cost more than they gain
const OFF_S = 0.4; // further from its place than this it is sought there, if rarely
const SEEK_EVERY_MS = 1500; // seeks at a tighter threshold thrash: each costs the others time
const SEEK_LOST_MS = 1000; // a seek that takes longer gives way to a newer one
const ASK_EVERY_MS = 1000; // play() of a video that stopped by itself
const STUCK_MS = 1500; // without progress: it waits for data, and no one waits for it
const EVENTS = ["seeked", "loadedmetadata", "durationchange", "emptied", "error"];

/** @typedef {{at: number, round: number, over: boolean}} Place
 *   Seconds into the clip, how often it began anew, whether the clock is past its end. */

export class Follower {
  /**
   * @param {HTMLVideoElement} video
   * @param {{fps?: number, frames?: number, seconds?: number}} facts What is not known is taken from the video.
   * @param {{now: () => number, onLoaded: (one: Follower) => void, onArrived: (one: Follower) => void,
   *   onRefused: () => void}} options `onLoaded`: it has (other) data; `onArrived`: its last seek is done;
   *   `onRefused`: the browser does not let it play.
   */
  constructor(video, facts, { now, onLoaded, onArrived, onRefused }) {
    this.video = video;
    this.fps = positive(facts?.fps) || 24;
    this._facts = facts ?? {};
    this._now = now;
    this._onLoaded = onLoaded;
    this._onArrived = onArrived;
    this._onRefused = onRefused;
    /** @type {number | null} The target of the seek after this one. */
    this._next = null;
    this._seeking = false;
    this._soughtAt = -Infinity;
    this._askedAt = -Infinity;
    this._movedAt = now();
    this._seenAt = -1;
    this._from = 0;
    this._round = 0;
    this._onEvent = (/** @type {Event} */ event) => this._heard(event.type);
    for (const name of EVENTS) video.addEventListener(name, this._onEvent);
  }

  /** Seconds; of the pictures, which may end before the sound does, unless the file is shorter. 0 while unknown. */
  get length() {
    const { seconds, frames } = this._facts;
    const said = positive(seconds) || positive(frames) / this.fps;
    const held = positive(this.video.duration);
    return said && (!held || held > said - 2 / this.fps) ? said : held;
  }

  /** How many pictures it has. */
  get frames() {
    const fit = Math.round(this.length * this.fps);
    return Math.max(1, Math.min(positive(this._facts.frames) || fit, fit || 1));
  }

  /**
   * Where it belongs when the clock says `now`.
   * @param {number} now
   * @param {"hold" | "loop"} ends
   * @returns {Place}
   */
  place(now, ends) {
    const length = this.length;
    if (!length || now < length - 1e-6) return { at: now, round: 0, over: false };
    if (ends === "hold") return { at: length, round: 0, over: true };
    const round = Math.floor(now / length + 1e-6);
    return { at: Math.max(0, now - round * length), round, over: false };
  }

  /** Whether a seek is under way or waits. */
  get coming() {
    return this._seeking || this._next !== null;
  }

  /** Whether its position says anything of how the machine keeps up. */
  get tells() {
    const { video } = this;
    return this.ready && !video.paused && !video.ended && !this.coming && this._now() - this._movedAt < STUCK_MS;
  }

  /** Note whether it moves; to be called at every look. */
  watch() {
    const at = this.video.currentTime;
    if (this.coming || (at === this._seenAt && !this.video.paused)) return;
    this._seenAt = at;
    this._movedAt = this._now();
  }

  /**
   * Stand still and show the frame of a moment.
   * @param {Place} place
   */
  show({ at, round }) {
    this._round = round;
    // One that played may show another frame than the one that its time belongs to.
    const within = this.video.paused ? 1e-3 : -1;
    this.pause();
    // The middle of a frame's time: its edge is one frame in one container and the next in another.
    const frame = Math.min(Math.floor(at * this.fps + 1e-3), this.frames - 1);
    this._seek((frame + 0.5) / this.fps, within);
  }

  /**
   * Stand still where playing is to begin.
   * @param {Place} place
   */
  gather({ at, round, over }) {
    if (over) return this.show({ at, round, over });
    this._round = round;
    this.pause();
    this._seek(at, 1 / this.fps);
    this._from = this.coming ? at : this.video.currentTime;
  }

  /**
   * Come to where the others are by now, playing or not: the picture is wanted at once.
   * @param {Place} place
   */
  join({ at, round, over }) {
    if (over) return this.show({ at, round, over });
    this._round = round;
    this._from = at;
    this._seek(at, -1);
  }

  /** Whether it has pictures to play. */
  get ready() {
    return this.video.readyState >= 2 && this.video.videoWidth > 0 && !this.video.error;
  }

  /** How far it has come from where it was gathered or where it joined. */
  get gone() {
    return this.coming ? 0 : this.video.currentTime - this._from;
  }

  /**
   * Play, and come nearer to one's place.
   * @param {Place} place
   * @param {{speed: number, slack: number, middle: number}} pace `speed`: the rate of one in its place; `slack`: how
   *   many times further off than usual is borne; `middle`: how far the others are behind their places, in seconds.
   */
  steer({ at, round, over }, { speed, slack, middle }) {
    const { video } = this;
    if (video.readyState < 1 || video.error) return;
    if (over) return this._hold(at, slack);
    if (this.coming) return;
    const late = at - video.currentTime;
    const again = round !== this._round;
    // When all are late it is the machine; seeks would make it later.
    const off = Math.abs(late) > OFF_S * slack && Math.abs(late - middle) > OFF_S * slack;
    if (again || (video.paused && Math.abs(late) > 2 / this.fps) || (off && this._maySeek())) {
      this._round = round;
      this._seek(at, 0);
    }
    // One behind by less than half a frame shows what the others show.
    const nudge = this.coming || Math.abs(late) < 0.5 / this.fps ? 0 : clamp(late / slack, -NUDGE, NUDGE);
    this._setRate(speed * (1 + nudge), nudge === 0);
    this.play();
  }

  /** Ask for playing, unless it plays or was asked a moment ago. */
  play() {
    const { video } = this;
    if (!video.paused || (video.ended && !this.coming) || this._now() - this._askedAt < ASK_EVERY_MS) return;
    this._askedAt = this._movedAt = this._now();
    // A pause that comes before playing has begun rejects with AbortError: that is no news.
    const refused = (/** @type {any} */ error) => void (error?.name === "NotAllowedError" && this._onRefused());
    try {
      video.play()?.catch(refused);
    } catch (error) {
      refused(error);
    }
  }

  pause() {
    this._askedAt = -Infinity;
    if (!this.video.paused) this.video.pause();
  }

  /** The next look may seek at once: the tab was away, and what happened there says nothing. */
  forgive() {
    this._soughtAt = -Infinity;
    this._movedAt = this._now();
  }

  dispose() {
    for (const name of EVENTS) this.video.removeEventListener(name, this._onEvent);
    this._next = null;
    this._seeking = false;
    this.pause();
  }

  /**
   * @param {number} at
   * @param {number} slack
   */
  _hold(at, slack) {
    const { video } = this;
    if (video.ended || this.coming) return;
    // What plays its last frames stops by itself.
    if (!video.paused && at - video.currentTime < OFF_S * slack && this._now() - this._movedAt < STUCK_MS / 5) return;
    this.show({ at, round: 0, over: true });
  }

  _maySeek() {
    return this._now() - this._soughtAt >= SEEK_EVERY_MS;
  }

  /**
   * @param {number} to
   * @param {number} within Seconds: nearer than this it stays where it is.
   */
  _seek(to, within) {
    const { video } = this;
    if (this._seeking && video.seeking && this._now() - this._soughtAt < SEEK_LOST_MS) {
      this._next = to;
      return;
    }
    this._next = null;
    // Before its data is there a video has no places; it is told again when it has.
    if (video.readyState < 1 || video.error) return;
    const end = positive(video.duration);
    const target = end ? Math.min(to, Math.max(0, end - 0.5 / this.fps)) : to;
    if (!video.seeking && Math.abs(video.currentTime - target) <= within) return;
    this._soughtAt = this._now();
    try {
      video.currentTime = target;
    } catch {
      return; // it lost its data this moment; "emptied" or "error" says the rest
    }
    this._seeking = Boolean(video.seeking);
  }

  /**
   * @param {number} rate
   * @param {boolean} exact
   */
  _setRate(rate, exact) {
    const { video } = this;
    if (Math.abs(video.playbackRate - rate) < (exact ? 1e-6 : RATE_STEP * rate)) return;
    try {
      video.playbackRate = rate;
    } catch {
      // A rate that this browser does not have: it plays as it did and is sought when it is off.
    }
  }

  /** @param {string} type */
  _heard(type) {
    if (type === "loadedmetadata" || type === "durationchange") return this._onLoaded(this);
    const waited = this._next;
    this._seenAt = this.video.currentTime; // where a seek put it is no sign that it plays
    this._seeking = false;
    this._next = null;
    if (type === "seeked" && waited !== null) this._seek(waited, 1e-3);
    if (!this._seeking) this._onArrived(this);
  }
}

/** @param {unknown} value */
const positive = (value) => (typeof value === "number" && Number.isFinite(value) && value > 0 ? value : 0);

/** @param {number} value @param {number} least @param {number} most */
const clamp = (value, least, most) => Math.max(least, Math.min(most, value));
