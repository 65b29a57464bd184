/**
 * Many videos on one clock.
 *
 * The clock is the wall's; the videos are brought to it by a slightly other rate, and sought only when that would
 * take too long. Where the machine cannot decode so many in time, the clock follows the one in the middle of them
 * instead, so that all slow down together, and `slowed` says so. No video holds the others: one that stalls, fails
 * or has no picture is not asked where it is.
 */
import { Follower } from "./follower.js";

const BEAT_MS = 33;
const STEER_MS = 100;
const GATHER_MS = 600; // most have reached one place: how long they wait for the next one to come
const GATHER_MOST_MS = 5000; // and this however many are missing
const START_MS = 400; // from play() to the first movement, before the clock goes without them
const AWAY_MS = 1000; // a beat so late says that the page slept, not that the videos are slow
const ALIKE_S = 0.1; // clips that differ by less are of one length
const LAG_S = 0.5;
const ASK_MORE = 0.25; // of the speed, above what the machine was seen to do: whether it can do more by now
const EVEN = 0.9; // of the speed, held for so many looks: it keeps up again
const EVEN_LOOKS = 10;
const LEAST = 0.25;
const MOST = 4;
const NO_FACTS = { fps: 24, frames: 0, seconds: 0 };

/** @typedef {"change" | "tick" | "lag"} Happening
 *   `change`: what it does or is asked to do, or its length; `tick`: another frame's time; `lag`: `slowed`. */
/** @typedef {"still" | "gathering" | "starting" | "running"} Phase */

export class Clock {
  /**
   * @param {{loop?: boolean, ends?: "hold" | "loop", now?: () => number}} [options] `ends`: what clips do that are
   *   shorter than the longest; `now`: milliseconds of any steady clock, for tests.
   */
  constructor({ loop = false, ends = "hold", now = () => performance.now() } = {}) {
    this._loop = loop;
    this._ends = ends;
    this._wall = now;
    this._speed = 1;
    /** @type {Map<HTMLVideoElement, Follower>} */
    this._all = new Map();
    this._handlers = { change: new Set(), tick: new Set(), lag: new Set() };
    /** @type {Phase} */
    this._phase = "still";
    this._at = 0; // seconds, at the moment `_since` of the wall
    this._since = 0;
    this._cameAt = 0; // of the wall: when the last one came to where they gather
    this._until = 0; // of the wall: when the clock starts whether they move or not
    this._beatAt = 0;
    this._steerAt = 0;
    this._timer = 0;
    this._slowed = false;
    this._pace = 1; // share of the speed that the videos were seen to do
    this._middle = 0; // how far the one in the middle is behind, in seconds
    this._reached = 0; // where it was when it was last looked at
    this._looks = 0; // in a row that speak for the other of slowed and not
    this._duration = 0;
    this._rate = 24;
    this._shown = -1;
    this._gone = false;
    this._onSight = () => this._seen();
    globalThis.document?.addEventListener("visibilitychange", this._onSight);
  }

  /**
   * Bring a video to the clock's moment, and keep it there.
   * @param {HTMLVideoElement} video Loaded or not.
   * @param {{fps?: number, frames?: number, seconds?: number}} [facts]
   */
  add(video, facts = NO_FACTS) {
    if (this._gone) return;
    this._all.get(video)?.dispose();
    const one = new Follower(video, facts, {
      now: this._wall,
      onLoaded: (it) => (this._measure(), this._welcome(it)),
      onArrived: (it) => this._arrived(it),
      onRefused: () => this.pause(),
    });
    this._all.set(video, one);
    this._measure();
    this._welcome(one);
  }

  /**
   * Let a video go, paused where it is.
   * @param {HTMLVideoElement} video
   */
  remove(video) {
    const one = this._all.get(video);
    if (!one) return;
    this._all.delete(video);
    one.dispose();
    this._measure();
    if (!this._all.size) this._setSlowed(false);
    this._arrived(null);
  }

  play() {
    if (this._gone || this.playing) return;
    if (this._duration && this._at >= this._duration - 1e-6) this._at = 0;
    this._gather();
    this._timer = /** @type {any} */ (setInterval(() => this._beat(), BEAT_MS));
    this._fire("change");
  }

  pause() {
    if (!this.playing) return;
    this._at = this.now;
    this._stand();
    this._fire("change");
    this._tick();
  }

  toggle() {
    if (this.playing) this.pause();
    else this.play();
  }

  /**
   * Go to a moment, playing on if it plays.
   * @param {number} seconds
   */
  seek(seconds) {
    if (this._gone || !Number.isFinite(seconds)) return;
    this._at = Math.max(0, this._duration ? Math.min(seconds, this._duration) : seconds);
    if (this.playing) this._gather();
    else this._show();
    this._tick();
  }

  /**
   * Stand still, so many frames further on, or back. A frame is one of the clips of the highest rate.
   * @param {number} n
   */
  step(n) {
    const last = Math.max(0, Math.round(this._duration * this._rate) - 1);
    const to = Math.max(0, Math.min(last, this.frame + Math.round(n)));
    this.pause();
    this.seek(to / this._rate);
  }

  get speed() {
    return this._speed;
  }

  set speed(speed) {
    if (!(speed > 0) || this._gone) return;
    this._at = this.now;
    this._since = this._wall();
    this._speed = Math.max(LEAST, Math.min(MOST, speed));
    if (this._phase === "running") this._steer();
    this._fire("change");
  }

  get loop() {
    return this._loop;
  }

  set loop(loop) {
    this._loop = Boolean(loop);
    this._fire("change");
  }

  get ends() {
    return this._ends;
  }

  set ends(ends) {
    this._ends = ends === "loop" ? "loop" : "hold";
    if (this.playing) this._steer();
    else this._show();
    this._fire("change");
  }

  /** Seconds, 0 to `duration`. */
  get now() {
    const passed = this._phase === "running" ? (this._wall() - this._since) / 1000 : 0;
    const now = this._at + passed * this._speed * this._pace;
    return this._duration ? Math.min(now, this._duration) : now;
  }

  /** Seconds of the longest member. With none it stays: while others load, a bar must not lose the focus. */
  get duration() {
    return this._duration;
  }

  /** The frame of this moment, counted from 0 at the highest rate among the members. */
  get frame() {
    const last = Math.round(this._duration * this._rate) - 1;
    return Math.max(0, Math.min(Math.floor(this.now * this._rate + 1e-3), last));
  }

  get playing() {
    return this._phase !== "still";
  }

  /** Whether it goes slower than asked, because the machine cannot keep up. */
  get slowed() {
    return this._slowed;
  }

  /**
   * @param {Happening} what
   * @param {() => void} fn
   * @returns {() => void} Takes it back.
   */
  on(what, fn) {
    this._handlers[what].add(fn);
    return () => void this._handlers[what].delete(fn);
  }

  dispose() {
    this._gone = true;
    clearInterval(this._timer);
    this._phase = "still";
    globalThis.document?.removeEventListener("visibilitychange", this._onSight);
    for (const one of this._all.values()) one.dispose();
    this._all.clear();
    for (const all of Object.values(this._handlers)) all.clear();
  }

  /** @param {Happening} what */
  _fire(what) {
    for (const fn of [...this._handlers[what]]) fn();
  }

  _tick() {
    this._shown = this.frame;
    this._fire("tick");
  }

  /** @param {Follower} one */
  _place(one) {
    // The end itself is the last frame still, and what is as long as the longest does not begin anew a frame before.
    const now = this._duration ? Math.min(this.now, this._duration - 1e-4) : this.now;
    return one.place(now, one.length > this._duration - ALIKE_S ? "hold" : this._ends);
  }

  /** The length and the rate of the clock, from those who follow it. */
  _measure() {
    if (!this._all.size) return;
    const all = [...this._all.values()];
    const duration = Math.max(...all.map((one) => one.length));
    const rate = Math.max(...all.map((one) => one.fps));
    if (duration === this._duration && rate === this._rate) return;
    this._duration = duration;
    this._rate = rate;
    this._fire("change");
  }

  /** Stand still at once; the timer too. */
  _stand() {
    clearInterval(this._timer);
    this._phase = "still";
    this._setSlowed(false);
    this._show();
  }

  _show() {
    for (const one of this._all.values()) one.show(this._place(one));
  }

  /** One that came, or came back with other data. @param {Follower} one */
  _welcome(one) {
    if (this.playing) one.join(this._place(one));
    else one.show(this._place(one));
  }

  /** All to one place; from there they start together. */
  _gather() {
    this._phase = "gathering";
    this._beatAt = this._since = this._cameAt = this._wall();
    for (const one of this._all.values()) one.gather(this._place(one));
    this._arrived(null);
  }

  /** @param {Follower | null} one */
  _arrived(one) {
    if (this._phase !== "gathering") return void (one && this._guide(one));
    // A machine at its limits brings them one after the other: as long as they come, they are waited for.
    this._cameAt = this._wall();
    this._gathered();
  }

  /** Start when all are there, or without those who do not come. */
  _gathered() {
    const wall = this._wall();
    const missing = [...this._all.values()].filter((one) => one.coming).length;
    const enough = wall - this._cameAt >= GATHER_MS && missing <= this._all.size / 2;
    if (!missing || enough || wall - this._since >= GATHER_MOST_MS) this._start();
  }

  _start() {
    this._phase = "starting";
    this._until = this._wall() + START_MS;
    for (const one of this._all.values()) this._guide(one);
    this._started();
  }

  /** The clock begins to run when most of the pictures do: then none has to catch up. */
  _started() {
    const all = [...this._all.values()].filter((one) => one.ready && !this._place(one).over);
    const gone = middle(all.map((one) => -one.gone));
    if (all.length && !(gone < 0) && this._wall() < this._until) return;
    this._at += all.length ? clamp(-gone, 0, START_MS / 1000) : 0;
    this._since = this._steerAt = this._wall();
    this._phase = "running";
    this._reached = this._at;
    this._looks = this._middle = 0;
  }

  _beat() {
    const wall = this._wall();
    const away = wall - this._beatAt > AWAY_MS;
    this._beatAt = wall;
    if (this._phase === "gathering") this._gathered();
    else if (this._phase === "starting") this._started();
    if (this._phase !== "running") return;
    if (this._duration && this.now >= this._duration) return this._end();
    if (away) for (const one of this._all.values()) one.forgive();
    if (wall - this._steerAt >= STEER_MS) this._steer(away);
    if (this.frame !== this._shown) this._tick();
  }

  _end() {
    if (!this._loop) {
      this._at = this._duration;
      this._stand();
      this._fire("change");
    } else {
      // A pause in between would only lengthen it.
      this._at = 0;
      this._gather();
    }
    this._tick();
  }

  /** Look where they are, and tell each how to go on. */
  _steer(away = false) {
    if (globalThis.document?.hidden) return; // no one sees them, and browsers halt what is not seen
    const wall = this._wall();
    const all = [...this._all.values()];
    for (const one of all) one.watch();
    const telling = all.filter((one) => one.tells && !this._place(one).over);
    const late = middle(telling.map((one) => this._late(one)));
    this._middle = telling.length && !away ? late : 0;
    if (this._phase === "running" && !away) this._judge(telling.length > 0, (wall - this._steerAt) / 1000);
    this._steerAt = wall;
    for (const one of all) this._guide(one);
  }

  /** Seconds that it is behind; across the end of a clip that starts again too. @param {Follower} one */
  _late(one) {
    const late = this._place(one).at - one.video.currentTime;
    if (this._ends === "hold" || Math.abs(late) < one.length / 2) return late;
    return late - Math.sign(late) * one.length;
  }

  /** @param {Follower} one */
  _guide(one) {
    if (this._phase === "gathering" || this._phase === "still") return;
    const speed = this._speed * (this._slowed ? Math.min(1, this._pace + ASK_MORE) : 1);
    one.steer(this._place(one), { speed, slack: this._slack, middle: this._middle });
  }

  /** At four times the speed as much of the clip passes in a quarter of the time. */
  get _slack() {
    return Math.max(1, this._speed);
  }

  /**
   * Go by the wall, or by the video in the middle.
   * @param {boolean} known Whether any video says how it keeps up.
   * @param {number} seconds Since the last look.
   */
  _judge(known, seconds) {
    if (!this._slowed) {
      this._looks = this._middle > LAG_S * this._slack ? this._looks + 1 : 0;
      if (this._looks < 2) return;
      this._reached = this.now - this._middle;
      this._rebase(this._reached);
      this._middle = 0;
      return this._setSlowed(true);
    }
    if (!known) {
      // At their ends they have nothing to say; where all wait for data, the clock waits with them.
      if ([...this._all.values()].every(({ video }) => video.ended || video.error)) this._setSlowed(false);
      return;
    }
    const now = this.now;
    const reached = now - this._middle;
    const went = seconds > 0.03 ? (reached - this._reached) / (seconds * this._speed) : this._pace;
    this._rebase(now - 0.3 * this._middle);
    this._middle *= 0.7;
    this._reached = reached;
    this._pace = clamp(this._pace + 0.2 * (clamp(went, 0, 1.25) - this._pace), 0.05, 1);
    this._looks = this._pace >= EVEN ? this._looks + 1 : 0;
    if (this._looks >= EVEN_LOOKS) this._setSlowed(false);
  }

  /** @param {number} at */
  _rebase(at) {
    this._at = Math.max(0, at);
    this._since = this._wall();
  }

  /** @param {boolean} slowed */
  _setSlowed(slowed) {
    if (this._phase === "running") this._rebase(this.now);
    this._looks = 0;
    this._pace = 1;
    if (slowed === this._slowed) return;
    this._slowed = slowed;
    this._fire("lag");
  }

  /** The tab is looked at again. */
  _seen() {
    if (globalThis.document?.hidden || this._phase !== "running") return;
    this._at = this.now;
    for (const one of this._all.values()) one.forgive();
    this._gather();
  }
}

/** The one in the middle, of two the smaller; 0 for none. @param {number[]} all */
function middle(all) {
  const sorted = [...all].sort((a, b) => a - b);
  return sorted.length ? sorted[Math.floor((sorted.length - 1) / 2)] : 0;
}

/** @param {number} value @param {number} least @param {number} most */
const clamp = (value, least, most) => Math.max(least, Math.min(most, value));
